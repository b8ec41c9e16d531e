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
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
)

func newRevokeUserCommand() *cobra.Command {
	c := newAdministrator()
	var serials []string
	var force bool
	cmd := &cobra.Command{
		Use:   "revoke [NAME]",
		Short: "Revoke the certificates of a user, or those with given serial numbers",
		Long: `Refuse certificates by their serial number, regardless of the holder of the key: requests are
answered with 401, and open watches end, within ` + revocation.Interval.String() + ` and without a restart.
NAME revokes every certificate that "gatehouse user add" has recorded for the user in the data
directory. --serial revokes one of any origin, as with --client-ca-file or from a
CertificateSigningRequest. "gatehouse certificates status" lists serial numbers. The certificate with
which the command itself connects is revoked only with --force.

A certificate that "gatehouse user add" creates afterwards is accepted: remove also the roles of a
user that leaves. A revocation is an entry of the ConfigMap ` + revocation.ConfigMap + ` in
` + revocation.Namespace + `; one of an expired certificate is removed by the next revocation.`,
		Example: `  gatehouse user revoke jane
  gatehouse user revoke --serial 3d1f0c5a`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.RevokeCertificates(cmd.Context(), cmd.ErrOrStderr(), args, serials, force)
		},
	}
	c.AddFlags(cmd.Flags())
	cmd.Flags().StringArrayVar(&serials, "serial", nil, "Serial number of a certificate in hexadecimal digits, with or without colons. May be given more than once.")
	cmd.Flags().BoolVar(&force, "force", false, "Revoke also the certificate with which this command connects to the server.")
	return cmd
}

// newCertificatesStatusCommand returns gatehouse certificates status.
func newCertificatesStatusCommand() *cobra.Command {
	admin := newAdministrator()
	cmd := &cobra.Command{
		Use:   "status",
		Short: "List the certificates of a standalone server, its users and hosts, with their expiry",
		Long: `List the certificates in the data directory of a standalone server: its authority, its serving
certificate, the administrator's, and those that "gatehouse user add" and "gatehouse host add"
have recorded, the one that expires first at the top. Revocations are read from the server if it
can be reached.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return admin.PrintCertificates(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now())
		},
	}
	admin.AddFlags(cmd.Flags())
	return cmd
}
