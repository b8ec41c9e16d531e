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

package validation

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestLeases(t *testing.T) {
	for name, test := range map[string]struct {
		spec coordinationv1.LeaseSpec
		want string
	}{
		"one that nobody holds":      {coordinationv1.LeaseSpec{}, ""},
		"one that is held":           {coordinationv1.LeaseSpec{HolderIdentity: ptr.To("me"), LeaseDurationSeconds: ptr.To[int32](1), LeaseTransitions: ptr.To[int32](0)}, ""},
		"one for no time":            {coordinationv1.LeaseSpec{LeaseDurationSeconds: ptr.To[int32](0)}, "spec.leaseDurationSeconds"},
		"one that changed hands -1×": {coordinationv1.LeaseSpec{LeaseTransitions: ptr.To[int32](-1)}, "spec.leaseTransitions"},
	} {
		t.Run(name, func(t *testing.T) {
			lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}, Spec: test.spec}
			got := ""
			for _, err := range append(ValidateLease(lease), ValidateLeaseUpdate(lease, lease)...) {
				if got != "" && got != err.Field {
					t.Errorf("both %s and %s are wrong", got, err.Field)
				}
				got = err.Field
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
