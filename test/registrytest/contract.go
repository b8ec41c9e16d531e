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

package registrytest

import (
	"context"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/meta"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/randfill"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// fills is the number of random objects for each rule.
const fills = 10

// Group is an API group and the resources that it must serve.
type Group struct {
	Name   string
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	// NewStorage builds the group's storages, by version and path.
	NewStorage func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error)
	// Fuzzer fills the group's hub types.
	Fuzzer fuzzer.FuzzerFuncs
	// Fixtures is the directory of the wire fixtures.
	Fixtures string
	// Builtin is true for Kubernetes' own kinds: the hub is the wire type, they have the etcd paths of a
	// kube-apiserver, and k8s.io/api has their fixtures.
	Builtin bool
	// Resources are the served resources. Samples are created in this order, before any other object.
	Resources []Resource
}

// Resource is the contract of a stored resource.
type Resource struct {
	// Name is the plural name under which the resource is installed.
	Name, Singular, Kind   string
	ShortNames, Categories []string
	Namespaced             bool
	// Verbs of the resource itself, in alphabetical order.
	Verbs []string
	// Columns are the headings that kubectl prints, and WideColumns those that -o wide adds.
	Columns, WideColumns []string
	// SelectableFields are those besides metadata.name and metadata.namespace, Indexes are the
	// indexed ones in the order in which a list tries them, and WatchIndex is the one by which
	// watches are dispatched.
	SelectableFields, Indexes []string
	WatchIndex                string
	// Sample returns a valid hub object with a valid status; Key is its key in etcd.
	Sample func() runtime.Object
	Key    string
	// InitialStatus is the status of a new object, except for the times of its conditions; nil means
	// empty.
	InitialStatus any
	// ChangeSpec makes a valid change of the spec; nil if only metadata can change.
	ChangeSpec func(runtime.Object)
	// NoGeneration is true for kinds of Kubernetes without metadata.generation.
	NoGeneration bool
	// CreateByPut and Unconditional are the strategy's settings, for kinds of Kubernetes.
	CreateByPut, Unconditional bool
	// StatusWritesMetadata is true for kinds of Kubernetes with a status endpoint that writes labels and
	// annotations.
	StatusWritesMetadata bool
	// LeavesAlone are the fields that a write to the resource does not change, if they are not the status.
	LeavesAlone []string
	// Subresources are all endpoints below the resource.
	Subresources []Subresource
}

// Subresource is the contract of an endpoint below a resource.
type Subresource struct {
	Name, Kind string
	// Options is the kind of its query parameters, if it is a kind of its own beside Kind.
	Options string
	Verbs   []string
	// Foreign is true if the kind belongs to another group, such as autoscaling/v1 Scale: that group
	// has its fixtures, and the endpoint implements rest.GroupVersionKindProvider.
	Foreign bool
	// Body returns a valid body for a create at the endpoint, for the verb create.
	Body func() runtime.Object
	// LeavesAlone are the fields that a write to the endpoint does not change, with dots between the names. A
	// status endpoint needs them only if they are not those of every other.
	LeavesAlone []string
}

// Storage is what a resource must implement: a store of base.NewStore, which is the only code that
// resources share, used directly or embedded in another type.
type Storage interface {
	rest.Storage
	rest.Creater
	rest.Updater
	rest.Getter
	rest.GracefulDeleter
	Base() *base.Store
}

// StandardVerbs are the verbs of a resource without any restriction.
var StandardVerbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}

// contract is one run of the test.
type contract struct {
	Group
	etcd     *Etcd
	versions map[string]map[string]rest.Storage
	// storages are those of the newest version; all versions share them.
	storages map[string]rest.Storage
	filler   *randfill.Filler
}

// Contract builds the group's storage on a real etcd and walks every path of it.
func Contract(t *testing.T, group Group) {
	t.Helper()
	c := &contract{Group: group, etcd: StartEtcd(t)}
	var err error
	c.versions, err = group.NewStorage(group.Scheme, c.etcd.StorageOptions(group.Scheme, group.Codecs))
	if err != nil {
		t.Fatalf("building the storage: %v", err)
	}
	c.filler = fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, group.Fuzzer), rand.NewSource(int64(kit.Seed(t))), group.Codecs)
	newest := group.Scheme.PrioritizedVersionsForGroup(group.Name)[0]
	c.storages = c.versions[newest.Version]
	t.Cleanup(func() {
		for _, storage := range c.storages {
			storage.Destroy()
		}
	})

	c.checkMap(t)
	c.checkKinds(t)
	for _, r := range group.Resources {
		storage, ok := c.storages[r.Name].(Storage)
		if !ok {
			t.Errorf("%s is a %T: build it with base.NewStore, the only code that resources share", r.Name, c.storages[r.Name])
			continue
		}
		awaitReady(t, storage.Base())
		c.createSample(t, r, storage)
	}
	if t.Failed() {
		t.FailNow()
	}
	for _, r := range group.Resources {
		t.Run(r.Name, func(t *testing.T) {
			main := c.storages[r.Name].(Storage)
			storage := main.Base()
			t.Run("has its names, verbs and kind", func(t *testing.T) { c.checkNames(t, r, storage) })
			t.Run("has its columns", func(t *testing.T) { c.checkColumns(t, r, storage) })
			t.Run("has its selectable fields and indexes", func(t *testing.T) { c.checkFields(t, r, storage) })
			t.Run("names the fields that a write leaves alone", func(t *testing.T) { c.checkResetFields(t, r) })
			t.Run("lies in etcd as listed, in protobuf, behind a watch cache", func(t *testing.T) { c.checkStored(t, r, storage) })
			t.Run("survives a round trip and has a wire fixture", func(t *testing.T) { c.checkWire(t, r) })
			t.Run("is created without the caller's status", func(t *testing.T) { c.checkCreate(t, r, main) })
			t.Run("keeps its status when it is written", func(t *testing.T) { c.checkUpdate(t, r, main) })
			t.Run("counts changes of its spec", func(t *testing.T) { c.checkGeneration(t, r, main) })
			t.Run("keeps all but its status when that is written", func(t *testing.T) { c.checkStatusUpdate(t, r, main) })
			t.Run("is never created by a write to it or below it", func(t *testing.T) { c.checkNeverCreates(t, r, main) })
			t.Run("refuses propagation without a garbage collector", func(t *testing.T) { c.checkRefusals(t, r, main) })
		})
	}
	t.Run("nothing else lies in etcd", c.checkKeys)
}

// paths returns all paths of the contract, with the kind of each.
func (g Group) paths() map[string]string {
	paths := map[string]string{}
	for _, r := range g.Resources {
		paths[r.Name] = r.Kind
		for _, s := range r.Subresources {
			paths[r.Name+"/"+s.Name] = s.Kind
		}
	}
	return paths
}

// checkMap compares the installed paths with the listed ones, and the versions with each other.
func (c *contract) checkMap(t *testing.T) {
	t.Helper()
	paths := c.paths()
	served := map[string]bool{}
	for _, version := range c.Scheme.PrioritizedVersionsForGroup(c.Name) {
		served[version.Version] = true
		if c.versions[version.Version] == nil {
			t.Errorf("version %s is in the scheme, but NewStorage serves nothing of it", version)
		}
	}
	for version, storages := range c.versions {
		if !served[version] {
			t.Errorf("NewStorage serves version %s, which is not in the scheme", version)
		}
		for _, path := range slices.Sorted(maps.Keys(storages)) {
			if _, ok := paths[path]; !ok {
				t.Errorf("%s/%s is installed, but has no contract: add it to the table in the contract_test.go of the group (a Resource for a resource, a Subresource below its Resource for an endpoint), with its names, verbs, columns, key and a sample", version, path)
			}
			if other, ok := c.storages[path]; ok && other != storages[path] {
				t.Errorf("%s/%s has a storage of its own: build each storage once, or it has two watch caches", version, path)
			}
		}
		for path := range paths {
			if _, ok := storages[path]; !ok {
				t.Errorf("%s/%s has a contract, but is not installed: add it to NewStorage, or take it out of the table", version, path)
			}
		}
	}
	for _, r := range c.Resources {
		_, hasStatus := statusOf(r.Sample())
		if _, installed := c.storages[r.Name+"/status"]; hasStatus != installed {
			t.Errorf("%s has a status: %v, and a status endpoint: %v", r.Kind, hasStatus, installed)
		}
	}
}

// checkKinds finds registered kinds that no path serves.
func (c *contract) checkKinds(t *testing.T) {
	t.Helper()
	served := map[string]bool{}
	for _, r := range c.Resources {
		served[r.Kind], served[r.Kind+"List"] = true, true
		for _, s := range r.Subresources {
			served[s.Kind], served[s.Options] = true, true
		}
	}
	home := reflect.TypeOf(c.Resources[0].Sample()).Elem().PkgPath()
	for kind, goType := range c.Scheme.KnownTypes(schema.GroupVersion{Group: c.Name, Version: runtime.APIVersionInternal}) {
		if goType.PkgPath() == home && !served[kind] {
			t.Errorf("kind %s is registered, but no path serves it: add it to NewStorage and to the table in contract_test.go, or take it out of the scheme", kind)
		}
	}
}

// createSample stores the sample, so that later samples can refer to it.
func (c *contract) createSample(t *testing.T, r Resource, storage Storage) {
	t.Helper()
	if _, err := storage.Create(c.context(r, "", "create"), r.Sample(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		t.Errorf("the sample of %s is not valid: %v", r.Name, err)
	}
}

// context returns the context of a request for the resource, or for an endpoint below it.
func (c *contract) context(r Resource, subresource, verb string) context.Context {
	ctx := request.WithUser(request.NewContext(), &user.DefaultInfo{Name: "contract"})
	sample := accessor(r.Sample())
	ctx = request.WithNamespace(ctx, sample.GetNamespace())
	return request.WithRequestInfo(ctx, &request.RequestInfo{
		IsResourceRequest: true,
		Verb:              verb,
		APIGroup:          c.Name,
		APIVersion:        c.Scheme.PrioritizedVersionsForGroup(c.Name)[0].Version,
		Resource:          r.Name,
		Subresource:       subresource,
		Namespace:         sample.GetNamespace(),
		Name:              sample.GetName(),
	})
}

// accessor returns the metadata of an object.
func accessor(obj runtime.Object) metav1.Object {
	metadata, err := meta.Accessor(obj)
	if err != nil {
		panic(err) // a stored kind without metadata: the test cannot continue
	}
	return metadata
}

// named returns the sample under another name.
func (r Resource) named(name string) runtime.Object {
	obj := r.Sample()
	accessor(obj).SetName(name)
	return obj
}

// part returns a field of the object's struct.
func part(obj runtime.Object, name string) (reflect.Value, bool) {
	value := reflect.ValueOf(obj).Elem().FieldByName(name)
	return value, value.IsValid()
}

func statusOf(obj runtime.Object) (reflect.Value, bool) { return part(obj, "Status") }

func specOf(obj runtime.Object) (reflect.Value, bool) { return part(obj, "Spec") }

// isStatus reports whether the path is a status endpoint.
func isStatus(path string) bool { return strings.HasSuffix(path, "/status") }
