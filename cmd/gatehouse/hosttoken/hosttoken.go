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

// Package hosttoken has "gatehouse host token".
package hosttoken

import (
	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
)

// NewCommand returns "gatehouse host token".
func NewCommand(administrator *credentials.Administrator) *cobra.Command {
	return command.Parent("token", "Let hosts join with a token", newCreateCommand(administrator))
}

func newCreateCommand(administrator *credentials.Administrator) *cobra.Command {
	o := &credentials.HostTokenOptions{}
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a token and print the command with which a host joins",
		Long: `Create a bootstrap token, and print the command that gets a machine its certificate as a host.

The token alone gives no access to instances: with it a machine requests a certificate. The server
approves the request if no host of the name exists, or, with --name, if that host does not report. A
living host is never replaced. The server deletes the token after --ttl; "kubectl delete secret -n
kube-system bootstrap-token-ID" deletes it earlier.

"gatehouse up" accepts such tokens, "gatehouse apiserver" with --enable-bootstrap-token-auth.`,
		Example: `  gatehouse host token create --server https://gatehouse.example.com:6443
  gatehouse host token create --name edge-1 --ttl 10m`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.Invalid(o.Validate()); err != nil {
				return err
			}
			return administrator.CreateHostToken(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	o.AddFlags(cmd.Flags())
	administrator.AddFlags(cmd.Flags())
	return cmd
}
