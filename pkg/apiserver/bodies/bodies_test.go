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

package bodies

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"sigs.k8s.io/yaml"
)

const (
	jsonType, yamlType, protobufType = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
	applyType                        = "application/apply-patch+yaml"
	jsonPatchType                    = "application/json-patch+json"
	strategicType                    = "application/strategic-merge-patch+json"
	maxBytes                         = 3 << 20
)

func list(count int, element string) string {
	return strings.TrimSuffix(strings.Repeat(element+",", count), ",")
}

// protobuf returns the body of a config map.
func protobuf(t *testing.T, data map[string]string) string {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	info, _ := runtime.SerializerInfoForMediaType(serializer.NewCodecFactory(scheme).SupportedMediaTypes(), protobufType)
	var body bytes.Buffer
	if err := info.Serializer.Encode(&corev1.ConfigMap{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, Data: data}, &body); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func keys(count int) map[string]string {
	data := map[string]string{}
	for i := range count {
		data[fmt.Sprint("k", i)] = "v"
	}
	return data
}

func TestBodiesThatAreExpensiveToDecodeAreRefused(t *testing.T) {
	long := strings.Repeat("x", 100<<10)
	for _, test := range []struct {
		name, contentType, body string
		// message is a part of the refusal; empty for none.
		message string
	}{
		{name: "a JSON object", contentType: jsonType, body: `{"a":[1,2,{"b":"c"}]}`},
		{name: "text full of commas in JSON", contentType: jsonType, body: `{"a":"` + strings.Repeat(`,[{\"`, 300000) + `"}`},
		{name: "a body without a type is JSON", body: `{"a":[` + list(MaxValues, "1") + `]}`, message: "values"},
		{name: "as many values in JSON as may be", contentType: jsonType, body: `{"a":[` + list(MaxValues-2, "1") + `]}`},
		{name: "more values in JSON", contentType: jsonType, body: `{"a":[` + list(MaxValues, "1") + `]}`, message: "values"},
		{name: "more values in JSON, with a parameter", contentType: jsonType + "; charset=utf-8", body: `{"a":[` + list(MaxValues, "{}") + `]}`, message: "values"},
		{name: "as deep in JSON as may be", contentType: jsonType, body: strings.Repeat("[", MaxDepth) + strings.Repeat("]", MaxDepth)},
		{name: "deeper in JSON", contentType: jsonType, body: strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), message: "nested"},
		{name: "more closing brackets than opening ones", contentType: jsonType, body: `]]]]}` + list(MaxValues+2, "1"), message: "values"},
		{name: "nothing", contentType: jsonType},
		{name: "a string that does not end", contentType: jsonType, body: `{"a":"` + long + `\`},

		{name: "a YAML object", contentType: yamlType, body: "a: b\nc: [d, e]\n"},
		{name: "YAML with a small alias", contentType: yamlType, body: "a: &a {b: c}\nd: *a\ne: {<<: *a}\n"},
		{name: "an apply with a small alias", contentType: applyType, body: "a: &a {b: c}\nd: *a\n"},
		{name: "stars that are no aliases", contentType: yamlType, body: "a: \"*b\"\nc: |\n  *d *e\n"},
		{name: "aliases of a long string", contentType: yamlType, body: "a: &a " + long + "\nb: [" + list(40, "*a") + "]", message: "aliases"},
		{name: "aliases of a long string in capitals", contentType: "Application/YAML", body: "a: &a " + long + "\nb: [" + list(40, "*a") + "]", message: "aliases"},
		{name: "aliases of a long string in an apply", contentType: applyType, body: "a: &a " + long + "\nb: [" + list(40, "*a") + "]", message: "aliases"},
		{name: "aliases of a long string in an apply with an odd parameter", contentType: applyType + ";a", body: "a: &a " + long + "\nb: [" + list(40, "*a") + "]", message: "aliases"},
		{name: "aliases of a long key", contentType: yamlType, body: "a: &a {? " + long + " : b}\nb: [" + list(40, "*a") + "]", message: "aliases"},
		{name: "aliases that look like JSON", contentType: yamlType, body: `{"a": &a "` + long + `", "b": [` + list(40, "*a") + `]}`, message: "aliases"},
		{name: "aliases of aliases", contentType: yamlType, body: "a: &a [" + list(100, "x") + "]\nb: &b [" + list(100, "*a") + "]\nc: &c [" + list(100, "*b") + "]\nd: [" + list(100, "*c") + "]", message: "aliases"},
		{name: "aliases of nothing", contentType: yamlType, body: "a: &a\nb: &b [" + list(1000, "*a") + "]\nc: &c [" + list(1000, "*b") + "]\n", message: "aliases"},
		{name: "merged maps", contentType: yamlType, body: "a: &a {" + list(1000, "a: b") + "}\nb:\n" + strings.Repeat("- <<: *a\n", 1000), message: "aliases"},
		{name: "an alias of itself", contentType: yamlType, body: "a: &a [*a]\n", message: "circular"},
		{name: "an alias of what does not exist", contentType: yamlType, body: "a: *b\n", message: "unknown anchor"},
		{name: "as many values in YAML as may be", contentType: yamlType, body: "a: [" + list(MaxValues-10, "b") + "]"},
		{name: "more values in YAML", contentType: yamlType, body: "a: [" + list(MaxValues, "b") + "]", message: "send the body as JSON"},
		{name: "nested one-letter lists in YAML", contentType: yamlType, body: strings.Repeat("- ", MaxValues+1), message: "send the body as JSON"},
		{name: "more values in YAML that is JSON", contentType: applyType, body: `{"a":[` + list(MaxValues, "1") + `]}`, message: "values"},
		{name: "text full of commas in YAML that is JSON", contentType: applyType, body: `{"a":"` + strings.Repeat(",", 300000) + `"}`},
		{name: "deeper in YAML", contentType: yamlType, body: "a: " + strings.Repeat("[", MaxDepth+1) + strings.Repeat("]", MaxDepth+1), message: "nested"},
		{name: "invalid YAML is left to the decoder", contentType: yamlType, body: "a: [b"},
		{name: "invalid YAML with aliases", contentType: yamlType, body: "a: &a b\nc: [*a", message: "cannot be read"},

		{name: "a protobuf body", contentType: protobufType, body: protobuf(t, keys(10))},
		{name: "a protobuf body with a megabyte of text", contentType: protobufType, body: protobuf(t, map[string]string{"a": strings.Repeat("some text, and\n", 1<<16)})},
		{name: "a protobuf body with a megabyte of one letter", contentType: protobufType, body: protobuf(t, map[string]string{"a": strings.Repeat("b", 1<<20)})},
		{name: "more values in protobuf", contentType: protobufType, body: protobuf(t, keys(MaxValues/3+1)), message: "values"},
		{name: "empty elements in protobuf", contentType: protobufType, body: "k8s\x00" + strings.Repeat("\x0a\x00", MaxValues+1), message: "values"},
		{name: "groups in protobuf", contentType: protobufType, body: "k8s\x00" + strings.Repeat("\x0b\x0c", MaxValues), message: "values"},
		{name: "a protobuf body of a wrong length", contentType: protobufType, body: "k8s\x00\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
		{name: "a protobuf body of nothing", contentType: protobufType, body: "k8s\x00"},

		{name: "amounts and other numbers", contentType: jsonType, body: `{"a":"500m","b":"1e3","c":"-1.5E-9","d":12345,"e":1e10,"f":"12e","g":"1e9999 of them","h":"2026-11-30","i":"3e59871","j":"1234567e-9999-4a00-8000-000000000000"}`},
		{name: "a tiny amount", contentType: jsonType, body: `{"a":"1e-99999999"}`, message: "exponent"},
		{name: "a huge amount with many digits", contentType: jsonType, body: `{"a":"1234567890123456789e99999999"}`, message: "exponent"},
		{name: "an exponent of more than 32 bits", contentType: jsonType, body: `{"a":"1e2147483648"}`, message: "exponent"},
		{name: "a tiny amount without amounts", contentType: jsonType, body: `{"a":"1e-99999999"}`},
		{name: "a tiny amount behind escapes", contentType: "application/merge-patch+json", body: `{"a":"\u0031\u0065-99999999"}`, message: "exponent"},
		{name: "a tiny amount behind an escape in the middle", contentType: "application/merge-patch+json", body: `{"a":"1\u0065-99999999"}`, message: "exponent"},
		{name: "a tiny amount that is a number", contentType: jsonType, body: `{"a":1E-99999999}`, message: "exponent"},
		{name: "a tiny amount in an operation", contentType: jsonPatchType, body: `[{"op":"add","path":"/a","value":"1e-99999999"}]`, message: "exponent"},
		{name: "a tiny amount in YAML", contentType: yamlType, body: "a: 1e-99999999\n", message: "exponent"},
		{name: "a tiny amount as a key", contentType: jsonType, body: `{"1e-99999999":1}`, message: "exponent"},
		{name: "a tiny amount in protobuf", contentType: protobufType, body: protobuf(t, map[string]string{"a": "1e-99999999"}), message: "exponent"},
		{name: "an amount of many digits", contentType: jsonType, body: `{"a":"` + strings.Repeat("9", MaxDigits+1) + `"}`, message: "digits"},
		{name: "an amount of many digits after the point", contentType: yamlType, body: `a: "0.` + strings.Repeat("9", MaxDigits) + `"`, message: "digits"},

		{name: "as many operations as may be", contentType: jsonPatchType, body: "[" + list(MaxPatchList, `{"op":"remove","path":"/a"}`) + "]"},
		{name: "more operations", contentType: jsonPatchType, body: "[" + list(MaxPatchList+1, `{"op":"remove","path":"/a"}`) + "]", message: "operations"},
		{name: "a large list in an operation", contentType: jsonPatchType, body: `[{"op":"add","path":"/a","value":[` + list(MaxPatchList+1, "{}") + `]}]`, message: "operations"},
		{name: "a large list in a strategic merge patch", contentType: strategicType, body: `{"a":[` + list(MaxPatchList+1, "{}") + `]}`, message: "strategic"},
		{name: "a large list in a merge patch", contentType: "application/merge-patch+json", body: `{"a":[` + list(MaxPatchList+1, "{}") + `]}`},
		{name: "a large object in a strategic merge patch", contentType: strategicType, body: `{"a":{` + list(MaxPatchList+1, `"a":1`) + `}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := check(test.contentType, []byte(test.body), maxBytes, !strings.Contains(test.name, "without amounts"))
			switch {
			case err == nil && test.message != "":
				t.Errorf("accepted, want a refusal with %q", test.message)
			case err != nil && test.message == "":
				t.Errorf("refused: %v", err)
			case err != nil && !strings.Contains(err.Error(), test.message):
				t.Errorf("refused for %q, without %q", err, test.message)
			}
		})
	}
}

func TestAcceptedBodiesAreNotChanged(t *testing.T) {
	scheme := runtime.NewScheme()
	scheme.AddUnversionedTypes(schema.GroupVersion{Version: "v1"}, &metav1.Status{})
	handler := WithBounds(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(body)
	}), 1000, func(schema.GroupResource) bool { return true }, serializer.NewCodecFactory(scheme))
	for _, test := range []struct {
		name, method, contentType, body string
		length                          int64
		other                           bool
		code                            int
	}{
		{name: "JSON", method: http.MethodPost, contentType: jsonType, body: `{"a":1}`, code: 200},
		{name: "an apply", method: http.MethodPatch, contentType: applyType, body: "a: &a b\nc: *a\n", code: 200},
		{name: "a body of unknown length", method: http.MethodPut, contentType: jsonType, body: `{"a":1}`, length: -1, code: 200},
		{name: "a body of the longest length", method: http.MethodPost, contentType: jsonType, body: strings.Repeat("x", 1000), code: 200},
		{name: "a longer body", method: http.MethodPost, contentType: jsonType, body: strings.Repeat("x", 1001), code: 413},
		{name: "a longer body of unknown length", method: http.MethodPost, contentType: jsonType, body: strings.Repeat("x", 1001), length: -1, code: 413},
		{name: "delete options", method: http.MethodDelete, contentType: yamlType, body: "a: &a [*a]\n", code: 400},
		{name: "what is no resource", method: http.MethodPost, contentType: yamlType, body: "a: &a [*a]\n", other: true, code: 200},
		{name: "the body of a read", method: http.MethodGet, contentType: yamlType, body: "a: &a [*a]\n", code: 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), test.method, "/", strings.NewReader(test.body))
			r.Header.Set("Content-Type", test.contentType)
			if test.length != 0 {
				r.ContentLength = test.length
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r.WithContext(request.WithRequestInfo(r.Context(), &request.RequestInfo{IsResourceRequest: !test.other, APIVersion: "v1"})))
			if w.Code != test.code {
				t.Fatalf("answered with %d, not %d: %s", w.Code, test.code, w.Body)
			}
			if test.code == 200 && w.Body.String() != test.body {
				t.Errorf("the handler read %q", w.Body)
			}
			if test.code != 200 {
				var status metav1.Status
				if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || int(status.Code) != test.code {
					t.Errorf("the answer is no Status: %v %s", err, w.Body)
				}
			}
		})
	}
}

// FuzzScans compares the estimates with the results of the decoders.
func FuzzScans(f *testing.F) {
	for _, seed := range []string{`{"a":[1,{"b":null}]}`, "a: &a [b, *c]\n", "- - -\n? a\n: b\n", "a: |\n  b\n", "&a [*a]", "{a: &a x, b: *a, <<: *a}", "%YAML 1.1\n---\na\n...\n", "'a': \"b\\u0020\"\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = scanProtobuf(append([]byte(protobufPrefix), body...))
		found, err := scanYAML(body, maxBytes)
		if err != nil || found.depth > MaxDepth {
			return
		}
		decoded, err := yaml.YAMLToJSON(body)
		if err != nil {
			return
		}
		var value any
		if err := json.Unmarshal(decoded, &value); err != nil {
			return
		}
		if len(decoded) > 4*(len(body)+maxBytes)+64 {
			t.Errorf("%d bytes are decoded to %d", len(body), len(decoded))
		}
		if json.Valid(body) {
			if has := countValues(value); scanJSON(body).values < has {
				t.Errorf("%d values are counted as %d", has, scanJSON(body).values)
			}
		}
	})
}

func countValues(value any) int {
	count := 0
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			count += 1 + countValues(element)
		}
	case map[string]any:
		for _, element := range v {
			count += 1 + countValues(element)
		}
	}
	return count
}
