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

package coordination_test

import (
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/coordination"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	coordinationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/coordination"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	registrytest.Contract(t, registrytest.Group{
		Name:       coordination.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: registrytest.NewStorage(coordinationregistry.StorageProvider{}, coordination.GroupName),
		Builtin:    true,
		Resources: []registrytest.Resource{{
			Name:         "leases",
			Singular:     "lease",
			Kind:         "Lease",
			Namespaced:   true,
			Verbs:        registrytest.StandardVerbs,
			Columns:      []string{"NAME", "HOLDER", "AGE"},
			Key:          "/registry/leases/default/leader",
			NoGeneration: true,
			CreateByPut:  true,
			Sample: func() runtime.Object {
				return &coordinationv1.Lease{
					ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "leader"},
					Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("me"), LeaseDurationSeconds: ptr.To[int32](15)},
				}
			},
			ChangeSpec: func(obj runtime.Object) { obj.(*coordinationv1.Lease).Spec.HolderIdentity = ptr.To("you") },
		}},
	})
}
