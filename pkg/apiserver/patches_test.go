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

package apiserver

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/bodies"
)

// place is an integer field of a kind, with a patch that sets it, and its path in errors.
type place struct {
	// body has %s in place of the value, and pointer is the JSON pointer to it.
	body, pointer, path string
	bits                int
}

// integersOf finds every integer field below a type, by the rules of encoding/json.
func integersOf(kind reflect.Type, body, pointer, path string, above ...reflect.Type) []place {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if slices.Contains(above, kind) {
		return nil // a recursive schema: its fields have been visited
	}
	fill := func(inner string) string { return strings.Replace(body, "%s", inner, 1) }
	switch {
	case kind == intOrString:
		return []place{{body, pointer, path, 32}}
	case reflect.PointerTo(kind).Implements(unmarshaler):
		return nil
	}
	var all []place
	switch kind.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return []place{{body, pointer, path, kind.Bits()}}
	case reflect.Slice:
		return integersOf(kind.Elem(), fill("[%s]"), pointer+"/0", path+"[0]", above...)
	case reflect.Map:
		return integersOf(kind.Elem(), fill(`{"key":%s}`), pointer+"/key", path+"[key]", above...)
	case reflect.Struct:
		for _, member := range fieldsOf(kind) {
			all = append(all, integersOf(member.Type, fill(fmt.Sprintf(`{%q:%%s}`, member.name)), pointer+"/"+member.name, strings.TrimPrefix(path+"."+member.name, "."), append(above, kind)...)...)
		}
	}
	return all
}

// fieldsOf finds the fields of a struct without the code under test, which would hide what it omits.
func fieldsOf(kind reflect.Type) (all []jsonField) {
	for _, member := range reflect.VisibleFields(kind) {
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		switch {
		case len(member.Index) > 1: // promoted: found in the embedded struct below
		case name == "" && (member.Anonymous || options == "inline"):
			all = append(all, fieldsOf(member.Type)...)
		case name != "" && name != "-":
			all = append(all, jsonField{name, member})
		}
	}
	return all
}

// inlining has an integer in a struct that JSON inlines, as no kind has yet.
type inlining struct {
	Inlined `json:",inline"`
}

// Inlined is exported, because encoding/json needs that.
type Inlined struct {
	Count int32 `json:"count"`
}

// codecs returns the serializer of responses to refused bodies.
var codecs = sync.OnceValue(func() runtime.NegotiatedSerializer {
	_, codecs := NewFleetScheme()
	return codecs
})

// checkOf returns a check with one endpoint.
func checkOf(kind reflect.Type) *patchCheck {
	at := endpoint{schema.GroupVersionResource{Group: "g", Version: "v", Resource: "things"}, ""}
	return &patchCheck{serializer: codecs(), types: map[endpoint]reflect.Type{at: kind}, kinds: map[endpoint]schema.GroupKind{at: {Group: "g", Kind: "Thing"}}}
}

// maxBytes is the largest body in these tests.
const maxBytes = 1 << 20

// send checks a patch of that endpoint and returns the body that the library would read after it.
func (c *patchCheck) send(t *testing.T, patch types.PatchType, body string) (left string, err error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPatch, "/", strings.NewReader(body))
	r.Header.Set("Content-Type", string(patch)+"; charset=utf-8")
	r = r.WithContext(request.WithRequestInfo(r.Context(), &request.RequestInfo{IsResourceRequest: true, APIGroup: "g", APIVersion: "v", Resource: "things", Name: "one"}))
	w := httptest.NewRecorder()
	bodies.WithBounds(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		err = c.check(r)
		read, readErr := io.ReadAll(r.Body)
		if readErr != nil {
			t.Error(readErr)
		}
		left = string(read)
	}), maxBytes, func(schema.GroupResource) bool { return false }, c.serializer).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		t.Fatalf("the body is refused before the check: %d %s", w.Code, w.Body)
	}
	return left, err
}

func TestEveryIntegerFieldOfEveryKindIsBounded(t *testing.T) {
	kinds := map[string]reflect.Type{"Scale": reflect.TypeFor[autoscalingv1.Scale](), "inlining": reflect.TypeFor[inlining]()}
	fleetScheme, _ := NewFleetScheme()
	builtinScheme, _ := NewBuiltinScheme()
	for _, scheme := range []*runtime.Scheme{fleetScheme, builtinScheme} {
		for kind, goType := range scheme.AllKnownTypes() {
			if kind.Version != runtime.APIVersionInternal && !strings.HasSuffix(kind.Kind, "Options") && !strings.HasSuffix(kind.Kind, "List") && kind.Kind != "WatchEvent" {
				kinds[kind.String()] = goType
			}
		}
	}
	fields := map[string]int{}
	for name, kind := range kinds {
		check := checkOf(kind)
		for _, p := range integersOf(kind, "%s", "", "") {
			fields[kind.Name()]++
			least, most, beyond := "-2147483648", "2147483647", []string{"2147483648", "-2147483649", "4294967298", "99999999999", "1.5", "1e10"}
			if p.bits == 64 {
				least, most, beyond = "-9223372036854775808", "9223372036854775807", []string{"9223372036854775808", "-9223372036854775809", "1.5", "1e19", "1e999"}
			}
			for _, patch := range []types.PatchType{types.JSONPatchType, types.MergePatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType} {
				body := func(value string) string {
					if patch == types.JSONPatchType {
						return fmt.Sprintf(`[{"op":"add","path":%q,"value":%s}]`, p.pointer, value)
					}
					return strings.Replace(p.body, "%s", value, 1)
				}
				for _, value := range beyond {
					left, err := check.send(t, patch, body(value))
					// A pointer does not distinguish an index of a list from a key of a map.
					path := strings.NewReplacer("[0]", "", "[key]", "").Replace(p.path)
					if !apierrors.IsInvalid(err) || !strings.Contains(strings.NewReplacer("[0]", "", "[key]", "").Replace(err.Error()), path+": Invalid value: ") {
						t.Errorf("%s: %s of %s in %s: got %v", name, value, p.path, patch, err)
					}
					if left != body(value) {
						t.Errorf("%s: the library would read %q of %q", name, left, body(value))
					}
				}
				for _, value := range []string{least, most, "0", "1.0", "1e3", `"a word"`, "null"} {
					if _, err := check.send(t, patch, body(value)); err != nil {
						t.Errorf("%s: %s of %s in %s: %v", name, value, p.path, patch, err)
					}
				}
			}
		}
	}
	for kind, least := range map[string]int{"App": 15, "Release": 10, "Instance": 10, "Host": 2, "HostLease": 2, "Scale": 2, "inlining": 1, "Event": 3, "ValidatingWebhookConfiguration": 2} {
		if fields[kind] < least {
			t.Errorf("found %d integer fields of %s, and there are %d at least", fields[kind], kind, least)
		}
	}
}

func TestYAMLNumbersAreDecodedAsTheServerDecodesThem(t *testing.T) {
	check := checkOf(reflect.TypeFor[v1alpha1.App]())
	for value, wrong := range map[string]bool{"4_294_967_298": true, "0x100000002": true, "0b1": false, "&a 4294967298": true, "3": false} {
		if _, err := check.send(t, types.ApplyYAMLPatchType, "spec:\n  replicas: "+value+"\n"); (err != nil) != wrong {
			t.Errorf("replicas: %s: got %v", value, err)
		}
	}
}

func TestAStrategicPatchThatWouldPanicIsRefused(t *testing.T) {
	check := checkOf(reflect.TypeFor[v1alpha1.App]())
	spec := func(s string) string { return `{"spec":{"template":{"spec":` + s + `}}}` }
	for body, message := range map[string]string{
		spec(`{"$setElementOrder/tolerations":[{"key":"a"}],"tolerations":[{"key":"a"}]}`):                                 "send the whole list",
		spec(`{"containers":[{"name":"a","$setElementOrder/ports":[{"containerPort":1}],"ports":[{"containerPort":1}]}]}`): "send the whole list",
		spec(`{"$setElementOrder/containers":[{"name":{}}],"containers":[{"name":{}}]}`):                                   "compared with the merge key",
		spec(`{"$setElementOrder/containers":[["a"]]}`):                                                                    "must be the merge key",
		spec(`{"containers":[{"name":{},"resources":{"limits":{"cpu":{"a":[{}]}}}},{"name":{}}]}`):                         "identifies the elements of the list",
		`{"spec":{"strategy":{"$retainKeys":[{}]}}}`:                                                                       "must be a string",
		`{"metadata":{"$deleteFromPrimitiveList/finalizers":[["a"]]}}`:                                                     "must be a string",
		`{"spec":{"selector":{"matchLabels":{"$retainKeys":[[]]}}}}`:                                                       "must be a string",
	} {
		if _, err := check.send(t, types.StrategicMergePatchType, body); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: got %v", body, err)
		}
	}
	for _, body := range []string{
		spec(`{"$setElementOrder/containers":[{"name":"a"},{"name":"b"}],"containers":[{"name":"b","$patch":"delete"}]}`),
		`{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}}`,
		`{"metadata":{"$setElementOrder/finalizers":["a/b"],"$deleteFromPrimitiveList/finalizers":["c/d"],"finalizers":["a/b"]}}`,
	} {
		if _, err := check.send(t, types.StrategicMergePatchType, body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestBodiesThatCannotBeDecodedPassToTheLibrary(t *testing.T) {
	check := checkOf(reflect.TypeFor[v1alpha1.App]())
	for _, body := range []string{"", "{", "nothing: [", `[]`, `3`, `{"spec":[]}`, `{"spec":{"replicas":{}}}`} {
		for _, patch := range []types.PatchType{types.JSONPatchType, types.StrategicMergePatchType, types.ApplyYAMLPatchType, "text/plain"} {
			if left, err := check.send(t, patch, body); err != nil || left != body {
				t.Errorf("%.40q as %s: got %v, and the library would read %.40q", body, patch, err, left)
			}
		}
	}
}
