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
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func TestAnErrorAboutAPatchDoesNotQuoteTheObject(t *testing.T) {
	const secret = `{"data":{"password":"aHVudGVyMg=="},"note":"a \"quoted\": thing"}`
	invalid := func(path string, value any, detail string) error {
		return apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{field.Invalid(field.NewPath(path), value, detail)})
	}
	two := apierrors.NewInvalid(schema.GroupKind{}, "", field.ErrorList{
		field.Invalid(field.NewPath("patch"), "hunter2", "a"), field.Invalid(field.NewPath("patch"), "hunter2", "b"),
	})
	for _, tc := range []struct {
		name string
		err  error
		says string
		same bool
	}{
		{"an object that cannot be decoded", invalid("patch", secret, "strict decoding error: unknown field \"note\""), `patch: Invalid value: strict decoding error: unknown field "note"`, false},
		{"without a reason", invalid("patch", secret, ""), "cannot be decoded", false},
		{"a value that is no text", invalid("patch", 7, "json: no"), "cannot be decoded", false},
		{"a long reason is cut", invalid("patch", secret, strings.Repeat("ä", maxPatchDetail)), "…", false},
		{"another field keeps its value", invalid("spec", "hunter", "no"), `"hunter"`, true},
		{"several causes are not of a patch", two, "hunter2", true},
		{"another kind of error", apierrors.NewBadRequest("no"), "no", true},
		{"an error of no kind", errors.New("no"), "no", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := withoutContent(tc.err)
			if (got == tc.err) != tc.same || !strings.Contains(got.Error(), tc.says) || len(got.Error()) > maxPatchDetail+200 {
				t.Errorf("got %v", got)
			}
			if strings.Contains(got.Error(), "aHVudGVyMg") || strings.Contains(got.Error(), "quoted") {
				t.Errorf("the object is quoted: %v", got)
			}
			var status apierrors.APIStatus
			if !tc.same && (!errors.As(got, &status) || status.Status().Code != http.StatusUnprocessableEntity) {
				t.Errorf("got %v", got)
			}
		})
	}
	if withoutContent(nil) != nil {
		t.Error("no error became one")
	}
}
