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

package mutatingadmissionpolicybinding

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of the bindings.
type Storage struct{ Binding *base.Store }

// NewStorage builds the storage of bindings; kindOf reads the policies to which they bind.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, validator *validation.Validator, check *params.Check, kindOf params.KindOf) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   admissionregistration.Resource("mutatingadmissionpolicybindings"),
		Singular:   admissionregistration.Resource("mutatingadmissionpolicybinding"),
		Categories: []string{"api-extensions"},
		Versions:   []schema.GroupVersion{admissionregistrationv1.SchemeGroupVersion},
		New:        func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyBinding{} },
		NewList:    func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyBindingList{} },
		Strategy:   strategy{base.NewSpecStrategy(base.NewBuiltinStrategy(scheme, false), rules{validator, check, kindOf})},
		Table: base.Table(
			base.NameColumn[*admissionregistrationv1.MutatingAdmissionPolicyBinding](),
			base.Column[*admissionregistrationv1.MutatingAdmissionPolicyBinding]{Name: "PolicyName", Description: "Policy that is bound.", Value: func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) any { return b.Spec.PolicyName }},
			base.Column[*admissionregistrationv1.MutatingAdmissionPolicyBinding]{Name: "ParamRef", Description: "Parameters of the binding.", Value: func(b *admissionregistrationv1.MutatingAdmissionPolicyBinding) any {
				return params.RefCell(b.Spec.ParamRef)
			}},
			base.AgeColumn[*admissionregistrationv1.MutatingAdmissionPolicyBinding](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
