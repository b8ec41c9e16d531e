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

package imports

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the path of the module's root from here.
var root = filepath.Join("..", "..")

// goCommand runs go in the root of the module.
func goCommand(t *testing.T, args ...string) []byte {
	t.Helper()
	watchSources(t)
	command := exec.CommandContext(t.Context(), "go", args...)
	command.Dir = root
	var stderr bytes.Buffer
	command.Stderr = &stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// watchSources opens every source file. Go caches a test result while the files that the test opened
// are unchanged, and does not see which files a go list inside the test reads.
func watchSources(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "bin") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".go") || entry.Name() == "go.mod" {
			_, err = os.Stat(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // an editor's temporary file
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// packageImports is the output of go list for a package. Imports are those of its code, and the others those of
// its tests, which may import more.
type packageImports struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func listPackages(t *testing.T, which ...string) []packageImports {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(goCommand(t, append([]string{"list", "-json=ImportPath,Imports,TestImports,XTestImports"}, which...)...)))
	var packages []packageImports
	for {
		var p packageImports
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

func TestEveryPackageImportsOnlyWhatItsRoomMay(t *testing.T) {
	packages := listPackages(t, "./...")
	if len(packages) < 20 {
		t.Fatalf("go list finds only %d packages", len(packages))
	}
	for _, p := range packages {
		importer := strings.TrimPrefix(p.ImportPath, module)
		if home, _ := roomOf(importer); home == nil {
			t.Errorf("%s matches no room: add one to rooms in test/imports/rooms_test.go and to ARCHITECTURE.md", importer)
			continue
		}
		for _, imported := range p.Imports {
			imported = strings.TrimPrefix(imported, module)
			if why := verdict(importer, imported); why != "" {
				t.Errorf("%s imports %s: %s", importer, imported, why)
			}
		}
		for _, imported := range append(p.TestImports, p.XTestImports...) {
			imported = strings.TrimPrefix(imported, module)
			if why := verdictOfTest(importer, imported); why != "" {
				t.Errorf("the tests of %s import %s: %s", importer, imported, why)
			}
		}
	}
}

func TestTheRulesSayWhatARoomMayAndMayNot(t *testing.T) {
	for _, test := range []struct {
		importer, imported string
		may                bool
	}{
		{"pkg/apis/fleet/v1alpha1", "pkg/apis/fleet", true},
		{"pkg/apis/fleet/v1alpha1", "fmt", true},
		{"pkg/apis/fleet/v1alpha1", "k8s.io/apimachinery/pkg/runtime", true},
		{"pkg/apis/fleet/v1alpha1", "k8s.io/apiserver/pkg/registry/rest", false},
		{"pkg/apis/fleet/v1alpha1", "pkg/apis/diagnostics", false},
		{"pkg/apis/fleet/v1alpha1", "pkg/apis/fleet/validation", false},
		{"pkg/apis/fleet/v1alpha1", "pkg/apis/fleet/v1alpha1/helper", true},
		{"pkg/apis/fleet/v1alpha1/helper", "k8s.io/client-go/kubernetes", false},
		{"pkg/quota", "pkg/apis/fleet/v1alpha1", true},
		{"pkg/agent", "pkg/agent/runtime", true},
		{"pkg/agent", "pkg/agent/runtime/simulated", false},
		{"pkg/agent", "k8s.io/apiserver/pkg/authentication/user", false},
		{"pkg/agent/runtime", "pkg/agent", false},
		{"pkg/apis/fleet/validation", "pkg/apis/fleet", true},
		{"pkg/apis/fleet/validation", "k8s.io/client-go/kubernetes", false},
		{"pkg/apis/fleet/install", "pkg/apis/fleet/v1beta1", true},
		{"pkg/generated/listers/fleet/v1alpha1", "pkg/apis/fleet/v1alpha1", true},
		{"pkg/generated/listers/fleet/v1alpha1", "pkg/apis/fleet", false},
		{"pkg/registry/base", "k8s.io/apiserver/pkg/registry/rest", true},
		{"pkg/registry/base", "pkg/apis/fleet", false},
		{"pkg/registry/base", "k8s.io/apiserver/pkg/server", false},
		{"pkg/registry/fleet", "pkg/registry/fleet/host", true},
		{"pkg/registry/fleet/instance", "pkg/registry/base", true},
		{"pkg/registry/fleet/instance", "pkg/registry/fleet/host", false},
		{"pkg/registry/fleet/instance", "pkg/apis/core", false},
		{"pkg/registry/fleet/instance", "pkg/generated/clientset/versioned", false},
		{"pkg/registry/fleet/instance", "pkg/storage/embedded", false},
		{"pkg/admission/plugin/quota", "k8s.io/apiserver/pkg/quota/v1", true},
		{"pkg/admission/plugin/quota", "pkg/registry/base", false},
		{"pkg/authentication", "pkg/authorization", false},
		{"pkg/storage", "pkg/storage/embedded", false},
		{"pkg/storage", "pkg/apis/fleet", false},
		{"pkg/storage/embedded", "go.etcd.io/etcd/server/v3/embed", true},
		{"pkg/storage/embedded", "k8s.io/apiserver/pkg/storage", false},
		{"pkg/controller/app", "pkg/generated/informers/externalversions", true},
		{"pkg/controller/app", "pkg/apis/fleet", false},
		{"pkg/controller/app", "k8s.io/apiserver/pkg/storage", false},
		{"pkg/controller/app", "pkg/controller/release", false},
		{"test/kit", "pkg/apis/fleet", false},
		{"test/kit/metrics", "github.com/prometheus/common/expfmt", true},
		{"pkg/apiserver", "pkg/registry/fleet", true},
		{"pkg/apiserver", "pkg/storage", true},
		{"pkg/apiserver", "pkg/storage/embedded", false},
		{"pkg/apiserver", "pkg/controller/app", false},
		{"pkg/apiserver", "cmd/gatehouse/app", false},
		{"pkg/certificates", "k8s.io/client-go/util/cert", true},
		{"pkg/certificates", "k8s.io/client-go/kubernetes", false},
		{"pkg/controller/manager", "pkg/controller/release", true},
		{"pkg/controller/manager", "k8s.io/apiserver/pkg/server/healthz", false},
		{"pkg/delegation", "pkg/admission", true},
		{"pkg/delegation", "pkg/registry/base", false},
		{"pkg/apiserver", "pkg/delegation", false},
		{"pkg/apiserver", "pkg/server", false},
		{"pkg/server", "pkg/delegation", true},
		{"cmd/gatehouse/app", "pkg/storage/embedded", true},
		{"cmd/gatehouse/app", "github.com/spf13/cobra", true},
		{"cmd/gatehouse/app", "go.etcd.io/etcd/server/v3/embed", false},
		{"cmd/gatehouse/app", "k8s.io/kubernetes/pkg/apis/core", false},
		{"cmd/gatehouse/app", "test/registrytest", false},
		{"pkg/newroom", "k8s.io/client-go/kubernetes", false},
	} {
		if why := verdict(test.importer, test.imported); (why == "") != test.may {
			t.Errorf("%s imports %s: want allowed %v, got %q", test.importer, test.imported, test.may, why)
		}
	}
}

func TestTheRulesSayWhatTestsMayAndMayNot(t *testing.T) {
	for _, test := range []struct {
		importer, imported string
		may                bool
	}{
		{"pkg/storage/embedded", "test/kit", true},
		{"pkg/controller/app", "pkg/generated/clientset/versioned/fake", true},
		{"pkg/controller/app", "k8s.io/client-go/testing", true},
		{"pkg/storage", "pkg/storage/embedded", true},
		{"pkg/controller/app", "pkg/registry/base", false},
		{"pkg/registry/fleet/host", "pkg/admission", false},
		{"pkg/registry/fleet/app", "pkg/registry/fleet/release", true},
		{"pkg/registry/fleet/app", "pkg/registry/core/secret", false},
		{"pkg/certificates", "cmd/gatehouse/app/testing", false},
		{"cmd/gatehouse/app", "cmd/gatehouse/app/testing", true},
	} {
		if why := verdictOfTest(test.importer, test.imported); (why == "") != test.may {
			t.Errorf("the tests of %s import %s: want allowed %v, got %q", test.importer, test.imported, test.may, why)
		}
	}
}

func TestClientsLinkNoServer(t *testing.T) {
	for _, tc := range []struct{ which, not string }{
		{"./pkg/agent/...", `k8s\.io/apiserver(/.*)?|go\.etcd\.io/.*|pkg/(apiserver|registry|storage|admission|controller)(/.*)?`},
		{"./cmd/gatehouse-agent", `k8s\.io/apiserver(/.*)?|go\.etcd\.io/.*|pkg/(apiserver|registry|storage|admission|controller)(/.*)?`},
		{"./pkg/simulation", `k8s\.io/apiserver(/.*)?|go\.etcd\.io/.*|pkg/(apiserver|registry|storage|admission|controller)(/.*)?`},
		{"./cmd/kubectl-gatehouse", `k8s\.io/apiserver(/.*)?|go\.etcd\.io/.*|pkg/(agent|apiserver|registry|storage|admission|controller)(/.*)?`},
	} {
		linked := listPackages(t, "-deps", tc.which)
		if len(linked) < 200 {
			t.Fatalf("go list finds only %d packages that %s links", len(linked), tc.which)
		}
		for _, p := range linked {
			if own := strings.TrimPrefix(p.ImportPath, module); matches(tc.not, own) {
				t.Errorf("%s links %s: 'go list -deps -json %s' shows what imports it", tc.which, own, tc.which)
			}
		}
	}
}

// fakeImporters are the packages of libraries that import client-go's fakes outside of
// tests, and so link them into every server on k8s.io/apiserver.
var fakeImporters = map[string]string{
	"k8s.io/apiserver/pkg/admission/plugin/policy/generic": "policy_test_context.go is a helper of tests in an ordinary file; k8s.io/apiserver/pkg/server imports the package",
	"k8s.io/client-go/gentype":                             "fake.go stands beside the real generic client",
}

func isFake(path string) bool {
	return strings.HasPrefix(path, "k8s.io/client-go/") && (strings.HasSuffix(path, "/fake") || path == "k8s.io/client-go/testing")
}

func TestTheProgramLinksNeitherKubernetesNorTestCodeNorFakesOfItsOwnAccord(t *testing.T) {
	linked := listPackages(t, "-deps", "./cmd/gatehouse")
	if len(linked) < 500 {
		t.Fatalf("go list finds only %d linked packages", len(linked))
	}
	seen := map[string]bool{}
	for _, p := range linked {
		own := strings.TrimPrefix(p.ImportPath, module)
		if matches(`k8s\.io/kubernetes(/.*)?|k8s\.io/apimachinery/pkg/api/apitesting(/.*)?`, p.ImportPath) ||
			matches("pkg/generated/.*/fake|test/registrytest|pkg/apis/[a-z]+/fuzzer|cmd/gatehouse/app/testing", own) {
			t.Errorf("cmd/gatehouse links %s: 'go list -deps -json ./cmd/gatehouse' shows what imports it", own)
		}
		if isFake(p.ImportPath) || !slices.ContainsFunc(p.Imports, isFake) {
			continue
		}
		seen[p.ImportPath] = true
		if _, known := fakeImporters[p.ImportPath]; !known {
			t.Errorf("cmd/gatehouse links client-go's fakes through %s: they slow down every start", own)
		}
	}
	for importer := range fakeImporters {
		if !seen[importer] {
			t.Errorf("%s no longer imports client-go's fakes: remove it from fakeImporters", importer)
		}
	}
}

func TestTheModuleReplacesNothingAndDoesNotRequireKubernetes(t *testing.T) {
	var mod struct {
		Replace []any
		Require []struct{ Path string }
	}
	if err := json.Unmarshal(goCommand(t, "mod", "edit", "-json"), &mod); err != nil {
		t.Fatal(err)
	}
	if len(mod.Replace) > 0 {
		t.Errorf("go.mod has replace lines, which have no effect for importers of this module: %v", mod.Replace)
	}
	if len(mod.Require) < 10 {
		t.Fatalf("go.mod requires only %d modules", len(mod.Require))
	}
	for _, required := range mod.Require {
		if required.Path == "k8s.io/kubernetes" || required.Path == "sigs.k8s.io/controller-runtime" {
			t.Errorf("go.mod requires %s: it belongs in a separate module below test/", required.Path)
		}
	}
}
