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

// StorageProvider builds the storages of admissionregistration.k8s.io.
type StorageProvider struct {
	// Check refuses policies with parameters that their author may not read. It is required.
	Check *params.Check
	// TypeCheck checks the expressions of policies; nil for none.
	TypeCheck validatingadmissionpolicy.TypeCheck
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return admissionregistrationv1.GroupName }

// NewStorage implements base.StorageProvider.
func (p StorageProvider) NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (base.GroupStorage, error) {
	if !p.Check.Complete() {
		return nil, errors.New("policies cannot be served without a check that refuses parameters which the caller may not read")
	}
	// All share one validator: it builds the CEL compiler once, for the first expression.
	validator := validation.NewValidator()
	mutatingHooks, err := mutatingwebhookconfiguration.NewStorage(scheme, opts, validator)
	if err != nil {
		return nil, err
	}
	validatingHooks, err := validatingwebhookconfiguration.NewStorage(scheme, opts, validator)
	if err != nil {
		return nil, err
	}
	mutating, err := mutatingadmissionpolicy.NewStorage(scheme, opts, validator, p.Check)
	if err != nil {
		return nil, err
	}
	mutatingBindings, err := mutatingadmissionpolicybinding.NewStorage(scheme, opts, validator, p.Check, mutatingKinds(mutating.Policy))
	if err != nil {
		return nil, err
	}
	validating, err := validatingadmissionpolicy.NewStorage(scheme, opts, validator, p.Check, p.TypeCheck)
	if err != nil {
		return nil, err
	}
	validatingBindings, err := validatingadmissionpolicybinding.NewStorage(scheme, opts, validator, p.Check, validatingKinds(validating.Policy))
	if err != nil {
		return nil, err
	}
	return base.GroupStorage{admissionregistrationv1.GroupName: {admissionregistrationv1.SchemeGroupVersion.Version: {
		"mutatingadmissionpolicies":          mutating.Policy,
		"mutatingadmissionpolicybindings":    mutatingBindings.Binding,
		"mutatingwebhookconfigurations":      mutatingHooks.Configuration,
		"validatingadmissionpolicies":        validating.Policy,
		"validatingadmissionpolicies/status": validating.Status,
		"validatingadmissionpolicybindings":  validatingBindings.Binding,
		"validatingwebhookconfigurations":    validatingHooks.Configuration,
	}}}, nil
}

// mutatingKinds reads from etcd and not from the watch cache: the decision that depends on it is stored.
func mutatingKinds(policies rest.Getter) params.KindOf {
	return func(ctx context.Context, policy string) (*admissionregistrationv1.ParamKind, error) {
		obj, err := policies.Get(ctx, policy, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*admissionregistrationv1.MutatingAdmissionPolicy).Spec.ParamKind, nil
	}
}

// validatingKinds does the same as mutatingKinds.
func validatingKinds(policies rest.Getter) params.KindOf {
	return func(ctx context.Context, policy string) (*admissionregistrationv1.ParamKind, error) {
		obj, err := policies.Get(ctx, policy, &metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return obj.(*admissionregistrationv1.ValidatingAdmissionPolicy).Spec.ParamKind, nil
	}
}
