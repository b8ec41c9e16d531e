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

package scheduler

import (
	"errors"
	"fmt"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestVerdictOf(t *testing.T) {
	resource := schema.GroupResource{Group: "fleet.gatehouse.dev", Resource: "instances"}
	for _, tc := range []struct {
		name string
		err  error
		want verdict
	}{
		{"it is done", nil, bound},
		{"a conflict", apierrors.NewConflict(resource, "x", errors.New("bound")), conflicted},
		{"the instance is gone", apierrors.NewNotFound(resource, "x"), refused},
		{"the host is gone", apierrors.NewInvalid(schema.GroupKind{Kind: "Binding"}, "x", nil), refused},
		{"it is not allowed", apierrors.NewForbidden(resource, "x", nil), refused},
		{"too many requests", apierrors.NewTooManyRequests("later", 1), refused},
		{"the server gave up while it worked", apierrors.NewTimeoutError("slow", 1), unknownOutcome},
		{"the server failed", apierrors.NewInternalError(errors.New("etcd")), unknownOutcome},
		{"the connection broke", errors.New("connection reset"), unknownOutcome},
		{"a status is found in what wraps it", fmt.Errorf("binding: %w", apierrors.NewNotFound(resource, "x")), refused},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := verdictOf(tc.err); got != tc.want {
				t.Errorf("got %d, not %d", got, tc.want)
			}
		})
	}
}
