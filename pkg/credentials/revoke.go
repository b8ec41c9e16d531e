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

package credentials

import (
	"context"
	"crypto/x509"
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

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// RevokeCertificates refuses the recorded certificates of the users in names, of which there may be one,
// and those with the serial numbers. The certificate with which it writes the revocation is refused only with force.
func (a *Administrator) RevokeCertificates(ctx context.Context, notes io.Writer, names, serials []string, force bool) error {
	revoked, err := a.selected(names, serials, time.Now())
	if err != nil {
		return err
	}
	if !force {
		if err := a.spareOwn(revoked); err != nil {
			return err
		}
	}
	configMaps, err := a.configMaps()
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

// spareOwn returns an error if the certificate that connects to the server is among those to revoke.
func (a *Administrator) spareOwn(revoked map[string]time.Time) error {
	config, err := a.config()
	if err != nil {
		return err
	}
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil || tlsConfig == nil || tlsConfig.GetClientCertificate == nil {
		return err
	}
	pair, err := tlsConfig.GetClientCertificate(nil)
	if err != nil || len(pair.Certificate) == 0 {
		return err
	}
	own, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return err
	}
	serial := revocation.Serial(own)
	if _, given := revoked[serial]; !given {
		return nil
	}
	return fmt.Errorf("%s is the serial number of the certificate with which this command connects (%s): it would lock itself out, and could not undo that. Use --kubeconfig of another administrator, or --force (docs/authentication.md has the way back in)", serial, own.Subject.CommonName)
}

// selected returns the expiry of each certificate to revoke, by serial number.
func (a *Administrator) selected(names, givenSerials []string, now time.Time) (map[string]time.Time, error) {
	switch {
	case len(names) == 0 && len(givenSerials) == 0:
		return nil, errors.New("a user's NAME or --serial is required: see gatehouse certificates status")
	case len(names) > 1:
		return nil, fmt.Errorf("one NAME can be given, not %d: revoke each user with a command of its own", len(names))
	}
	dir := filepath.Join(a.DataDir, a.CertificateDir)
	list, err := certificates.List(dir)
	if err != nil {
		return nil, fmt.Errorf("--data-dir=%s: %w", a.DataDir, err)
	}
	revoked := map[string]time.Time{}
	for _, given := range givenSerials {
		serial, ok := new(big.Int).SetString(strings.ReplaceAll(strings.TrimPrefix(strings.ToLower(given), "0x"), ":", ""), 16)
		if !ok || serial.Sign() <= 0 {
			return nil, fmt.Errorf("--serial=%s is not a serial number: write hexadecimal digits, such as 3d1f0c5a", given)
		}
		revoked[serial.Text(16)] = time.Time{}
	}
	named := 0
	for _, certificate := range list {
		serial := revocation.Serial(certificate.Certificate)
		if certificate.Kind == "client" && len(names) == 1 && certificate.Subject.CommonName == names[0] && now.Before(certificate.NotAfter) {
			revoked[serial], named = certificate.NotAfter, named+1
		} else if _, given := revoked[serial]; given {
			if certificate.Kind == "ca" || certificate.Kind == "serving" {
				return nil, fmt.Errorf("--serial=%s is that of the server's %s certificate, and a revocation of it has no effect: only certificates with which clients connect are checked", serial, certificate.Kind)
			}
			revoked[serial] = certificate.NotAfter
		}
	}
	if len(names) == 1 && named == 0 {
		return nil, fmt.Errorf("no valid certificate of user %q is recorded in %s: see gatehouse certificates status; one of another origin is revoked with --serial", names[0], dir)
	}
	return revoked, nil
}

// PrintCertificates writes a table of the certificates in the data directory, the one that expires first
// at the top. A note says so if revocations cannot be read from the server.
func (a *Administrator) PrintCertificates(ctx context.Context, out, notes io.Writer, now time.Time) error {
	dir := filepath.Join(a.DataDir, a.CertificateDir)
	list, err := certificates.List(dir)
	if err != nil {
		return fmt.Errorf("--data-dir=%s: %w", a.DataDir, err)
	}
	if len(list) == 0 {
		return fmt.Errorf("--data-dir=%s: %s has no certificates: start the server once to create them", a.DataDir, dir)
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
