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

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// NewStorage builds the storage of configurations of webhooks that may refuse what is written.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions, validator *validation.Validator) (*base.Store, error) {
	store, _, err := base.NewStore(base.Resource{
		Resource:   admissionregistration.Resource("validatingwebhookconfigurations"),
		Singular:   admissionregistration.Resource("validatingwebhookconfiguration"),
		Categories: []string{"api-extensions"},
		New:        func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
		NewList:    func() runtime.Object { return &admissionregistrationv1.ValidatingWebhookConfigurationList{} },
		Strategy:   strategy{base.NewBuiltinStrategy(scheme, false), validator},
		Table: base.Table(
			base.NameColumn[*admissionregistrationv1.ValidatingWebhookConfiguration](),
			base.Column[*admissionregistrationv1.ValidatingWebhookConfiguration]{Name: "Webhooks", Type: "integer", Description: "How many webhooks there are in the configuration.", Value: func(c *admissionregistrationv1.ValidatingWebhookConfiguration) any { return int64(len(c.Webhooks)) }},
			base.AgeColumn[*admissionregistrationv1.ValidatingWebhookConfiguration](),
		),
	}, opts)
	return store, err
}
