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
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/negotiation"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// withMediaType returns 415 for a body without a media type. The library, and a kube-apiserver, handle
// such a body as JSON. A web page can send one to another site, with the browser's client
// certificate, without a CORS preflight; with application/json it cannot. The library refuses the
// types of HTML forms.
//
// client-go sets no type for raw bytes, as in "kubectl create --raw": requests of client-go pass. A
// page cannot imitate them: a User-Agent that a page sets causes a CORS preflight.
func withMediaType(handler http.Handler, config *genericapiserver.Config) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		if reads || r.ContentLength == 0 || r.Header.Get("Content-Type") != "" || isClientGo(r) {
			handler.ServeHTTP(w, r)
			return
		}
		var version schema.GroupVersion
		if info, ok := apirequest.RequestInfoFrom(r.Context()); ok {
			version = schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}
		}
		supported, _ := negotiation.MediaTypesForSerializer(config.Serializer)
		responsewriters.ErrorNegotiated(negotiation.NewUnsupportedMediaTypeError(supported), config.Serializer, version, w, r)
	})
}

// isClientGo reports whether the User-Agent is one of k8s.io/client-go/rest.DefaultKubernetesUserAgent
// and there are no headers that browsers add to the requests of pages.
func isClientGo(r *http.Request) bool {
	return strings.Contains(r.UserAgent(), ") kubernetes/") && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == ""
}
