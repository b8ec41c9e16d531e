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

package delegation

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

func TestTheFrontProxyHasAnAuthorityOfItsOwn(t *testing.T) {
	var pems []string
	for _, name := range []string{"users", "proxy"} {
		bundle, err := certificates.Ensure(filepath.Join(t.TempDir(), name), certificates.Options{ServingOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		pems = append(pems, string(bundle.CA.CertPEM))
	}
	users, proxy := pems[0], pems[1]
	const named, nameless = `["front-proxy-client"]`, `[]`
	const another = "so any user could act as any other"
	for _, tc := range []struct {
		name                 string
		clientCA, own, names string
		anyName              bool
		says                 string // empty: it starts
	}{
		{"authorities of their own", users, "", named, false, ""},
		{"authorities of their own and any name when accepted", users, "", nameless, true, ""},
		{"no users' authority in the cluster", "", "", named, false, ""},
		{"one authority for both, and a name: warned about", proxy, "", named, false, ""},
		{"one authority for both, and no name", proxy, "", nameless, false, another},
		{"one authority for both, and any name accepted", proxy, "", nameless, true, another},
		{"one authority among several", users + proxy, "", nameless, true, another},
		{"the authority of --client-ca-file", users, proxy, nameless, true, "--client-ca-file"},
		{"the authority of --client-ca-file, and a name", users, proxy, named, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			trust := corev1.ConfigMap{
				TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
				ObjectMeta: metav1.ObjectMeta{Namespace: authentication.TrustNamespace, Name: authentication.TrustConfigMap, ResourceVersion: "1"},
				Data: map[string]string{
					"client-ca-file": tc.clientCA, "requestheader-client-ca-file": proxy, "requestheader-allowed-names": tc.names,
					"requestheader-username-headers": `["X-Remote-User"]`, "requestheader-group-headers": `["X-Remote-Group"]`, "requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
				},
			}
			serving := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if want := "/api/v1/namespaces/" + trust.Namespace + "/configmaps/" + trust.Name; r.URL.Path != want {
					t.Errorf("unexpected request for %s", r.URL.Path)
				}
				_ = json.NewEncoder(w).Encode(trust)
			}))
			defer serving.Close()
			client, err := kubernetes.NewForConfig(&rest.Config{Host: serving.URL})
			if err != nil {
				t.Fatal(err)
			}
			var file string
			if tc.own != "" {
				file = filepath.Join(t.TempDir(), "ca.crt")
				if err := os.WriteFile(file, []byte(tc.own), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err = loadTrust(t.Context(), client, Options{AnyProxyName: tc.anyName}, file)
			switch {
			case tc.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)):
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}
