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
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// verbs returns the verbs that the installer serves for a storage: it checks the interfaces.
func verbs(storage rest.Storage) []string {
	found := map[string]bool{}
	switch storage.(type) {
	case rest.Creater, rest.NamedCreater:
		found["create"] = true
	}
	switch storage.(type) {
	case rest.Getter, rest.GetterWithOptions:
		found["get"] = true
	}
	_, found["list"] = storage.(rest.Lister)
	_, found["watch"] = storage.(rest.Watcher)
	_, found["update"] = storage.(rest.Updater)
	_, found["patch"] = storage.(rest.Patcher)
	_, found["delete"] = storage.(rest.GracefulDeleter)
	_, found["deletecollection"] = storage.(rest.CollectionDeleter)
	_, found["connect"] = storage.(rest.Connecter)
	maps.DeleteFunc(found, func(_ string, has bool) bool { return !has })
	return slices.Sorted(maps.Keys(found))
}

// same compares ordered lists of names.
func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func (c *contract) checkNames(t *testing.T, r Resource, storage *base.Store) {
	same(t, "verbs", verbs(c.storages[r.Name]), r.Verbs)
	same(t, "short names", storage.ShortNames(), r.ShortNames)
	same(t, "categories", storage.Categories(), r.Categories)
	if got := storage.GetSingularName(); got != r.Singular {
		t.Errorf("singular name: got %q, want %q", got, r.Singular)
	}
	if got := storage.NamespaceScoped(); got != r.Namespaced {
		t.Errorf("namespaced: got %v, want %v", got, r.Namespaced)
	}
	c.checkKind(t, storage.New(), r.Kind)
	c.checkKind(t, storage.NewList(), r.Kind+"List")
	if storage.DefaultQualifiedResource.Group != c.Name || storage.DefaultQualifiedResource.Resource != r.Name {
		t.Errorf("the storage calls itself %s", storage.DefaultQualifiedResource)
	}
	if _, own := any(storage).(rest.GroupVersionKindProvider); own {
		t.Error("a resource has the kind of its storage: leave GroupVersionKind to endpoints below it")
	}
	for _, s := range r.Subresources {
		path := r.Name + "/" + s.Name
		below := c.storages[path]
		same(t, "verbs of "+path, verbs(below), s.Verbs)
		if s.Foreign {
			c.checkForeignKind(t, path, below, s.Kind)
		} else {
			c.checkKind(t, below.New(), s.Kind)
		}
		if _, creates := below.(rest.Creater); creates {
			t.Errorf("%s can create objects without a name: an endpoint implements NamedCreater", path)
		}
	}
}

// checkKind checks the kind of an object in the hub and in every version.
func (c *contract) checkKind(t *testing.T, obj runtime.Object, want string) {
	t.Helper()
	kinds, _, err := c.Scheme.ObjectKinds(obj)
	hub := schema.GroupVersionKind{Group: c.Name, Version: runtime.APIVersionInternal, Kind: want}
	if !c.Builtin && (err != nil || !slices.Equal(kinds, []schema.GroupVersionKind{hub})) {
		t.Errorf("%T is registered as %v (%v), want the hub's %s", obj, kinds, err, want)
	}
	// If the hub is the wire type, the library must find the wire version first.
	if c.Builtin && (err != nil || !slices.Contains(kinds, hub) || kinds[0] != c.Scheme.PrioritizedVersionsForGroup(c.Name)[0].WithKind(want)) {
		t.Errorf("%T is registered as %v (%v), want the version's %s, and then the hub's", obj, kinds, err, want)
	}
	for version := range c.versions {
		if gvk := (schema.GroupVersionKind{Group: c.Name, Version: version, Kind: want}); !c.Scheme.Recognizes(gvk) {
			t.Errorf("%v is not in the scheme", gvk)
		}
	}
}

// checkForeignKind checks that an endpoint declares a kind of another group, and that the scheme
// decodes its body.
func (c *contract) checkForeignKind(t *testing.T, path string, storage rest.Storage, want string) {
	t.Helper()
	provider, ok := storage.(rest.GroupVersionKindProvider)
	if !ok {
		t.Errorf("%s has the kind %s of another group: implement rest.GroupVersionKindProvider", path, want)
		return
	}
	for version := range c.versions {
		kind := provider.GroupVersionKind(schema.GroupVersion{Group: c.Name, Version: version})
		hub := schema.GroupVersionKind{Group: kind.Group, Version: runtime.APIVersionInternal, Kind: kind.Kind}
		if kind.Kind != want || kind.Group == c.Name || !c.Scheme.Recognizes(kind) || !c.Scheme.Recognizes(hub) {
			t.Errorf("%s speaks %v, want a registered %s of another group, with a hub", path, kind, want)
		}
	}
}

// checkColumns compares the columns with the table, and prints cells of random objects.
func (c *contract) checkColumns(t *testing.T, r Resource, storage *base.Store) {
	ctx := c.context(r, "", "list")
	list, err := storage.List(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	converters := map[string]rest.TableConvertor{r.Name: storage}
	for _, s := range r.Subresources {
		if converter, ok := c.storages[r.Name+"/"+s.Name].(rest.TableConvertor); ok && !s.Foreign {
			converters[r.Name+"/"+s.Name] = converter
		}
	}
	for path, converter := range converters {
		table, err := converter.ConvertToTable(ctx, list, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		checkDefinitions(t, path, table.ColumnDefinitions, r, c.Builtin)
		if count := meta.LenList(list); len(table.Rows) != count || count == 0 {
			t.Errorf("%s: %d rows of %d objects", path, len(table.Rows), count)
		}
		bare, err := converter.ConvertToTable(ctx, list, &metav1.TableOptions{NoHeaders: true})
		if err != nil || len(bare.ColumnDefinitions) != 0 {
			t.Errorf("%s: there are headings although the request excluded them (%v)", path, err)
		}
		for range fills {
			obj := storage.New()
			c.filler.Fill(obj)
			table, err := converter.ConvertToTable(ctx, obj, nil)
			if err != nil || len(table.Rows) != 1 {
				t.Fatalf("%s: no row of an object: %v", path, err)
			}
			checkCells(t, path, table.Rows[0].Cells, table.ColumnDefinitions, accessor(obj).GetName())
		}
	}
}

func checkDefinitions(t *testing.T, path string, definitions []metav1.TableColumnDefinition, r Resource, builtin bool) {
	t.Helper()
	var narrow, wide []string
	for _, definition := range definitions {
		heading := strings.ToUpper(definition.Name)
		if definition.Priority == 0 {
			narrow = append(narrow, heading)
		} else {
			wide = append(wide, heading)
		}
		if definition.Description == "" {
			t.Errorf("%s: column %s has no description", path, heading)
		}
	}
	same(t, "columns of "+path, narrow, r.Columns)
	same(t, "wide columns of "+path, wide, r.WideColumns)
	if len(definitions) == 0 {
		t.Fatalf("%s: there are no columns", path)
	}
	if !slices.ContainsFunc(definitions, func(d metav1.TableColumnDefinition) bool { return d.Name == "Name" && d.Format == "name" }) {
		t.Errorf("%s: no column is the name", path)
	}
	if builtin {
		return // the columns and their order are Kubernetes' own
	}
	if definitions[0].Name != "Name" {
		t.Errorf("%s: the first column is not the name", path)
	}
	if !slices.Contains(narrow, "AGE") {
		t.Errorf("%s: no column has the age", path)
	}
}

func checkCells(t *testing.T, path string, cells []any, definitions []metav1.TableColumnDefinition, name string) {
	t.Helper()
	if len(cells) != len(definitions) {
		t.Fatalf("%s: %d cells in %d columns", path, len(cells), len(definitions))
	}
	for i, cell := range cells {
		if definitions[i].Name == "Name" && cell != name {
			t.Errorf("%s: the cell of the name is %v and not %q", path, cell, name)
		}
		switch cell.(type) {
		case string:
			// A date is a string, because JSON has no dates.
			if definitions[i].Type == "string" || definitions[i].Type == "date" {
				continue
			}
		case int64, int32, int:
			if definitions[i].Type == "integer" {
				continue
			}
		case bool:
			if definitions[i].Type == "boolean" {
				continue
			}
		}
		t.Errorf("%s: column %s is of type %s and has a cell of %T", path, definitions[i].Name, definitions[i].Type, cell)
	}
}

// checkFields compares three places that must have the same fields: the
// scheme, which refuses unknown selectors, the attributes by which objects are matched, and
// the indexes.
func (c *contract) checkFields(t *testing.T, r Resource, storage *base.Store) {
	want := append([]string{"metadata.name"}, r.SelectableFields...)
	if r.Namespaced {
		want = append(want, "metadata.namespace")
	}
	slices.Sort(want)

	predicate := storage.PredicateFunc(labels.Everything(), fields.Everything())
	_, attributes, err := predicate.GetAttrs(r.Sample())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "fields by which objects are matched", slices.Sorted(maps.Keys(attributes)), want)
	for version := range c.versions {
		kind := schema.GroupVersionKind{Group: c.Name, Version: version, Kind: r.Kind}
		for _, label := range want {
			if got, value, err := c.Scheme.ConvertFieldLabel(kind, label, "value"); err != nil || got != label || value != "value" {
				t.Errorf("the scheme does not take %s=value in %s: %s=%s, %v", label, version, got, value, err)
			}
		}
		if _, _, err := c.Scheme.ConvertFieldLabel(kind, "spec.noSuchField", "value"); err == nil {
			t.Errorf("the scheme takes any field label in %s", version)
		}
	}

	same(t, "indexes", predicate.IndexFields, r.Indexes)
	for _, index := range r.Indexes {
		if !slices.Contains(r.SelectableFields, index) {
			t.Errorf("%s is indexed and cannot be selected by", index)
		}
	}
	if storage.WatchIndex() != r.WatchIndex {
		t.Errorf("watches are dispatched by %q, want %q", storage.WatchIndex(), r.WatchIndex)
	}
	if r.WatchIndex != "" && !slices.Contains(r.Indexes, r.WatchIndex) {
		t.Errorf("watches are dispatched by %s, which is not among the indexes", r.WatchIndex)
	}
}

// checkResetFields checks every endpoint that can be written to. Without reset fields,
// server-side apply assigns unchanged fields to a manager, and fields under the wrong
// version have no effect.
func (c *contract) checkResetFields(t *testing.T, r Resource) {
	_, hasStatus := statusOf(r.Sample())
	paths := []string{r.Name}
	foreign := map[string]bool{} // the fields are those of another kind
	leavesAlone := map[string][]string{r.Name: r.LeavesAlone}
	for _, s := range r.Subresources {
		paths = append(paths, r.Name+"/"+s.Name)
		foreign[r.Name+"/"+s.Name] = s.Foreign
		leavesAlone[r.Name+"/"+s.Name] = s.LeavesAlone
	}
	for _, path := range paths {
		storage := c.storages[path]
		if _, written := storage.(rest.Updater); !written || foreign[path] {
			continue
		}
		strategy, ok := storage.(rest.ResetFieldsStrategy)
		if !ok {
			t.Errorf("%s has no GetResetFields", path)
			continue
		}
		var want *fieldpath.Set
		switch {
		case len(leavesAlone[path]) > 0:
			want = fieldpath.NewSet()
			for _, name := range leavesAlone[path] {
				want.Insert(fieldPath(name))
			}
		case isStatus(path) && r.StatusWritesMetadata:
			want = fieldpath.NewSet(fieldpath.MakePathOrDie("spec"))
		case isStatus(path):
			want = fieldpath.NewSet(fieldpath.MakePathOrDie("metadata"), fieldpath.MakePathOrDie("spec"))
		case path == r.Name && hasStatus:
			want = fieldpath.NewSet(fieldpath.MakePathOrDie("status"))
		case path == r.Name:
			want = fieldpath.NewSet()
		default:
			t.Errorf("%s is written to: list in LeavesAlone of its Subresource the fields that a write leaves unchanged", path)
			continue
		}
		c.compareResetFields(t, path, strategy.GetResetFields(), want)
	}
}

// fieldPath returns the path of a field, such as status.conditions.
func fieldPath(name string) fieldpath.Path {
	var parts []any
	for part := range strings.SplitSeq(name, ".") {
		parts = append(parts, part)
	}
	return fieldpath.MakePathOrDie(parts...)
}

func (c *contract) compareResetFields(t *testing.T, path string, got map[fieldpath.APIVersion]*fieldpath.Set, want *fieldpath.Set) {
	t.Helper()
	served := map[fieldpath.APIVersion]bool{}
	for version := range c.versions {
		name := fieldpath.APIVersion(schema.GroupVersion{Group: c.Name, Version: version}.String())
		served[name] = true
		set := got[name]
		if set == nil {
			set = fieldpath.NewSet()
		}
		if !set.Equals(want) {
			t.Errorf("%s: a write in %s leaves alone %v, want %v", path, name, set, want)
		}
	}
	for name := range got {
		if !served[name] {
			t.Errorf("%s: GetResetFields names %s, which is not served: the fields of that version count for nothing", path, name)
		}
	}
}
