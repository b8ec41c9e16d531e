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

package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
)

// refusalDecorator adds the name of the plugin and a cure to every refusal, in one sentence. The
// messages of the library's plugins name their webhooks and policies, seldom the plugin, and no
// cure.
type refusalDecorator struct{ plugins map[string]Plugin }

// Decorate implements admission.Decorator.
func (d refusalDecorator) Decorate(handler admission.Interface, name string) admission.Interface {
	return &refusalPlugin{Interface: handler, plugin: d.plugins[name]}
}

type refusalPlugin struct {
	admission.Interface
	plugin Plugin
}

var (
	_ admission.MutationInterface   = &refusalPlugin{}
	_ admission.ValidationInterface = &refusalPlugin{}
)

// Admit implements admission.MutationInterface.
func (p *refusalPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := p.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	return p.decorate(plugin.Admit(ctx, p.attributes(a), o))
}

// Validate implements admission.ValidationInterface.
func (p *refusalPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := p.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	return p.decorate(plugin.Validate(ctx, p.attributes(a), o))
}

// attributes bounds the annotations that external programs add to the request's audit event.
func (p *refusalPlugin) attributes(a admission.Attributes) admission.Attributes {
	if !p.plugin.Foreign {
		return a
	}
	return &boundedAttributes{Attributes: a}
}

// unreachable is the prefix of the library's message if a webhook does not respond or its response is invalid.
const unreachable = "failed calling webhook "

// decorate keeps code, reason and details, and appends to the message. For a 422, kubectl prints
// only the causes, so the addition is appended to the last one, too.
func (p *refusalPlugin) decorate(err error) error {
	if err == nil {
		return nil
	}
	var known *apierrors.StatusError
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	// The response of a webhook must not change, so it is copied.
	status := known.ErrStatus.DeepCopy()
	if strings.HasPrefix(status.Message, "admission plugin "+p.plugin.Name) {
		return err // the message of dependencyGuard is complete
	}
	if p.plugin.Foreign {
		bounded(status)
	}
	cure := p.plugin.Cure
	if strings.Contains(status.Message, unreachable) {
		cure = "repair what it calls, or let its failurePolicy be Ignore"
	}
	addition := "admission plugin " + p.plugin.Name
	if cure != "" {
		addition += ": " + cure
	}
	withAddition := func(message string) string {
		return fmt.Sprintf("%s (%s)", strings.TrimSuffix(message, "."), addition)
	}
	status.Message = withAddition(status.Message)
	if status.Reason == metav1.StatusReasonInvalid && status.Details != nil && len(status.Details.Causes) > 0 {
		last := &status.Details.Causes[len(status.Details.Causes)-1]
		last.Message = withAddition(last.Message)
	}
	return &apierrors.StatusError{ErrStatus: *status}
}
