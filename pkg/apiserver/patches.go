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
	"net/http"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/bodies"
)

// patchCheck refuses patches that the library would apply wrongly or refuse without the name
// of the field.
//
// Apply and strategic merge convert unstructured objects to typed ones, and the converter of
// apimachinery (runtime/converter.go, fromUnstructured) casts every number without a check:
// 4294967298 becomes 2 in an int32 field, and 1.9 becomes 1. No patch calculates: a number that
// does not fit is in the request's body, at the path of the field, which is what this check reads.
// The decoder of JSON and merge patches refuses such numbers, but its error contains the whole
// object and not always the field. Creates and updates need no check.
//
// Strategic merge compares elements of lists without a check of their types, and panics on
// objects (strategicpatch/patch.go, mergeKeyValueEqual and applyRetainKeysDirective).
type patchCheck struct {
	serializer runtime.NegotiatedSerializer
	types      map[endpoint]reflect.Type
	kinds      map[endpoint]schema.GroupKind
}

// endpoint is a resource or a subresource of a version.
type endpoint struct {
	schema.GroupVersionResource
	subresource string
}

// learn records the type of the body of every endpoint of the groups.
func (c *patchCheck) learn(groups []apiGroup) error {
	c.types, c.kinds = map[endpoint]reflect.Type{}, map[endpoint]schema.GroupKind{}
	for _, g := range groups {
		for version, storages := range g.info.VersionedResourcesStorageMap {
			gv := schema.GroupVersion{Group: g.name, Version: version}
			for path, storage := range storages {
				resource, subresource, _ := strings.Cut(path, "/")
				at := endpoint{gv.WithResource(resource), subresource}
				sample, kind, err := sampleOf(g.scheme, gv, storage)
				if err != nil {
					return fmt.Errorf("the type of %s in %s: %w", path, gv, err)
				}
				c.types[at], c.kinds[at] = reflect.TypeOf(sample), kind
			}
		}
	}
	return nil
}

// sampleOf returns an empty object of the version that clients send to a storage.
func sampleOf(scheme *runtime.Scheme, gv schema.GroupVersion, storage rest.Storage) (runtime.Object, schema.GroupKind, error) {
	sample := storage.New()
	if fixed, ok := storage.(rest.GroupVersionKindProvider); ok {
		return sample, fixed.GroupVersionKind(gv).GroupKind(), nil // of another group: never a hub type of the fleet
	}
	kinds, _, err := scheme.ObjectKinds(sample)
	if err != nil {
		return nil, schema.GroupKind{}, err
	}
	if sent, err := scheme.New(gv.WithKind(kinds[0].Kind)); err == nil {
		sample = sent
	}
	return sample, schema.GroupKind{Group: gv.Group, Kind: kinds[0].Kind}, nil
}

// wrap adds the check in front of the endpoints. bodies.WithBounds must be in front of it.
func (c *patchCheck) wrap(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			if err := c.check(r); err != nil {
				responsewriters.ErrorNegotiated(err, c.serializer, schema.GroupVersion{Version: "v1"}, w, r)
				return
			}
		}
		handler.ServeHTTP(w, r)
	})
}

// check returns the errors of a patch. The library refuses a body that cannot be decoded.
func (c *patchCheck) check(r *http.Request) error {
	info, ok := request.RequestInfoFrom(r.Context())
	if !ok {
		return nil
	}
	at := endpoint{schema.GroupVersionResource{Group: info.APIGroup, Version: info.APIVersion, Resource: info.Resource}, info.Subresource}
	kind, ok := c.types[at]
	if !ok {
		return nil
	}
	// The handlers compare the media type without its parameters, and with case.
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	patch := types.PatchType(strings.TrimSpace(mediaType))
	value, ok := bodies.Decode(r.Context(), patch == types.ApplyYAMLPatchType)
	if !ok {
		return nil
	}
	var errs field.ErrorList
	switch patch {
	case types.JSONPatchType:
		errs = checkOperations(kind, value)
	case types.StrategicMergePatchType:
		errs = checkIntegers(kind, value, nil)
		errs = append(errs, checkDirectives(value, nil)...)
		errs = append(errs, checkMergeKeys(kind, value, nil)...)
	case types.MergePatchType, types.ApplyYAMLPatchType:
		errs = checkIntegers(kind, value, nil)
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(c.kinds[at], info.Name, errs[:min(len(errs), maxPatchErrors)])
	}
	return nil
}

// maxPatchErrors bounds the number of errors in the answer to a patch.
const maxPatchErrors = 16
