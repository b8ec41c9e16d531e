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

package mutatingwebhookconfiguration

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/admissionregistration/validation"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

type configuration = admissionregistrationv1.MutatingWebhookConfiguration

// strategy is the strategy for all writes.
type strategy struct {
	base.SpecStrategy[*configuration, []admissionregistrationv1.MutatingWebhook]
}

// WarningsOnCreate warns of webhooks that match resources for which webhooks are not called.
func (strategy) WarningsOnCreate(_ context.Context, obj runtime.Object) []string {
	return validation.WarningsForMutatingWebhookConfiguration(obj.(*configuration))
}

// WarningsOnUpdate also warns of a name that is not valid.
func (strategy) WarningsOnUpdate(_ context.Context, obj, _ runtime.Object) []string {
	config := obj.(*configuration)
	return append(validation.WarningsForName(config), validation.WarningsForMutatingWebhookConfiguration(config)...)
}

// rules are those of the configurations for base.SpecStrategy.
type rules struct{ validator *validation.Validator }

// Spec returns the webhooks: the kind has no field spec.
func (rules) Spec(config *configuration) *[]admissionregistrationv1.MutatingWebhook {
	return &config.Webhooks
}

func (r rules) Validate(_ context.Context, config *configuration) field.ErrorList {
	return r.validator.ValidateMutatingWebhookConfiguration(config, nil)
}

func (r rules) ValidateUpdate(_ context.Context, config, old *configuration) field.ErrorList {
	return r.validator.ValidateMutatingWebhookConfiguration(config, old)
}
