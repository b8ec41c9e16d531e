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

package v1alpha1_test

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestInstancesAreSelectedByTheirListedFieldsAndNoOthers(t *testing.T) {
	scheme := newScheme(t)
	kind := v1alpha1.SchemeGroupVersion.WithKind("Instance")
	for _, label := range append([]string{"metadata.name", "metadata.namespace"}, v1alpha1.InstanceSelectableFields...) {
		gotLabel, gotValue, err := scheme.ConvertFieldLabel(kind, label, "value")
		if err != nil || gotLabel != label || gotValue != "value" {
			t.Errorf("%s=value became %s=%s (%v)", label, gotLabel, gotValue, err)
		}
	}
	for _, label := range []string{"", "spec.image", "metadata.uid", "status.PHASE"} {
		if _, _, err := scheme.ConvertFieldLabel(kind, label, "value"); err == nil {
			t.Errorf("%q was accepted", label)
		}
	}
}

func TestHostsAreSelectedByNameOnly(t *testing.T) {
	scheme := newScheme(t)
	for _, name := range []string{"Host", "HostLease"} {
		kind := v1alpha1.SchemeGroupVersion.WithKind(name)
		if _, _, err := scheme.ConvertFieldLabel(kind, "metadata.name", "edge-1"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := scheme.ConvertFieldLabel(kind, "spec.unschedulable", "true"); err == nil {
			t.Errorf("%s can be selected by spec.unschedulable", name)
		}
	}
}
