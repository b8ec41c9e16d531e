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
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// own returns the bill of the program of the test.
func own(t *testing.T) (bom, []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := run([]string{"-name", "sbom.test", "-version", "v1.2.3", "-created", "2026-01-02T03:04:05Z", os.Args[0]}, &out); err != nil {
		t.Fatal(err)
	}
	var got bom
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	return got, out.Bytes()
}

func TestTheBillHasEveryModuleThatTheProgramRecords(t *testing.T) {
	got, text := own(t)
	info, err := buildinfo.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(info.Deps) == 0 || len(got.Components) != len(info.Deps)+1 {
		t.Fatalf("%d components of %d modules and the standard library", len(got.Components), len(info.Deps))
	}
	for i, module := range info.Deps {
		c := got.Components[i+1]
		if c.Name != module.Path || c.Version != module.Version || len(c.Properties) != 1 || c.Properties[0].Value != module.Sum {
			t.Errorf("%+v is not %+v", c, module)
		}
	}
	if std := got.Components[0].PackageURL; std != "pkg:golang/std@"+strings.TrimPrefix(info.GoVersion, "go") {
		t.Errorf("the standard library is %s", std)
	}
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	if got.Metadata.Component.Hashes[0].Content != hex.EncodeToString(sum[:]) {
		t.Errorf("the sum is %v", got.Metadata.Component.Hashes)
	}
	if _, again := own(t); !bytes.Equal(text, again) {
		t.Error("a second bill has other bytes")
	}
}

func TestEveryReferenceIsThatOfOneComponent(t *testing.T) {
	got, _ := own(t)
	refs := map[string]int{got.Metadata.Component.Ref: 1}
	for _, c := range got.Components {
		refs[c.Ref]++
	}
	for ref, n := range refs {
		if n != 1 {
			t.Errorf("%s is there %d times", ref, n)
		}
	}
	for _, d := range got.Dependencies {
		for _, ref := range append(d.DependsOn, d.Ref) {
			if refs[ref] == 0 {
				t.Errorf("%s is of no component", ref)
			}
		}
	}
}

func TestAReplacedModuleIsTheOneThatWasBuilt(t *testing.T) {
	info := &buildinfo.BuildInfo{GoVersion: "go1.2.3", Path: "example.com/a/cmd/b", Main: debug.Module{Path: "example.com/a"}, Deps: []*debug.Module{{
		Path: "example.com/old", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/new", Version: "v2.0.0+incompatible", Sum: "h1:x"},
	}}}
	got := billOf(info, "b", "v1", "", nil)
	if url := got.Components[1].PackageURL; url != "pkg:golang/example.com/new@v2.0.0%2Bincompatible" {
		t.Errorf("got %s", url)
	}
	if url := got.Metadata.Component.PackageURL; url != "pkg:golang/example.com/a@v1#cmd/b" {
		t.Errorf("got %s", url)
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"no name":      {[]string{os.Args[0]}, "usage: sbom"},
		"no program":   {[]string{"-name", "a", "-version", "b"}, "usage: sbom"},
		"another file": {[]string{"-name", "a", "-version", "b", text}, "is not a Go program"},
	} {
		if err := run(test.args, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", name, err, test.want)
		}
	}
}
