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

package rbac_test

import (
	"context"
	"errors"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	rbacregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/escalation"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// caller has all rights, or none.
type caller struct{ powerless bool }

var errNotHeld = errors.New("attempting to grant what is not held")

func (c *caller) MayWriteRules(context.Context, string, string, string, []rbacv1.PolicyRule) error {
	if c.powerless {
		return errNotHeld
	}
	return nil
}

func (c *caller) MayBind(_ context.Context, _ string, ref rbacv1.RoleRef) error {
	if ref.Name == "unknown" {
		return apierrors.NewNotFound(rbac.Resource("clusterroles"), ref.Name)
	}
	if c.powerless {
		return errNotHeld
	}
	return nil
}

func storageFor(checker escalation.Checker) func(*runtime.Scheme, base.StorageOptions) (map[string]map[string]rest.Storage, error) {
	return registrytest.NewStorage(rbacregistry.StorageProvider{Escalation: checker}, rbac.GroupName)
}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	registrytest.Contract(t, registrytest.Group{
		Name:       rbac.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: storageFor(&caller{}),
		Builtin:    true,
		Resources: []registrytest.Resource{
			resource("clusterrolebindings", "clusterrolebinding", "ClusterRoleBinding", false),
			resource("clusterroles", "clusterrole", "ClusterRole", false),
			resource("rolebindings", "rolebinding", "RoleBinding", true),
			resource("roles", "role", "Role", true),
		},
	})
}

func resource(name, singular, kind string, namespaced bool) registrytest.Resource {
	r := registrytest.Resource{
		Name: name, Singular: singular, Kind: kind, Namespaced: namespaced,
		Verbs:        registrytest.StandardVerbs,
		Columns:      []string{"NAME", "CREATED AT"},
		Key:          "/registry/" + name + "/a",
		NoGeneration: true, CreateByPut: true, Unconditional: true,
		Sample:     func() runtime.Object { return sample(name) },
		ChangeSpec: change,
	}
	if namespaced {
		r.Key = "/registry/" + name + "/test/a"
	}
	switch kind {
	case "RoleBinding", "ClusterRoleBinding":
		r.Columns, r.WideColumns = []string{"NAME", "ROLE", "AGE"}, []string{"USERS", "GROUPS", "SERVICEACCOUNTS"}
	}
	return r
}

// sample returns a valid object of the resource.
func sample(resource string) runtime.Object {
	meta := metav1.ObjectMeta{Name: "a", Labels: map[string]string{"zone": "a"}}
	rules := []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}
	ref := rbacv1.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: "view"}
	subjects := []rbacv1.Subject{{APIGroup: rbac.GroupName, Kind: "User", Name: "me"}}
	switch resource {
	case "clusterroles":
		return &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	case "clusterrolebindings":
		return &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
	}
	meta.Namespace = "test"
	if resource == "roles" {
		return &rbacv1.Role{ObjectMeta: meta, Rules: rules}
	}
	return &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}
}

// change changes what the object grants.
func change(obj runtime.Object) {
	switch o := obj.(type) {
	case *rbacv1.Role:
		o.Rules[0].Verbs = []string{"list"}
	case *rbacv1.ClusterRole:
		o.Rules[0].Verbs = []string{"list"}
	case *rbacv1.RoleBinding:
		o.Subjects[0].Name = "you"
	case *rbacv1.ClusterRoleBinding:
		o.Subjects[0].Name = "you"
	}
}

var names = []string{"clusterrolebindings", "clusterroles", "rolebindings", "roles"}

// storages builds the storages of the group for a caller, on their own etcd.
func storages(t *testing.T, c *caller) (*runtime.Scheme, map[string]rest.Storage) {
	t.Helper()
	scheme, codecs := apiserver.NewBuiltinScheme()
	versions, err := storageFor(c)(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, storage := range versions["v1"] {
			storage.Destroy()
		}
	})
	return scheme, versions["v1"]
}

func TestResourcesDoWhatTheLibraryExpectsOfARegistry(t *testing.T) {
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			suite := func(t *testing.T) *registrytest.Suite {
				scheme, built := storages(t, &caller{})
				return registrytest.NewSuite(t, scheme, built[name].(registrytest.Storage))
			}
			// The suite rejects a PUT that creates: see the contract test.
			t.Run("create", func(t *testing.T) { suite(t).Create(sample(name)) })
			t.Run("delete", func(t *testing.T) { suite(t).Delete(sample(name)) })
			t.Run("get", func(t *testing.T) { suite(t).Get(sample(name)) })
			t.Run("list", func(t *testing.T) { suite(t).List(sample(name)) })
			t.Run("watch", func(t *testing.T) {
				suite(t).Watch(sample(name), []labels.Set{{"zone": "a"}}, []labels.Set{{"zone": "b"}},
					[]fields.Set{{"metadata.name": "a"}}, []fields.Set{{"metadata.name": "b"}})
			})
		})
	}
}

func TestThereIsNoStorageWithoutACheck(t *testing.T) {
	scheme, _ := apiserver.NewBuiltinScheme()
	if _, err := (rbacregistry.StorageProvider{}).NewStorage(scheme, base.StorageOptions{}); err == nil {
		t.Error("a storage that checks nothing was built")
	}
}

// to returns an update that changes the stored object.
func to(changed func(runtime.Object)) rest.UpdatedObjectInfo {
	return rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		obj := old.DeepCopyObject()
		changed(obj)
		return obj, nil
	})
}

func TestCallersCannotGrantRightsThatTheyDoNotHave(t *testing.T) {
	c := &caller{}
	_, built := storages(t, c)
	meta := func(obj runtime.Object) metav1.Object { return obj.(metav1.Object) }
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			storage := built[name].(registrytest.Storage)
			ctx := request.WithNamespace(t.Context(), meta(sample(name)).GetNamespace())
			update := func(name string, changed func(runtime.Object)) error {
				_, _, err := storage.Update(ctx, name, to(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
				return err
			}
			c.powerless = true
			if _, err := storage.Create(ctx, sample(name), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("create: got %v, want Forbidden", err)
			}
			if _, _, err := storage.Update(ctx, "a", rest.DefaultUpdatedObjectInfo(sample(name)), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
				t.Errorf("create by update: got %v, want Forbidden", err)
			}
			if _, err := storage.Base().Create(ctx, sample(name), rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
				t.Fatalf("without a check: %v", err)
			}
			if err := update("a", change); !apierrors.IsForbidden(err) {
				t.Errorf("update: got %v, want Forbidden", err)
			}
			owned := func(obj runtime.Object) {
				meta(obj).SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "a", UID: "1"}})
			}
			if err := update("a", owned); err != nil {
				t.Errorf("the garbage collector changes owners: %v", err)
			}
			if name == "clusterroles" {
				label := func(obj runtime.Object) { meta(obj).SetLabels(map[string]string{"aggregate-to-view": "true"}) }
				if err := update("a", label); !apierrors.IsForbidden(err) {
					t.Errorf("a label by which another role gathers the rules: got %v, want Forbidden", err)
				}
			}
			c.powerless = false
			if err := update("a", change); err != nil {
				t.Errorf("by a caller with all rights: %v", err)
			}
		})
	}
}

func TestABindingToARoleThatDoesNotExistIsNotFound(t *testing.T) {
	_, built := storages(t, &caller{})
	binding := sample("clusterrolebindings").(*rbacv1.ClusterRoleBinding)
	binding.RoleRef.Name = "unknown"
	if _, err := built["clusterrolebindings"].(registrytest.Storage).Create(t.Context(), binding, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("got %v, want NotFound", err)
	}
}
