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

// blame makes every refusal name who refused and what to do about it, in one sentence. The
// library's plugins name their webhooks and policies and seldom themselves, and say nothing
// about cures.
type blame struct{ plugins map[string]Plugin }

// Decorate implements admission.Decorator.
func (b blame) Decorate(handler admission.Interface, name string) admission.Interface {
	return &blamed{Interface: handler, plugin: b.plugins[name]}
}

type blamed struct {
	admission.Interface
	plugin Plugin
}

var (
	_ admission.MutationInterface   = &blamed{}
	_ admission.ValidationInterface = &blamed{}
)

// Admit implements admission.MutationInterface.
func (b *blamed) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := b.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	return b.name(plugin.Admit(ctx, b.attributes(a), o))
}

// Validate implements admission.ValidationInterface.
func (b *blamed) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := b.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	return b.name(plugin.Validate(ctx, b.attributes(a), o))
}

// attributes bounds what programs outside of this one may add to the request's audit event.
func (b *blamed) attributes(a admission.Attributes) admission.Attributes {
	if !b.plugin.Foreign {
		return a
	}
	return &boundedAttributes{Attributes: a}
}

// unreachable is how the library begins when a webhook does not answer, or not what it should.
const unreachable = "failed calling webhook "

// name keeps code, reason and details as they are, and adds to the message; and to the last
// cause of what is invalid, because there kubectl shows the causes and no message.
func (b *blamed) name(err error) error {
	if err == nil {
		return nil
	}
	var known *apierrors.StatusError
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	// A copy: webhooks' own answers must not grow.
	status := known.ErrStatus.DeepCopy()
	if strings.HasPrefix(status.Message, "admission plugin "+b.plugin.Name) {
		return err // a guard has said everything
	}
	if b.plugin.Foreign {
		bounded(status)
	}
	cure := b.plugin.Cure
	if strings.Contains(status.Message, unreachable) {
		cure = "repair what it calls, or let its failurePolicy be Ignore"
	}
	addition := "admission plugin " + b.plugin.Name
	if cure != "" {
		addition += ": " + cure
	}
	says := func(message string) string {
		return fmt.Sprintf("%s (%s)", strings.TrimSuffix(message, "."), addition)
	}
	status.Message = says(status.Message)
	if status.Reason == metav1.StatusReasonInvalid && status.Details != nil && len(status.Details.Causes) > 0 {
		last := &status.Details.Causes[len(status.Details.Causes)-1]
		last.Message = says(last.Message)
	}
	return &apierrors.StatusError{ErrStatus: *status}
}
