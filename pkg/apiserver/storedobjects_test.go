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
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func TestStoredObjectsHasEachResourceWithItsGroup(t *testing.T) {
	stored, err := NewStoredObjects(nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"/registry/secrets/default/a":                                       "secrets",
		"/registry/events/default/a":                                        "events",
		"/registry/leases/kube-system/a":                                    "leases.coordination.k8s.io",
		"/registry/validatingadmissionpolicies/a":                           "validatingadmissionpolicies.admissionregistration.k8s.io",
		"/registry/" + fleet.GroupName + "/hosts/a":                         "hosts." + fleet.GroupName,
		"/registry/" + fleet.GroupName + "/hostleases/a":                    "hostleases." + fleet.GroupName,
		"/registry/hosts/a":                                                 "",
		"/registry/secrets.example.com/secrets/default/a":                   "",
		"/registry/" + fleet.GroupName:                                      "",
		"/registry/storageversionmigrations/a":                              "storageversionmigrations.storagemigration.k8s.io",
		"/registry/prioritylevelconfigurations/" + strings.Repeat("x", 300): "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
	} {
		resource, known := stored.resourceOf(key)
		if known != (want != "") || known && resource.GroupResource.String() != want {
			t.Errorf("%s is of %v, %v", key, resource.GroupResource, known)
		}
	}
}
