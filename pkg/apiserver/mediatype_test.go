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
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

func TestABodyNeedsAMediaType(t *testing.T) {
	_, codecs := NewFleetScheme()
	handler := withMediaType(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }), &genericapiserver.Config{Serializer: codecs})
	clientGo := rest.DefaultKubernetesUserAgent()
	for _, tc := range []struct {
		name, method, body string
		headers            map[string]string
		code               int
	}{
		{"a body without a type", http.MethodPost, `{}`, nil, http.StatusUnsupportedMediaType},
		{"an update without a type", http.MethodPut, `{}`, nil, http.StatusUnsupportedMediaType},
		{"options of a delete without a type", http.MethodDelete, `{}`, nil, http.StatusUnsupportedMediaType},
		{"a browser's", http.MethodPost, `{}`, map[string]string{"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"}, http.StatusUnsupportedMediaType},
		{"a page that claims to be client-go", http.MethodPost, `{}`, map[string]string{"User-Agent": clientGo, "Origin": "https://evil.example"}, http.StatusUnsupportedMediaType},
		{"the same without an origin", http.MethodPost, `{}`, map[string]string{"User-Agent": clientGo, "Sec-Fetch-Site": "cross-site"}, http.StatusUnsupportedMediaType},
		{"a body with a type", http.MethodPost, `{}`, map[string]string{"Content-Type": "application/json"}, http.StatusOK},
		{"client-go's bytes, as of kubectl create --raw", http.MethodPost, `{}`, map[string]string{"User-Agent": clientGo}, http.StatusOK},
		{"no body", http.MethodPost, ``, nil, http.StatusOK},
		{"a delete without options", http.MethodDelete, ``, nil, http.StatusOK},
		{"a read with a body, which is ignored", http.MethodGet, `{}`, nil, http.StatusOK},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := httptest.NewRequest(tc.method, "/apis/fleet.gatehouse.dev/v1alpha1/hosts", strings.NewReader(tc.body))
			for name, value := range tc.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			if w.Code != tc.code || tc.code != http.StatusOK && !strings.Contains(w.Body.String(), `"UnsupportedMediaType"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
}
