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
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// patchField is the field that the library names when the result of a patch cannot be decoded;
// see applyPatchToCurrentObject in k8s.io/apiserver/pkg/endpoints/handlers/patch.go.
const patchField = "patch"

// maxPatchDetail bounds the reason, in bytes: it contains field names of the caller.
const maxPatchDetail = 1 << 10

// withoutContent removes the object from the library's error about a patch. The library quotes the
// whole patched object, such as a Secret, to callers that may patch it and not read it, and in the
// logs of their clients.
func withoutContent(err error) error {
	var status *apierrors.StatusError
	if !errors.As(err, &status) || !apierrors.IsInvalid(err) || status.ErrStatus.Details == nil {
		return err
	}
	causes := status.ErrStatus.Details.Causes
	if len(causes) != 1 || causes[0].Field != patchField {
		return err
	}
	return apierrors.NewInvalid(schema.GroupKind{Group: status.ErrStatus.Details.Group, Kind: status.ErrStatus.Details.Kind}, status.ErrStatus.Details.Name, field.ErrorList{
		field.Invalid(field.NewPath(patchField), field.OmitValueType{}, detailOf(causes[0].Message)),
	})
}

// detailOf returns the text behind the quoted value of a field.Error. If it cannot be separated from
// the value, detailOf returns a general text.
func detailOf(message string) string {
	const unknown = "the object with the patch applied cannot be decoded"
	_, quoted, found := strings.Cut(message, ": ")
	if !found {
		return unknown
	}
	value, err := strconv.QuotedPrefix(quoted)
	if err != nil {
		return unknown
	}
	detail := strings.TrimPrefix(quoted[len(value):], ": ")
	if len(detail) > maxPatchDetail {
		end := maxPatchDetail
		for !utf8.RuneStart(detail[end]) {
			end--
		}
		detail = detail[:end] + "…"
	}
	if detail == "" {
		return unknown
	}
	return detail
}
