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
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/login"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

func newCredentialOptions() *credentials.Options {
	return &credentials.Options{
		TTL: credentials.DefaultLifetime, DataDir: options.DefaultDataDir(),
		CertificateDir: options.CertificateDirName, Kubeconfig: options.KubeconfigName,
	}
}

// unwarnedTTL is the longest lifetime of a user's certificate without a warning: a working day and its
// night. A lost key works until the certificate expires or is revoked.
const unwarnedTTL = 24 * time.Hour

func newUserCommand() *cobra.Command {
	o := newCredentialOptions()
	var groups []string
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Create a client certificate for a user and write a kubeconfig with it",
		Long: `Create a client certificate for a user, signed by the authority in the data directory, and
write a kubeconfig that holds it. The server may be running; it needs no restart.

The user exists from then on, with the permissions that roles grant to the name or to a group.
"gatehouse user revoke" revokes the certificate before it expires: remove also the roles of a user
that leaves. A server with --client-ca-file trusts another authority, and its users get their
certificates there. The kubeconfig holds a private key: treat it as a password.`,
		Example: `  gatehouse user add jane --group developers
  gatehouse user add ci --ttl 24h --server https://gatehouse.example.com:6443 --out ci.kubeconfig`,
		Args: exactlyOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.Invalid(credentials.ValidateUser(args[0], groups)); err != nil {
				return err
			}
			if err := o.Issue(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], args[0], groups, certificates.IssueClient); err != nil {
				return err
			}
			if o.TTL > unwarnedTTL {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: the certificate is valid for more than a day: use --ttl for less, or revoke it if its key is lost (gatehouse user revoke %s)\n", args[0])
			}
			return nil
		},
	}
	o.AddFlags(add.Flags())
	add.Flags().StringArrayVar(&groups, "group", nil, "Group of the user. May be given more than once.")
	return command.Parent("user", "Give people access to a standalone server, and revoke it", add, newRevokeUserCommand(), login.NewLoginCommand(), login.NewLogoutCommand())
}

// exactlyOneName validates the arguments of a command that takes one name.
func exactlyOneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one name, not %d; see %s --help", cmd.CommandPath(), len(args), cmd.CommandPath())
	}
	return nil
}
