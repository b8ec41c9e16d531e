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
	"io"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// customResourceDefinitionsPath is where kube-apiserver lists CustomResourceDefinitions.
const customResourceDefinitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

// installNoCustomResources answers a list of CustomResourceDefinitions with the truth: there
// are none. Before it validates an object of a kind that cannot be patched, such as a
// SelfSubjectAccessReview, kubectl asks whether the kind is a custom one, and gives up when
// nobody answers (k8s.io/cli-runtime/pkg/resource/query_param_verifier.go).
// Discovery does not name the resource, because nobody can create one here; who may list it
// is decided by roles, as in a cluster.
func installNoCustomResources(server *genericapiserver.GenericAPIServer) {
	server.Handler.NonGoRestfulMux.UnlistedHandle(customResourceDefinitionsPath, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Query().Has("watch") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"kind":"CustomResourceDefinitionList","apiVersion":"apiextensions.k8s.io/v1","metadata":{},"items":[]}`+"\n")
	}))
}
