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
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// runCertificates runs the command line and returns its output.
func runCertificates(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := newCertificatesCommand()
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	err = cmd.ExecuteContext(t.Context())
	return stdout.String(), stderr.String(), err
}

func mustRunCertificates(t *testing.T, args ...string) (out, notes string) {
	t.Helper()
	out, notes, err := runCertificates(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out, notes
}

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestCertificatesPrintsTheCABundleAloneAndOnOneLine(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	out, notes := mustRunCertificates(t, "--dir", dir)
	if strings.Count(out, "\n") != 1 || !strings.HasSuffix(out, "\n") {
		t.Errorf("standard output is not one line: %q", out)
	}
	bundle, err := base64.StdEncoding.DecodeString(strings.TrimSpace(out))
	if err != nil {
		t.Fatal(err)
	}
	if string(bundle) != read(t, dir, "ca.crt") {
		t.Errorf("the caBundle is not the authority in ca.crt: %s", bundle)
	}
	if !strings.Contains(notes, "made ca and serving") {
		t.Errorf("standard error does not name the new files: %q", notes)
	}
}

func TestCertificatesSignsForTheServiceAndMakesNoAdministrator(t *testing.T) {
	dir := t.TempDir()
	mustRunCertificates(t, "--dir", dir, "--tls-san", "gatehouse.example.com,10.1.2.3")
	authority, err := cert.NewPool(filepath.Join(dir, "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	serving, err := cert.CertsFromFile(filepath.Join(dir, certificates.ServingCertFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(slices.Clone(certificates.ServiceNames), "gatehouse.example.com", "10.1.2.3") {
		if _, err := serving[0].Verify(x509.VerifyOptions{Roots: authority, DNSName: name}); err != nil {
			t.Errorf("a client that connects to %s would refuse the certificate: %v", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, entry := range entries {
		files = append(files, entry.Name())
	}
	if want := []string{"ca.crt", "ca.key", "serving.crt", "serving.key"}; !slices.Equal(files, want) {
		t.Errorf("the directory holds %v, not %v", files, want)
	}
}

func TestCertificatesKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	first, _ := mustRunCertificates(t, "--dir", dir, "--tls-san", "gatehouse.example.com")
	serving := read(t, dir, certificates.ServingCertFile)
	second, notes := mustRunCertificates(t, "--dir", dir)
	if second != first || read(t, dir, certificates.ServingCertFile) != serving || !strings.Contains(notes, ": kept;") {
		t.Errorf("a second run changed something: %s", notes)
	}
}

func TestCertificatesAddsNamesAndForgetsNone(t *testing.T) {
	dir := t.TempDir()
	first, _ := mustRunCertificates(t, "--dir", dir, "--tls-san", "first.example.com,10.1.2.3")
	second, notes := mustRunCertificates(t, "--dir", dir, "--tls-san", "second.example.com")
	if second != first {
		t.Error("the authority has changed, so the caBundle in the cluster would be invalid")
	}
	serving, err := cert.CertsFromFile(filepath.Join(dir, certificates.ServingCertFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first.example.com", "second.example.com", "10.1.2.3"} {
		if !slices.Contains(certificates.NamesOf(serving[0]), want) || !strings.Contains(notes, want) {
			t.Errorf("%s is not in the certificate or not in the notes: %v, %s", want, certificates.NamesOf(serving[0]), notes)
		}
	}
}

func TestCertificatesCanOverlapTwoAuthorities(t *testing.T) {
	before, after := t.TempDir(), t.TempDir()
	mustRunCertificates(t, "--dir", before)
	// A key in the same file must not be published.
	both := filepath.Join(t.TempDir(), "old.pem")
	if err := os.WriteFile(both, []byte(read(t, before, "ca.key")+read(t, before, "ca.crt")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := mustRunCertificates(t, "--dir", after, "--also-trust", both, "-o", "pem")
	if want := read(t, after, "ca.crt") + read(t, before, "ca.crt"); out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
}

func TestCertificatesPatchFillsTheAPIServices(t *testing.T) {
	dir := t.TempDir()
	line, _ := mustRunCertificates(t, "--dir", dir)
	out, _ := mustRunCertificates(t, "--dir", dir, "-o", "patch")
	var names []string
	for _, document := range strings.Split(out, "---\n") {
		data, err := utilyaml.ToJSON([]byte(document))
		if err != nil {
			t.Fatal(err)
		}
		var patch struct {
			APIVersion, Kind string
			Metadata         struct{ Name string }
			Spec             struct{ CABundle string }
		}
		if err := json.Unmarshal(data, &patch); err != nil {
			t.Fatal(err)
		}
		if patch.APIVersion != "apiregistration.k8s.io/v1" || patch.Kind != "APIService" || patch.Spec.CABundle != strings.TrimSpace(line) {
			t.Errorf("not a patch of an APIService with the caBundle: %s", document)
		}
		names = append(names, patch.Metadata.Name)
	}
	if want := "v1alpha1.fleet.gatehouse.dev v1alpha1.diagnostics.gatehouse.dev"; strings.Join(names, " ") != want {
		t.Errorf("the patches are of %v, want %s", names, want)
	}
}

func TestCertificatesRefusesWhatItCannotDo(t *testing.T) {
	dir := t.TempDir()
	bundle, err := certificates.Ensure(filepath.Join(dir, "pki"), certificates.Options{ServingOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(dir, "damaged")
	if err := os.Mkdir(damaged, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "serving.crt"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no directory":                       {[]string{}, "--dir is required: name the directory"},
		"an unknown output":                  {[]string{"--dir", dir, "-o", "yaml"}, "--output=yaml is unknown: use caBundle, pem or patch"},
		"a URL for a name":                   {[]string{"--dir", filepath.Join(dir, "pki"), "--tls-san", "https://gatehouse.example.com"}, "without scheme and port"},
		"a file that is not there":           {[]string{"--dir", dir, "--also-trust", filepath.Join(dir, "no.crt")}, "--also-trust: the file cannot be read"},
		"a file without a certificate":       {[]string{"--dir", dir, "--also-trust", bundle.ServingKeyFile}, "holds no readable certificate"},
		"a certificate that is no authority": {[]string{"--dir", dir, "--also-trust", bundle.ServingCertFile}, "which is no authority: name the ca.crt"},
		"a damaged certificate":              {[]string{"--dir", damaged}, "serving.key is missing while"},
		"an argument":                        {[]string{"--dir", dir, "pki"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := runCertificates(t, test.args...)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, and not %q", err, test.want)
			}
			if out != "" {
				t.Errorf("standard output is not empty: %q", out)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "ca.crt")); err == nil {
		t.Error("a refused command created an authority")
	}
}
