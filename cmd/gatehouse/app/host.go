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
	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/command"
	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/hosttoken"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

func newHostCommand() *cobra.Command {
	o := newCredentialOptions()
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Create a client certificate for a host's agent and write a kubeconfig with it",
		Long: `Create a client certificate for the agent of a host, signed by the authority in the data
directory, and write a kubeconfig that holds it. The server may be running; it needs no
restart.

The agent is the user ` + v1alpha1.HostUserPrefix + `NAME in the group ` + v1alpha1.HostsGroup + `: it has access to its own Host
and HostLease, and to the instances that are bound to it. The kubeconfig holds a private key:
treat it as a password. "gatehouse host revoke" revokes it.`,
		Example: `  gatehouse host add edge-1 --server https://gatehouse.example.com:6443`,
		Args:    exactlyOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.Invalid(credentials.ValidateHost(args[0])); err != nil {
				return err
			}
			user, groups := credentials.HostUser(args[0])
			return o.Issue(cmd.OutOrStdout(), cmd.ErrOrStderr(), args[0], user, groups, certificates.IssueHost)
		},
	}
	o.AddFlags(add.Flags())
	return command.Parent("host", "Give hosts access to a server, and revoke it", add, newRevokeCommand(), hosttoken.NewCommand(newAdministrator()))
}

func newRevokeCommand() *cobra.Command {
	c := newAdministrator()
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke all certificates that a host has had until now",
		Long: `Refuse every certificate of the host that became valid before now, regardless of its signer and
of the holder of its key: requests are answered with 401, and open watches end, within ` + revocation.Interval.String() + `
and without a restart. The Host, its HostLease and the instances remain until they are deleted.

The revocation is an entry of the ConfigMap ` + revocation.ConfigMap + ` in ` + revocation.Namespace + `: of the standalone
server, or, with the kubeconfig of an administrator of the cluster, of the cluster behind which
the server serves. Remove the entry to undo the revocation; keep it until the last of the former
certificates has expired.

A certificate that "gatehouse host add" creates afterwards is accepted. If the signer backdates
certificates, as that of a cluster does by five minutes, a new certificate is accepted only
after that time.`,
		Example: `  gatehouse host revoke edge-1
  gatehouse host revoke edge-1 --kubeconfig ~/.kube/config`,
		Args: exactlyOneName,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := command.Invalid(credentials.ValidateHost(args[0])); err != nil {
				return err
			}
			return c.RevokeHost(cmd.Context(), cmd.ErrOrStderr(), args[0])
		},
	}
	c.AddFlags(cmd.Flags())
	return cmd
}

func newAdministrator() *credentials.Administrator {
	return &credentials.Administrator{
		DataDir: options.DefaultDataDir(), CertificateDir: options.CertificateDirName, AdminKubeconfig: options.KubeconfigName,
	}
}
