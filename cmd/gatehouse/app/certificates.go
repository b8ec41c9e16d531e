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
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// serviceNames are how a cluster reaches the Service of artifacts/deploy. kube-apiserver
// asks for the first, whatever address it connects to.
var serviceNames = []string{
	"gatehouse.gatehouse-system.svc",
	"gatehouse.gatehouse-system.svc.cluster.local",
	"gatehouse.gatehouse-system",
}

// servingCertificate is what certificates.Ensure calls the file.
const servingCertificate = "serving.crt"

// certificatesCommand holds the flags of gatehouse certificates.
type certificatesCommand struct {
	dir       string
	sans      []string
	alsoTrust []string
	output    string
}

func newCertificatesCommand() *cobra.Command {
	c := certificatesCommand{output: "caBundle"}
	cmd := &cobra.Command{
		Use:   "certificates --dir DIR",
		Short: "Make the serving certificate for a cluster and print its caBundle",
		Long: `Make an authority and a serving certificate in a directory, or keep those that are there,
and print what the cluster's APIService must trust.

The directory holds ca.crt, ca.key, serving.crt and serving.key afterwards. serving.* go
into the Secret that the server mounts; ca.key signs the next serving certificate and stays
with you. Run the command again at any time: the authority stays, and the serving
certificate is made anew when less than a third of its year is left or when it lacks a name.
Names are only added: one that the old certificate has is in the new one too.

Standard output holds nothing but the caBundle; what was done is said on standard error.`,
		Example: `  gatehouse certificates --dir pki
  gatehouse certificates --dir pki --tls-san gatehouse.example.com -o patch > ca-bundle.yaml
  gatehouse certificates --dir pki-new --also-trust pki/ca.crt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.run(cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&c.dir, "dir", c.dir, "Required. Directory of the authority and the certificate, made with mode 0700 where it is missing.")
	fs.StringSliceVar(&c.sans, "tls-san", c.sans, "Further host names and IP addresses by which clients reach the server, comma separated. The names of the Service in artifacts/deploy are always there.")
	fs.StringSliceVar(&c.alsoTrust, "also-trust", c.alsoTrust, "PEM files whose certificates are printed too, so that the authority can be changed without a gap.")
	fs.StringVarP(&c.output, "output", "o", c.output, "caBundle: base64 on one line, as APIService.spec.caBundle wants it. pem: the same as certificates. patch: a patch of the APIService, for kustomize and kubectl patch --patch-file.")
	return cmd
}

func (c certificatesCommand) run(out, notes io.Writer) error {
	if c.dir == "" {
		return fmt.Errorf("--dir is required: name the directory for the authority and the certificate")
	}
	render, ok := map[string]func([]byte) string{"caBundle": caBundleLine, "pem": caBundlePEM, "patch": caBundlePatch}[c.output]
	if !ok {
		return fmt.Errorf("--output=%s is unknown: use caBundle, pem or patch", c.output)
	}
	also, err := readAuthorities(c.alsoTrust)
	if err != nil {
		return err
	}
	bundle, err := c.ensure()
	if err != nil {
		return err
	}
	for _, warning := range bundle.Warnings {
		fmt.Fprintln(notes, "warning: "+warning)
	}
	done := "kept"
	if len(bundle.Issued) > 0 {
		done = "made " + strings.Join(bundle.Issued, " and ")
	}
	fmt.Fprintf(notes, "%s: %s; the serving certificate ends on %s, run this command again in its last four months to renew it\n",
		c.dir, done, bundle.Serving.Cert.NotAfter.Format(time.DateOnly))
	fmt.Fprintf(notes, "it is good for %s\n", strings.Join(namesOf(bundle.Serving.Cert), ", "))
	_, err = io.WriteString(out, render(bytes.Join(append([][]byte{bundle.CA.CertPEM}, also...), nil)))
	return err
}

// ensure makes or keeps the certificates.
func (c certificatesCommand) ensure() (*certificates.Bundle, error) {
	sans := slices.Concat(serviceNames, c.sans)
	// A renewal months later must not forget a name only because nobody repeated it. What
	// cannot be read is reported by Ensure.
	if old, err := cert.CertsFromFile(filepath.Join(c.dir, servingCertificate)); err == nil {
		sans = append(sans, namesOf(old[0])...)
	}
	return certificates.Ensure(c.dir, certificates.Options{ExtraSANs: sans, ServingOnly: true})
}

func namesOf(serving *x509.Certificate) []string {
	names := slices.Clone(serving.DNSNames)
	for _, ip := range serving.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// readAuthorities reads certificates and refuses what a cluster could not trust.
func readAuthorities(files []string) ([][]byte, error) {
	var pems [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("--also-trust: the file cannot be read: %w", err)
		}
		parsed, err := cert.ParseCertsPEM(data)
		if err != nil {
			return nil, fmt.Errorf("--also-trust: %s holds no readable certificate (%w): name the ca.crt of the other authority", file, err)
		}
		for _, authority := range parsed {
			if !authority.IsCA {
				return nil, fmt.Errorf("--also-trust: %s holds the certificate of %q, which is no authority: name the ca.crt of the other authority", file, authority.Subject.CommonName)
			}
		}
		// Encoded anew, so that a private key or words beside the certificates stay behind.
		encoded, err := cert.EncodeCertificates(parsed...)
		if err != nil {
			return nil, err
		}
		pems = append(pems, encoded)
	}
	return pems, nil
}

func caBundlePEM(pem []byte) string { return string(pem) }

func caBundleLine(pem []byte) string { return base64.StdEncoding.EncodeToString(pem) + "\n" }

func caBundlePatch(pem []byte) string {
	version := v1alpha1.SchemeGroupVersion
	return fmt.Sprintf(`apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: %s.%s
spec:
  caBundle: %s`, version.Version, version.Group, caBundleLine(pem))
}
