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

package validatingwebhookconfiguration

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of the configurations.
type Storage struct{ Configuration *base.Store }

// NewStorage builds the storage of configurations of validating webhooks.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, validator *validation.Validator) (*Storage, error) {
	store, err := base.NewStore(base.Resource{
		Resource:   admissionregistration.Resource("validatingwebhookconfigurations"),
		Singular:   admissionregistration.Resource("validatingwebhookconfiguration"),
		Categories: []string{"api-extensions"},
		Versions:   []schema.GroupVersion{admissionregistrationv1.SchemeGroupVersion},
		New:        func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
		NewList:    func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfigurationList{} },
		Strategy:   strategy{base.NewSpecStrategy(base.NewBuiltinStrategy(scheme, false), rules{validator})},
		Table: base.Table(
			base.NameColumn[*admissionregistrationv1.ValidatingWebhookConfiguration](),
			base.Column[*admissionregistrationv1.ValidatingWebhookConfiguration]{Name: "Webhooks", Type: "integer", Description: "Number of webhooks in the configuration.", Value: func(c *admissionregistrationv1.ValidatingWebhookConfiguration) any { return int64(len(c.Webhooks)) }},
			base.AgeColumn[*admissionregistrationv1.ValidatingWebhookConfiguration](),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{store}, nil
}
