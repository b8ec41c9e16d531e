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

package base

import (
	"fmt"
	"reflect"
	"strings"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Bounds of the metadata of an object. Kubernetes bounds only the bytes of all annotations together;
// the numbers are far above what objects have, and far below what takes seconds to validate and to
// add to managedFields.
const (
	MaxLabels          = 1000
	MaxAnnotations     = 1000
	MaxOwnerReferences = 100
	MaxFinalizers      = 100
)

// validateMetadataBounds returns errors for more labels, annotations, owners and finalizers than the
// bounds allow. An object that had more before may keep as many: old is nil on create.
func validateMetadataBounds(obj, old runtime.Object) field.ErrorList {
	object, err := apimeta.Accessor(obj)
	if err != nil {
		return nil // the library returns this error
	}
	var labels, annotations, owners, finalizers int
	if old != nil {
		if before, err := apimeta.Accessor(old); err == nil {
			labels, annotations = len(before.GetLabels()), len(before.GetAnnotations())
			owners, finalizers = len(before.GetOwnerReferences()), len(before.GetFinalizers())
		}
	}
	path := field.NewPath("metadata")
	var errs field.ErrorList
	for _, bound := range []struct {
		name             string
		has, before, may int
	}{
		{"labels", len(object.GetLabels()), labels, MaxLabels},
		{"annotations", len(object.GetAnnotations()), annotations, MaxAnnotations},
		{"ownerReferences", len(object.GetOwnerReferences()), owners, MaxOwnerReferences},
		{"finalizers", len(object.GetFinalizers()), finalizers, MaxFinalizers},
	} {
		if bound.has > max(bound.may, bound.before) {
			errs = append(errs, field.TooMany(path.Child(bound.name), bound.has, bound.may))
		}
	}
	return errs
}

const (
	// mostErrors is the maximum number of errors in a response.
	mostErrors = 100
	// longestPart is the maximum number of bytes of a field's path, of a bad value and of a detail in it.
	longestPart = 512
)

// CutErrors keeps the first errors, adds the number of the others to the last one, and cuts long
// values. k8s.io/apimachinery joins the errors of an answer in quadratic time (aggregate.Error in
// pkg/util/errors), so that a body of a megabyte full of errors would take minutes.
func CutErrors(errs field.ErrorList) field.ErrorList {
	more := len(errs) - mostErrors
	if more > 0 {
		errs = errs[:mostErrors]
	}
	cut := make(field.ErrorList, 0, len(errs))
	for _, err := range errs {
		short := *err
		short.Field, short.Detail, short.BadValue = cutText(err.Field), cutText(err.Detail), cutValue(err)
		cut = append(cut, &short)
	}
	if more > 0 {
		last := cut[len(cut)-1]
		last.Detail = strings.TrimPrefix(fmt.Sprintf("%s; and %d more errors", last.Detail, more), "; ")
	}
	return cut
}

// cutValue cuts a bad value that is a string, or is printed as a long string.
func cutValue(err *field.Error) any {
	switch value := err.BadValue.(type) {
	case nil, bool, int, int32, int64, float32, float64:
		return value
	case string:
		return cutText(value)
	}
	if value := reflect.ValueOf(err.BadValue); value.Kind() == reflect.String {
		if value.Len() <= longestPart {
			return err.BadValue
		}
		return cutText(value.String())
	}
	printed := *err
	printed.Detail = ""
	if text := printed.ErrorBody(); len(text) > 2*longestPart {
		return cutText(strings.TrimPrefix(text, err.Type.String()+": "))
	}
	return err.BadValue
}

func cutText(text string) string {
	if len(text) <= longestPart {
		return text
	}
	return strings.ToValidUTF8(text[:longestPart], "") + fmt.Sprintf("… (%d bytes)", len(text))
}
