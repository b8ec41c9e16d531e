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
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// MaxValues bounds the values of a body: fields of objects and elements of lists. An object of 1.5
	// MiB, the most that etcd stores, has fewer unless a value and its name take less than 75 bytes.
	MaxValues = 20_000
	// MaxDepth bounds how deeply values are nested. All types of this server are far below.
	MaxDepth = 100
	// MaxPatchList bounds the elements of a list in a JSON patch or a strategic merge patch. Each
	// operation of the former may read or copy the whole object, and each element of the latter is
	// searched in the list that it is merged into.
	MaxPatchList = 1000
)

// WithBounds returns 400 for bodies beyond the bounds of this package, and 413 for patches beyond
// MaxPatchList and for bodies of more than maxBytes, with a Status that the serializer writes. amounts
// reports whether a resource contains amounts (resource.Quantity): numbers in its bodies are bounded,
// too. The filter runs after authorization, so that bodies of unauthorized callers are not read.
func WithBounds(handler http.Handler, maxBytes int64, amounts func(schema.GroupResource) bool, serializer runtime.NegotiatedSerializer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info, ok := request.RequestInfoFrom(r.Context())
		if !ok || !info.IsResourceRequest || !hasBody(r) {
			handler.ServeHTTP(w, r)
			return
		}
		body, err := read(r, maxBytes)
		if err == nil {
			err = check(r.Header.Get("Content-Type"), body, maxBytes, amounts(schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}))
		}
		if err != nil {
			responsewriters.ErrorNegotiated(err, serializer, schema.GroupVersion{Group: info.APIGroup, Version: info.APIVersion}, w, r)
			return
		}
		r = r.WithContext(withBody(r.Context(), body))
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
	})
}

func hasBody(r *http.Request) bool {
	switch r.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return r.Body != nil && r.Body != http.NoBody
	}
	return false
}

// mostAnnounced bounds the bytes that are allocated for a body before it arrives.
const mostAnnounced = 64 << 10

// read reads the body. The response to a body that is too large is that of k8s.io/apiserver
// (limitedReadBody in pkg/endpoints/handlers/rest.go).
func read(r *http.Request, maxBytes int64) ([]byte, error) {
	tooLarge := apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("limit is %d", maxBytes))
	if r.ContentLength > maxBytes {
		return nil, tooLarge
	}
	defer func() { _ = r.Body.Close() }()
	var body bytes.Buffer
	// The Content-Length allocates no memory: the buffer grows with the bytes that arrive.
	if r.ContentLength > 0 {
		body.Grow(int(min(r.ContentLength, mostAnnounced)) + bytes.MinRead)
	}
	n, err := body.ReadFrom(io.LimitReader(r.Body, maxBytes+1))
	status := apierrors.APIStatus(nil)
	switch {
	case errors.As(err, &status):
		return nil, err // the error of the filter that bounds the time of bodies
	case err != nil:
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the body cannot be read: %v", err))
	case n > maxBytes:
		return nil, tooLarge
	}
	return body.Bytes(), nil
}

// check scans a body by the media type by which it will be decoded.
func check(contentType string, body []byte, maxBytes int64, amounts bool) error {
	mediaType, _, malformed := mime.ParseMediaType(contentType)
	if malformed != nil {
		// A type that cannot be parsed is refused with 415, except for an empty one, which is JSON, and
		// for patches: their handler compares only the part before the semicolon.
		mediaType, _, _ = strings.Cut(strings.ToLower(contentType), ";")
	}
	var found usage
	var err error
	switch {
	case strings.Contains(mediaType, "yaml"):
		found, err = scanYAML(body, maxBytes)
	case mediaType == runtime.ContentTypeProtobuf:
		found = scanProtobuf(body)
	default:
		found = scanJSON(body)
	}
	switch {
	case err != nil:
		return apierrors.NewBadRequest(err.Error())
	case mediaType == string(types.JSONPatchType) && found.longestList > MaxPatchList:
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the JSON patch holds a list of more than %d operations or values: split it, or send a merge patch (%s)", MaxPatchList, types.MergePatchType))
	case mediaType == string(types.StrategicMergePatchType) && found.longestList > MaxPatchList:
		return apierrors.NewRequestEntityTooLargeError(fmt.Sprintf("the strategic merge patch holds a list of more than %d values: split it, or send a merge patch (%s)", MaxPatchList, types.MergePatchType))
	case found.depth > MaxDepth:
		return apierrors.NewBadRequest(fmt.Sprintf("the body is nested more than %d deep: no object of this server is", MaxDepth))
	case found.values > MaxValues:
		return apierrors.NewBadRequest(fmt.Sprintf("the body holds more than %d values: split it into several objects", MaxValues))
	case amounts && found.hugeNumber:
		return apierrors.NewBadRequest(fmt.Sprintf("the body holds a number of more than %d digits, or with an exponent beyond %d: write a smaller or rounder one", MaxDigits, maxExponent))
	}
	return nil
}

// usage is the size of a decoded body. Each number is an upper bound for the part of the body that can
// be decoded; a scan may end when one exceeds its bound.
type usage struct {
	// values counts fields and elements, and longestList the elements of one list.
	values, longestList int
	depth               int
	// hugeNumber is true if a string or a number is too expensive to parse as an amount.
	hugeNumber bool
}
