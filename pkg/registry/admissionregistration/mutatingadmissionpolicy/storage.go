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

package mutatingadmissionpolicy

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of the policies.
type Storage struct{ Policy *base.Store }

// NewStorage builds the storage of mutating admission policies.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, validator *validation.Validator, check *params.Check) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   admissionregistration.Resource("mutatingadmissionpolicies"),
		Singular:   admissionregistration.Resource("mutatingadmissionpolicy"),
		Categories: []string{"api-extensions"},
		Versions:   []schema.GroupVersion{admissionregistrationv1.SchemeGroupVersion},
		New:        func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicy{} },
		NewList:    func() runtime.Object { return &admissionregistrationv1.MutatingAdmissionPolicyList{} },
		Strategy:   strategy{base.NewSpecStrategy(base.NewBuiltinStrategy(scheme, false), rules{validator, check})},
		Table: base.Table(
			base.NameColumn[*admissionregistrationv1.MutatingAdmissionPolicy](),
			base.Column[*admissionregistrationv1.MutatingAdmissionPolicy]{Name: "Mutations", Type: "integer", Description: "Number of mutations of the policy.", Value: func(p *admissionregistrationv1.MutatingAdmissionPolicy) any { return int64(len(p.Spec.Mutations)) }},
			base.Column[*admissionregistrationv1.MutatingAdmissionPolicy]{Name: "ParamKind", Description: "Kind of the policy's parameters.", Value: func(p *admissionregistrationv1.MutatingAdmissionPolicy) any { return params.KindCell(p.Spec.ParamKind) }},
			base.AgeColumn[*admissionregistrationv1.MutatingAdmissionPolicy](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
