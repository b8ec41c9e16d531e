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

package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

func archive(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("archive"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheManifestHasEveryArchive(t *testing.T) {
	var out bytes.Buffer
	err := run([]string{"-version", "v1.2.3", "-url", "https://example.com/v1.2.3/", archive(t, "kubectl-gatehouse_v1.2.3_windows_amd64.tar.gz"), archive(t, "kubectl-gatehouse_v1.2.3_linux_arm64.tar.gz")}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var got manifest
	if err := yaml.UnmarshalStrict(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || got.Kind != "Plugin" || got.Metadata.Name != "gatehouse" || got.Spec.Version != "v1.2.3" || len(got.Spec.Platforms) != 2 {
		t.Fatalf("got %s", out.String())
	}
	for i, want := range []struct{ os, arch, bin string }{{"linux", "arm64", "kubectl-gatehouse"}, {"windows", "amd64", "kubectl-gatehouse.exe"}} {
		p := got.Spec.Platforms[i]
		if p.Selector.MatchLabels["os"] != want.os || p.Selector.MatchLabels["arch"] != want.arch || p.Bin != want.bin || p.SHA256 != fmt.Sprintf("%x", sha256.Sum256([]byte("archive"))) ||
			p.URI != "https://example.com/v1.2.3/kubectl-gatehouse_v1.2.3_"+want.os+"_"+want.arch+".tar.gz" {
			t.Errorf("got %+v, want %+v", p, want)
		}
	}
	if len(got.Spec.ShortDescription) > 50 {
		t.Errorf("the index of krew takes 50 characters: %q", got.Spec.ShortDescription)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	good := archive(t, "kubectl-gatehouse_v1.2.3_linux_arm64.tar.gz")
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"a version without v":        {[]string{"-version", "1.2.3", "-url", "https://example.com", good}, "usage: krew"},
		"a URL without TLS":          {[]string{"-version", "v1.2.3", "-url", "http://example.com", good}, "usage: krew"},
		"no archive":                 {[]string{"-version", "v1.2.3", "-url", "https://example.com"}, "usage: krew"},
		"an archive of no platform":  {[]string{"-version", "v1.2.3", "-url", "https://example.com", "x.tar.gz"}, "is not NAME_VERSION"},
		"an archive that is missing": {[]string{"-version", "v1.2.3", "-url", "https://example.com", good + "/a_linux_arm64.tar.gz"}, "a_linux_arm64"},
	} {
		if err := run(test.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
