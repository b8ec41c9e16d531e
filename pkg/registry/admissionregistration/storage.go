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

package admissionregistration

import (
	"context"
	"errors"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/mutatingadmissionpolicy"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/mutatingadmissionpolicybinding"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/mutatingwebhookconfiguration"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/params"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/validatingadmissionpolicy"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/validatingadmissionpolicybinding"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/admissionregistration/validatingwebhookconfiguration"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// NewStorage builds the storage of the group, by version and path. Without the check of
// parameters nobody would keep callers from reading them by a policy, so it must be there. types checks
// policies' expressions; nil for none.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, check *params.Check, types validatingadmissionpolicy.TypeCheck) (map[string]map[string]rest.Storage, error) {
	if !check.Complete() {
		return nil, errors.New("policies cannot be served without what keeps callers from reading parameters that they may not read")
	}
	// One for all: the CEL compiler is built once, when the first expression is written.
	validator := validation.NewValidator()
	mutatingHooks, err := mutatingwebhookconfiguration.NewStorage(scheme, opts, validator)
	if err != nil {
		return nil, err
	}
	validatingHooks, err := validatingwebhookconfiguration.NewStorage(scheme, opts, validator)
	if err != nil {
		return nil, err
	}
	mutating, err := mutatingadmissionpolicy.NewStorage(scheme, opts, validator, check)
	if err != nil {
		return nil, err
	}
	mutatingBindings, err := mutatingadmissionpolicybinding.NewStorage(scheme, opts, validator, check, mutatingKinds(mutating.Policy))
	if err != nil {
		return nil, err
	}
	validating, err := validatingadmissionpolicy.NewStorage(scheme, opts, validator, check, types)
	if err != nil {
		return nil, err
	}
	validatingBindings, err := validatingadmissionpolicybinding.NewStorage(scheme, opts, validator, check, validatingKinds(validating.Policy))
	if err != nil {
		return nil, err
	}
	return map[string]map[string]rest.Storage{
		admissionregistrationv1.SchemeGroupVersion.Version: {
			"mutatingadmissionpolicies":          mutating.Policy,
			"mutatingadmissionpolicybindings":    mutatingBindings.Binding,
			"mutatingwebhookconfigurations":      mutatingHooks.Configuration,
			"validatingadmissionpolicies":        validating.Policy,
			"validatingadmissionpolicies/status": validating.Status,
			"validatingadmissionpolicybindings":  validatingBindings.Binding,
			"validatingwebhookconfigurations":    validatingHooks.Configuration,
		},
	}, nil
}

// mutatingKinds asks etcd and not the watch cache: what is decided by the answer lasts.
func mutatingKinds(policies rest.Getter) params.KindOf {
	return func(ctx context.Context, policy string) (*admissionregistrationv1.ParamKind, error) {
		obj, err := policies.Get(ctx, policy, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*admissionregistrationv1.MutatingAdmissionPolicy).Spec.ParamKind, nil
	}
}

// validatingKinds does the same.
func validatingKinds(policies rest.Getter) params.KindOf {
	return func(ctx context.Context, policy string) (*admissionregistrationv1.ParamKind, error) {
		obj, err := policies.Get(ctx, policy, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*admissionregistrationv1.ValidatingAdmissionPolicy).Spec.ParamKind, nil
	}
}
