/*
Copyright The Gatehouse Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

func newKubeconfigCommand() *cobra.Command {
	dataDir := options.DefaultDataDir()
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Print the administrator's kubeconfig",
		Long: `Print the kubeconfig that the server wrote into its data directory at its last start.

It holds the administrator's private key: treat it as a password.`,
		Example: `  gatehouse kubeconfig > ~/.kube/gatehouse`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path := filepath.Join(dataDir, options.KubeconfigName)
			data, err := files.ReadTrusted(path)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%s does not exist: start the server once with \"gatehouse up\", or name its directory with --data-dir", path)
			}
			if err != nil {
				return fmt.Errorf("the kubeconfig cannot be read: %w", err)
			}
			_, err = cmd.OutOrStdout().Write(data)
			return err
		},
	}
	cmd.Flags().StringVar(&dataDir, "data-dir", dataDir, "The server's data directory.")
	return cmd
}
