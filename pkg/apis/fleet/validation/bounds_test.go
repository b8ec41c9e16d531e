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

package validation

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// kinds are those of the group; lists hold nothing else.
var kinds = []reflect.Type{
	reflect.TypeFor[fleet.Host](), reflect.TypeFor[fleet.HostLease](), reflect.TypeFor[fleet.Instance](), reflect.TypeFor[fleet.Binding](),
	reflect.TypeFor[fleet.App](), reflect.TypeFor[fleet.AppRollback](), reflect.TypeFor[fleet.Release](),
}

// boundedFields finds every string, list and map below the types, by type and field.
func boundedFields(t reflect.Type, found map[string]reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		boundedFields(t.Elem(), found)
		return
	case reflect.Struct:
	default:
		return
	}
	if isLeaf(t) {
		return
	}
	for f := range t.Fields() {
		switch f.Type.Kind() {
		case reflect.String, reflect.Slice, reflect.Map:
			found[t.Name()+"."+f.Name] = f.Type
		}
		boundedFields(f.Type, found)
	}
}

func allFields() map[string]reflect.Type {
	found := map[string]reflect.Type{}
	for _, kind := range kinds {
		boundedFields(kind, found)
	}
	return found
}

func TestEveryStringListAndMapHasABound(t *testing.T) {
	fields := allFields()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		b, stated := bounds[name]
		switch kind := fields[name].Kind(); {
		case !stated:
			t.Errorf("%s has no bound: state it in bounds", name)
		case b.by != "" && (b.items > 0 || b.bytes > 0):
			t.Errorf("%s has two bounds", name)
		case b.by == "" && kind == reflect.String && b.bytes == 0:
			t.Errorf("%s is a string without a bound of its bytes", name)
		case b.by == "" && kind != reflect.String && b.items == 0:
			t.Errorf("%s is a list or a map without a bound of its items", name)
		}
	}
	for name := range bounds {
		if fields[name] == nil {
			t.Errorf("bounds has %s, which no kind has", name)
		}
	}
}

// boundingTags are those that bound a field; an enumeration is a tag of the field's type.
var boundingTags = []string{"+k8s:maxItems=", "+k8s:maxLength=", "+k8s:format=", "+k8s:enum"}

func TestWhatATagIsSaidToBoundHasSuchATag(t *testing.T) {
	tagged := map[string]bool{}
	enums := map[string]bool{}
	fieldTypes := map[string]string{}
	files, err := filepath.Glob("../v1alpha1/types_*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no types: %v, %v", files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range parsed.Decls {
			general, ok := declaration.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			spec := general.Specs[0].(*ast.TypeSpec)
			enums[spec.Name.Name] = hasBoundingTag(general.Doc)
			structure, ok := spec.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, f := range structure.Fields.List {
				for _, name := range f.Names {
					tagged[spec.Name.Name+"."+name.Name] = hasBoundingTag(f.Doc)
					fieldTypes[spec.Name.Name+"."+name.Name] = fmt.Sprint(f.Type)
				}
			}
		}
	}
	for name, b := range bounds {
		if b.by == byTag && !tagged[name] && !enums[fieldTypes[name]] {
			t.Errorf("%s is said to be bounded by a tag, but neither the field nor its type %s has one", name, fieldTypes[name])
		}
	}
}

func hasBoundingTag(doc *ast.CommentGroup) bool {
	if doc == nil {
		return false
	}
	return slices.ContainsFunc(doc.List, func(line *ast.Comment) bool {
		return slices.ContainsFunc(boundingTags, func(tag string) bool { return strings.Contains(line.Text, tag) })
	})
}

// fill makes every pointer and list below the value have one element, and then calls visit with
// each field that bounds itself bounds.
func fill(value reflect.Value, visit func(name string, value reflect.Value)) {
	switch value.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), visit)
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		fill(value.Index(0), visit)
	case reflect.Struct:
		if isLeaf(value.Type()) {
			return
		}
		for i := range value.NumField() {
			fill(value.Field(i), visit)
			name := value.Type().Name() + "." + value.Type().Field(i).Name
			if b := bounds[name]; b.items > 0 || b.bytes > 0 {
				visit(name, value.Field(i))
			}
		}
	}
}

// overfill makes the value hold one more than the bound, and returns what undoes it.
func overfill(value reflect.Value, b bound) func() {
	before := reflect.New(value.Type()).Elem()
	before.Set(value)
	switch value.Kind() {
	case reflect.String:
		value.SetString(strings.Repeat("x", b.bytes+1))
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), b.items+1, b.items+1))
	case reflect.Map:
		value.Set(reflect.MakeMap(value.Type()))
		for i := range b.items + 1 {
			key := reflect.New(value.Type().Key()).Elem()
			key.SetString(fmt.Sprint("k", i))
			value.SetMapIndex(key, reflect.Zero(value.Type().Elem()))
		}
	}
	return func() { value.Set(before) }
}

func TestWhatIsBeyondABoundIsRefusedAndWhatWasThereBeforeIsNot(t *testing.T) {
	tried := map[string]bool{}
	try(t, tried, new(fleet.Host))
	try(t, tried, new(fleet.HostLease))
	try(t, tried, new(fleet.Instance))
	try(t, tried, new(fleet.App))
	try(t, tried, new(fleet.Release))
	for name, b := range bounds {
		if b.by == "" && !tried[name] {
			t.Errorf("the bound of %s is not kept in any kind", name)
		}
	}
}

func try[T any](t *testing.T, tried map[string]bool, object *T) {
	t.Helper()
	fill(reflect.ValueOf(object).Elem(), func(name string, value reflect.Value) {
		tried[name] = true
		undo := overfill(value, bounds[name])
		defer undo()
		errs := slices.DeleteFunc(validateBounds(object, nil), isTemplateSize)
		if len(errs) != 1 {
			t.Errorf("%s beyond its bound: %d errors, not one: %v", name, len(errs), errs)
		}
		if errs := validateBounds(object, object); len(errs) > 0 {
			t.Errorf("%s was beyond its bound before, but is refused: %v", name, errs)
		}
	})
}

// isTemplateSize leaves out that the template as a whole is too large, too.
func isTemplateSize(err *field.Error) bool { return strings.HasSuffix(err.Field, "template") }

func TestATemplateIsBounded(t *testing.T) {
	many := map[string]string{}
	for i := range maxTemplateLabels + 1 {
		many[fmt.Sprint("k", i)] = "v"
	}
	for _, test := range []struct {
		name     string
		change   func(*fleet.InstanceTemplateSpec)
		replicas int32
		want     []string
	}{
		{name: "what is small is not refused", change: func(*fleet.InstanceTemplateSpec) {}},
		{name: "labels are counted", change: func(s *fleet.InstanceTemplateSpec) { s.Labels = many }, want: []string{"spec.template.metadata.labels"}},
		{name: "annotations are counted", change: func(s *fleet.InstanceTemplateSpec) { s.Annotations = many }, want: []string{"spec.template.metadata.annotations"}},
		{name: "finalizers are counted", change: func(s *fleet.InstanceTemplateSpec) { s.Finalizers = slices.Repeat([]string{"a/b"}, 101) }, want: []string{"spec.template.metadata.finalizers"}},
		{name: "many small variables are large together", change: func(s *fleet.InstanceTemplateSpec) {
			s.Spec.Containers = []fleet.Container{{Env: slices.Repeat([]fleet.EnvVar{{Value: strings.Repeat("x", 1<<10)}}, 128)}}
		}, replicas: 512, want: []string{"spec.template"}},
		{name: "what is large may have few replicas", change: func(s *fleet.InstanceTemplateSpec) {
			s.Spec.Containers = []fleet.Container{{Args: []string{strings.Repeat("x", 1<<20)}}}
		}, replicas: 63},
		{name: "what is large may not have many replicas", change: func(s *fleet.InstanceTemplateSpec) {
			s.Spec.Containers = []fleet.Container{{Args: []string{strings.Repeat("x", 1<<20)}}}
		}, replicas: 64, want: []string{"spec.template"}},
		{name: "what is small may have very many replicas", change: func(s *fleet.InstanceTemplateSpec) {
			s.Spec.Containers = []fleet.Container{{Args: []string{strings.Repeat("x", 64<<10)}}}
		}, replicas: math.MaxInt32},
		{name: "metadata that no instance gets counts, too", change: func(s *fleet.InstanceTemplateSpec) {
			s.ManagedFields = []metav1.ManagedFieldsEntry{{FieldsV1: metav1.NewFieldsV1(string(make([]byte, 128<<10)))}}
		}, replicas: 512, want: []string{"spec.template"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			app := &fleet.App{Spec: fleet.AppSpec{Replicas: &test.replicas}}
			test.change(&app.Spec.Template)
			var got []string
			for _, err := range validateBounds(app, nil) {
				got = append(got, err.Field)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("errors at %v, not at %v", got, test.want)
			}
			smaller := app.DeepCopy()
			smaller.Spec.Paused = true
			if errs := validateBounds(smaller, app); len(errs) > 0 {
				t.Errorf("a write that leaves the template alone is refused: %v", errs)
			}
			if !slices.Contains(test.want, "spec.template") {
				return
			}
			more := app.DeepCopy()
			*more.Spec.Replicas++
			if errs := validateBounds(more, app); len(errs) != 1 {
				t.Errorf("more replicas of what is too large already are not refused once: %v", errs)
			}
		})
	}
}
