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

package memory

import (
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// cheap is the need below which a request is never refused: most requests, such as deletes, need
	// less.
	cheap = 1 << 20
	// perBodyByte is the maximum number of bytes that each byte of a body needs, within the bounds
	// of package bodies: decoded, converted, in managedFields, and encoded for admission and etcd.
	perBodyByte = 16
	// perListedByte is the same for each stored byte of the listed objects. The
	// objects themselves belong to the watch cache.
	perListedByte = 2
	// retryAfterSeconds is the Retry-After of a refused request.
	retryAfterSeconds = 1
)

// Sizes returns the number of stored objects of a resource, and their average size in bytes.
type Sizes func(resource schema.GroupResource) (count, averageBytes int64)

// WithBudget returns 429 with Retry-After for requests that need more than is left of the budget: those
// with large bodies, and lists without a limit of a resource with many stored bytes. Health checks and
// requests that need little pass. maxBody is the largest body, in bytes: a request without a
// Content-Length is counted with it.
func WithBudget(handler http.Handler, budget *Budget, sizes Sizes, maxBody int64, serializer runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || !info.IsResourceRequest {
			handler.ServeHTTP(w, r)
			return
		}
		need := needOf(r, info, sizes, maxBody)
		if need <= cheap {
			handler.ServeHTTP(w, r)
			return
		}
		release, ok := budget.Reserve(need)
		if !ok {
			refused.WithLabelValues(info.Verb).Inc()
			err := apierrors.NewTooManyRequests("the server is near its memory limit, and this request needs much: try again later, send a smaller body, or list with a limit (kubectl: --chunk-size)", retryAfterSeconds)
			responsewriters.ErrorNegotiated(err, serializer, schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}, w, r)
			return
		}
		defer release()
		handler.ServeHTTP(w, r)
	})
}

// needOf estimates the bytes that a request needs while it runs.
func needOf(r *http.Request, info *request.RequestInfo, sizes Sizes, maxBody int64) int64 {
	switch info.Verb {
	case "create", "update", "patch":
		length := r.ContentLength
		if length < 0 || length > maxBody {
			length = maxBody
		}
		return length * perBodyByte
	case "list":
		query := r.URL.Query()
		if info.Name != "" || query.Get("fieldSelector") != "" {
			return 0
		}
		count, average := sizes(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource})
		if limit, err := strconv.ParseInt(query.Get("limit"), 10, 64); err == nil && limit > 0 {
			count = min(count, limit)
		}
		return count * average * perListedByte
	}
	return 0
}
