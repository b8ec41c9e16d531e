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
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// revokeUserCommand holds the flags of gatehouse user revoke.
type revokeUserCommand struct {
	administrator
	serials []string
}

func newRevokeUserCommand() *cobra.Command {
	c := &revokeUserCommand{administrator: newAdministrator()}
	cmd := &cobra.Command{
		Use:   "revoke [NAME]",
		Short: "Revoke the certificates of a user, or those with given serial numbers",
		Long: `Refuse certificates by their serial number, regardless of the holder of the key: requests are
answered with 401, and open watches end, within ` + revocation.Interval.String() + ` and without a restart.
NAME revokes every certificate that "gatehouse user add" has recorded for the user in the data
directory. --serial revokes one of any origin, as with --client-ca-file or from a
CertificateSigningRequest. "gatehouse certificates status" lists serial numbers.

A certificate that "gatehouse user add" creates afterwards is accepted: remove also the roles of a
user that leaves. A revocation is an entry of the ConfigMap ` + revocation.ConfigMap + ` in
` + revocation.Namespace + `; one of an expired certificate is removed by the next revocation.`,
		Example: `  gatehouse user revoke jane
  gatehouse user revoke --serial 3d1f0c5a`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.run(cmd.Context(), cmd.ErrOrStderr(), args)
		},
	}
	c.addFlags(cmd.Flags())
	cmd.Flags().StringArrayVar(&c.serials, "serial", nil, "Serial number of a certificate in hexadecimal digits, with or without colons. May be given more than once.")
	return cmd
}

func (c *revokeUserCommand) run(ctx context.Context, notes io.Writer, args []string) error {
	revoked, err := c.selected(args, time.Now())
	if err != nil {
		return err
	}
	configMaps, err := c.configMaps()
	if err != nil {
		return err
	}
	if err := revocation.RevokeCertificates(ctx, configMaps, revoked, time.Now()); err != nil {
		return fmt.Errorf("the revocation cannot be written to ConfigMap %s/%s: %w", revocation.Namespace, revocation.ConfigMap, err)
	}
	for _, serial := range slices.Sorted(maps.Keys(revoked)) {
		fmt.Fprintf(notes, "The certificate with the serial number %s is refused within %s.\n", serial, revocation.Interval)
	}
	return nil
}

// selected returns the expiry of each certificate to revoke, by serial number.
func (c *revokeUserCommand) selected(args []string, now time.Time) (map[string]time.Time, error) {
	switch {
	case len(args) == 0 && len(c.serials) == 0:
		return nil, errors.New("a user's NAME or --serial is required: see gatehouse certificates status")
	case len(args) > 1:
		return nil, fmt.Errorf("one NAME can be given, not %d: revoke each user with a command of its own", len(args))
	}
	dir := filepath.Join(c.dataDir, options.CertificateDirName)
	list, err := certificates.List(dir)
	if err != nil {
		return nil, fmt.Errorf("--data-dir=%s: %w", c.dataDir, err)
	}
	revoked := map[string]time.Time{}
	for _, given := range c.serials {
		serial, ok := new(big.Int).SetString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(given), "0x"), ":", ""), 16)
		if !ok || serial.Sign() <= 0 {
			return nil, fmt.Errorf("--serial=%s is not a serial number: write hexadecimal digits, such as 3d1f0c5a", given)
		}
		revoked[serial.Text(16)] = time.Time{}
	}
	named := 0
	for _, certificate := range list {
		serial := revocation.Serial(certificate.Certificate)
		if certificate.Kind == "client" && len(args) == 1 && certificate.Subject.CommonName == args[0] && now.Before(certificate.NotAfter) {
			revoked[serial], named = certificate.NotAfter, named+1
		} else if _, given := revoked[serial]; given {
			revoked[serial] = certificate.NotAfter
		}
	}
	if len(args) == 1 && named == 0 {
		return nil, fmt.Errorf("no valid certificate of user %q is recorded in %s: see gatehouse certificates status; one of another origin is revoked with --serial", args[0], dir)
	}
	return revoked, nil
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
			return admin.printCertificates(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), time.Now())
		},
	}
	admin.addFlags(cmd.Flags())
	return cmd
}

func (a *administrator) printCertificates(ctx context.Context, out, notes io.Writer, now time.Time) error {
	dir := filepath.Join(a.dataDir, options.CertificateDirName)
	list, err := certificates.List(dir)
	if err != nil {
		return fmt.Errorf("--data-dir=%s: %w", a.dataDir, err)
	}
	if len(list) == 0 {
		return fmt.Errorf("--data-dir=%s: %s has no certificates: start the server once to create them", a.dataDir, dir)
	}
	var revoked map[string]bool
	configMaps, err := a.configMaps()
	if err == nil {
		revoked, err = revocation.RevokedSerials(ctx, configMaps)
	}
	if err != nil {
		fmt.Fprintf(notes, "Revocations are not shown, because the server cannot be read: %v\n", err)
	}
	slices.SortStableFunc(list, func(a, b certificates.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "KIND\tNAME\tGROUPS\tEXPIRES\tSTATE\tSERIAL")
	for _, c := range list {
		serial := revocation.Serial(c.Certificate)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", c.Kind, c.Subject.CommonName, strings.Join(c.Subject.Organization, ","),
			c.NotAfter.UTC().Format(time.RFC3339), stateOf(c, revoked[serial], now), serial)
	}
	return w.Flush()
}

// stateOf returns ExpiresSoon when a third of the lifetime is left: the server renews its own
// certificates then.
func stateOf(c certificates.Certificate, revoked bool, now time.Time) string {
	switch {
	case revoked:
		return "Revoked"
	case now.After(c.NotAfter):
		return "Expired"
	case c.NotAfter.Sub(now) < c.NotAfter.Sub(c.NotBefore)/3:
		return "ExpiresSoon"
	}
	return "Valid"
}

// configMaps returns the client that reads and writes revocations.
func (a *administrator) configMaps() (corev1client.ConfigMapInterface, error) {
	config, err := a.config()
	if err != nil {
		return nil, err
	}
	client, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return client.ConfigMaps(revocation.Namespace), nil
}
