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

package backup

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
)

func newFetchCommand() *cobra.Command {
	p := newPlace()
	var out string
	cmd := &cobra.Command{
		Use:   "fetch NAME --out FILE",
		Short: "Copy a backup from its directory or bucket to a file",
		Long: `Copy a backup from its directory or bucket to a new file, for "gatehouse restore" on another machine.
"gatehouse backup list" prints the names.`,
		Example: `  gatehouse backup fetch gatehouse-….tar.zst --out b.tar.zst --backup-s3-url https://s3.example.com/bucket/prefix --backup-s3-credentials-file s3.credentials`,
		Args:    oneBackup,
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, is := backup.ParseName(args[0]); !is {
				return fmt.Errorf("%q is not the name of a backup: \"gatehouse backup list\" prints the names", args[0])
			}
			if out == "" {
				return errors.New("--out is required: name a new file")
			}
			settings, err := p.settings()
			if err != nil {
				return err
			}
			from := settings.Target()
			switch err := from.Fetch(cmd.Context(), args[0], out); {
			case errors.Is(err, fs.ErrNotExist):
				return fmt.Errorf("%s is not in %s: \"gatehouse backup list\" prints the names", args[0], from)
			case errors.Is(err, fs.ErrExist):
				return fmt.Errorf("--out=%s exists and is not overwritten: name another file", out)
			case err != nil:
				return err
			}
			manifest, err := backup.ReadManifest(out)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s has %d objects of revision %d; verify it with\n  gatehouse backup verify %s\n", out, manifest.Total(), manifest.Revision, out)
			return nil
		},
	}
	p.addFlags(cmd)
	cmd.Flags().StringVar(&out, "out", out, "Required. The new file.")
	return cmd
}
