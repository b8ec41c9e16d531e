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

package certificates

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	caName      = "ca"
	servingName = "serving"
	adminName   = "admin"

	// AdminUser is the name in the administrator's client certificate.
	AdminUser = "gatehouse-admin"
	// AdminGroup is its group; k8s.io/apiserver exempts it from authorization.
	AdminGroup = user.SystemPrivilegedGroup
)

// Options are the options of Ensure and of the Renewer.
type Options struct {
	// ExtraSANs are host names and IP addresses beside localhost, gatehouse and
	// the loopback addresses under which clients reach the server.
	ExtraSANs []string
	// Changing returns further ones that may change while the server runs, such as the
	// addresses of the machine. It is called at each check: a certificate that lacks one of
	// them is replaced, one that has more is kept. Nil for none.
	Changing func() []string
	// ServingOnly makes no administrator's certificate: behind a kube-apiserver the cluster
	// authenticates administrators, and this authority is not trusted for clients.
	ServingOnly bool
	// Clock is the real one except in tests.
	Clock clock.WithTicker
}

// Bundle is the content of a certificate directory.
type Bundle struct {
	// Dir is the directory.
	Dir string
	// CA signs the others and is the client CA of the server.
	CA KeyPair
	// Serving is the server's certificate.
	Serving KeyPair
	// Admin is the first administrator's client certificate; none with ServingOnly.
	Admin KeyPair

	// CAFile is for the server's client CA; it and the serving files change in
	// place, so read them with providers that reload.
	CAFile          string
	ServingCertFile string
	ServingKeyFile  string

	// Issued names the pairs that this call made: ca, serving, admin.
	Issued []string
	// Warnings are sentences for the log.
	Warnings []string
}

// Ensure returns the certificates in dir. It creates what is missing and renews
// the serving and the admin certificate when less than a third of their lifetime is
// left, when the CA did not sign them, or when the serving certificate lacks a
// requested name. It never replaces a CA or a file that it cannot read:
// its errors name the file and the cure.
func Ensure(dir string, opts Options) (*Bundle, error) {
	return ensure(dir, opts, true)
}

// LoadCA reads the cluster CA from dir and changes nothing. Like Ensure, it refuses files of other
// users (see pkg/files).
func LoadCA(dir string) (KeyPair, error) {
	if err := files.Directory(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return KeyPair{}, err
	}
	pair, found, err := filesOf(dir, caName).read(caCure(dir))
	if err == nil && !found {
		err = fmt.Errorf("%s holds no cluster CA: start the server once to make one", dir)
	}
	return pair, err
}

func ensure(dir string, opts Options, mayCreateCA bool) (*Bundle, error) {
	names := opts.ExtraSANs
	if opts.Changing != nil {
		names = slices.Concat(names, opts.Changing())
	}
	dnsNames, ips, err := subjectNames(names)
	if err != nil {
		return nil, err
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	now := opts.Clock.Now()

	ca, serving, admin := filesOf(dir, caName), filesOf(dir, servingName), filesOf(dir, adminName)
	b := &Bundle{Dir: dir, CAFile: ca.cert, ServingCertFile: serving.cert, ServingKeyFile: serving.key}
	if err := b.prepare(mayCreateCA, ca, serving, admin); err != nil {
		return nil, err
	}

	var foundCA, foundServing, foundAdmin bool
	if b.CA, foundCA, err = ca.read(caCure(dir)); err != nil {
		return nil, err
	}
	if b.Serving, foundServing, err = serving.read(leafCure(serving)); err != nil {
		return nil, err
	}
	if b.Admin, foundAdmin, err = admin.read(leafCure(admin)); err != nil {
		return nil, err
	}

	changes, err := b.ensureCA(ca, foundCA, mayCreateCA && !foundServing && !foundAdmin, now)
	if err != nil {
		return nil, err
	}
	if !foundServing || mustRenew(b.Serving.Cert, b.CA.Cert, now) || !covers(b.Serving.Cert, dnsNames, ips) {
		if b.Serving, err = issueServing(b.CA, dnsNames, ips, now); err != nil {
			return nil, err
		}
		changes = append(changes, replacement{files: serving, pair: b.Serving})
		b.Issued = append(b.Issued, servingName)
	}
	if !opts.ServingOnly && (!foundAdmin || mustRenew(b.Admin.Cert, b.CA.Cert, now)) {
		if b.Admin, err = issueClient(b.CA, AdminUser, []string{AdminGroup}, leafLifetime, now, backdate); err != nil {
			return nil, err
		}
		changes = append(changes, replacement{files: admin, pair: b.Admin})
		b.Issued = append(b.Issued, adminName)
	}

	if len(changes) == 0 {
		return b, nil
	}
	if err := replace(dir, changes); err != nil {
		return nil, err
	}
	return b, nil
}

// ensureCA checks the CA that was found, or creates it.
func (b *Bundle) ensureCA(ca pairFiles, found, mayCreate bool, now time.Time) ([]replacement, error) {
	if found {
		return nil, b.checkCA(now)
	}
	if !mayCreate {
		return nil, fmt.Errorf("%s and %s are gone while certificates that they signed are in use: %s", ca.cert, ca.key, caCure(b.Dir))
	}
	var err error
	if b.CA, err = issueCA(now); err != nil {
		return nil, err
	}
	b.Issued = append(b.Issued, caName)
	return []replacement{{files: ca, pair: b.CA}}, nil
}

// prepare makes the directory, removes the permissions of other users, and completes or
// reverts a replacement that a crash interrupted.
func (b *Bundle) prepare(mayCreate bool, ca, serving, admin pairFiles) error {
	if mayCreate {
		if err := files.MakeDirectory(b.Dir); err != nil {
			return fmt.Errorf("make the certificate directory: %w", err)
		}
	} else if err := files.Directory(b.Dir); err != nil {
		return fmt.Errorf("the certificate directory: %w", err)
	}

	if err := ca.finish(true); err != nil {
		return err
	}
	// An interrupted first start may have staged a leaf but not its CA: such a leaf
	// is useless, and with it the CA would seem to be lost.
	_, err := os.Stat(ca.cert)
	haveCA := err == nil
	for _, leaf := range []pairFiles{serving, admin} {
		if err := leaf.finish(haveCA); err != nil {
			return err
		}
	}

	modes := []struct {
		path string
		want fs.FileMode
	}{{b.Dir, dirMode}, {ca.key, keyMode}, {serving.key, keyMode}, {admin.key, keyMode}}
	for _, m := range modes {
		warning, err := tighten(m.path, m.want)
		if err != nil {
			return err
		}
		if warning != "" {
			b.Warnings = append(b.Warnings, warning)
		}
	}
	return nil
}

// checkCA refuses a certificate that is not a CA or not valid now, and warns in its last
// year, in which certificates cannot have their full life.
func (b *Bundle) checkCA(now time.Time) error {
	ca := b.CA.Cert
	cure := "to have a new one, stop the server, remove " + b.Dir + " and start again; then every kubeconfig and client certificate must be issued again"
	switch {
	case !ca.IsCA:
		return fmt.Errorf("%s is not a certificate authority: %s", b.CAFile, caCure(b.Dir))
	case now.Before(ca.NotBefore):
		return fmt.Errorf("%s is valid from %s on, but the clock of this machine is at %s: set the clock",
			b.CAFile, ca.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(ca.NotAfter):
		return fmt.Errorf("the cluster CA in %s expired on %s: %s", b.CAFile, ca.NotAfter.Format(time.DateOnly), cure)
	case ca.NotAfter.Sub(now) < leafLifetime:
		b.Warnings = append(b.Warnings, fmt.Sprintf("the cluster CA in %s ends on %s: %s", b.CAFile, ca.NotAfter.Format(time.DateOnly), cure))
	}
	return nil
}

// mustRenew reports whether a certificate is invalid or expires soon. Renewal does not
// help one that expires with its CA.
func mustRenew(leaf, ca *x509.Certificate, now time.Time) bool {
	if leaf.CheckSignatureFrom(ca) != nil || now.Before(leaf.NotBefore) {
		return true
	}
	left, life := leaf.NotAfter.Sub(now), leaf.NotAfter.Sub(leaf.NotBefore)
	return left < life/3 && leaf.NotAfter.Before(ca.NotAfter)
}

// covers reports whether the certificate has every name.
func covers(leaf *x509.Certificate, dnsNames []string, ips []net.IP) bool {
	for _, name := range dnsNames {
		if !slices.Contains(leaf.DNSNames, name) {
			return false
		}
	}
	for _, ip := range ips {
		if !slices.ContainsFunc(leaf.IPAddresses, ip.Equal) {
			return false
		}
	}
	return true
}

// subjectNames sorts the names of the serving certificate into host names and
// addresses, each once.
func subjectNames(extra []string) (dnsNames []string, ips []net.IP, err error) {
	dnsNames = []string{"localhost", "gatehouse"}
	ips = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, name := range extra {
		if ip := net.ParseIP(name); ip != nil {
			if !slices.ContainsFunc(ips, ip.Equal) {
				ips = append(ips, ip)
			}
			continue
		}
		host := strings.ToLower(name)
		if len(validation.IsDNS1123Subdomain(host)) > 0 && len(validation.IsWildcardDNS1123Subdomain(host)) > 0 {
			return nil, nil, fmt.Errorf("%q cannot be a name in the serving certificate: use a host name such as box.example.com or an IP address, without scheme and port", name)
		}
		if !slices.Contains(dnsNames, host) {
			dnsNames = append(dnsNames, host)
		}
	}
	return dnsNames, ips, nil
}

func caCure(dir string) string {
	return fmt.Sprintf("restore %s.crt and %s.key from a backup, or remove %s to start with a new CA, after which every kubeconfig and client certificate must be issued again",
		filepath.Join(dir, caName), filepath.Join(dir, caName), dir)
}

func leafCure(leaf pairFiles) string {
	return fmt.Sprintf("remove %s and %s, and a new pair is made at the next start", leaf.cert, leaf.key)
}
