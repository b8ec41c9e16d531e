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

package trustbundle

import (
	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds the endpoint of ClusterTrustBundles.
type Storage struct{ TrustBundle *base.Store }

// NewStorage builds the storage of ClusterTrustBundles.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource: certificates.Resource("clustertrustbundles"),
		Singular: certificates.Resource("clustertrustbundle"),
		Versions: []schema.GroupVersion{certificatesv1.SchemeGroupVersion},
		New:      func() runtime.Object { return &certificatesv1.ClusterTrustBundle{} },
		NewList:  func() runtime.Object { return &certificatesv1.ClusterTrustBundleList{} },
		Strategy: strategy{base.NewBuiltinStrategy(scheme, false)},
		SelectableFields: func(obj runtime.Object, set fields.Set) error {
			set[certificates.SignerNameField] = obj.(*certificatesv1.ClusterTrustBundle).Spec.SignerName
			return nil
		},
		Table: base.Table(
			base.NameColumn[*certificatesv1.ClusterTrustBundle](),
			base.Column[*certificatesv1.ClusterTrustBundle]{
				Name: "SignerName", Description: "Signer whose certificates the bundle verifies.", Value: signerName,
			},
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}

func signerName(bundle *certificatesv1.ClusterTrustBundle) any {
	if bundle.Spec.SignerName == "" {
		return "<none>"
	}
	return bundle.Spec.SignerName
}
