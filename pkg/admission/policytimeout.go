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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// policyTime bounds the expressions of all policies that one request runs through, the mutating
// and the validating ones each. The library bounds the cost of each binding, which is one to two
// seconds of a processor, and not the number of bindings
// (k8s.io/apiserver/pkg/apis/cel/config.go). CEL checks the context only in every hundredth
// iteration of a loop: expressions without loops are not interrupted, and are bounded by their cost.
// Garbage collection adds about a third: with 2 s a request cost 2.63 s of processor time, more
// than test/security allows.
const policyTime = time.Second

// policyTimeout bounds the time of plugins that run users' expressions.
type policyTimeout struct {
	plugins map[string]Plugin
	limit   time.Duration
}

// Decorate implements admission.Decorator.
func (h policyTimeout) Decorate(handler admission.Interface, name string) admission.Interface {
	if !h.plugins[name].Expressions {
		return handler
	}
	return &timedPlugin{handler, h.limit}
}

type timedPlugin struct {
	admission.Interface
	limit time.Duration
}

var (
	_ admission.MutationInterface   = &timedPlugin{}
	_ admission.ValidationInterface = &timedPlugin{}
)

// Admit implements admission.MutationInterface.
func (h *timedPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := h.Interface.(admission.MutationInterface)
	if !ok {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	return h.explain(ctx, within, plugin.Admit(within, a, o))
}

// Validate implements admission.ValidationInterface.
func (h *timedPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin, ok := h.Interface.(admission.ValidationInterface)
	if !ok {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, h.limit)
	defer cancel()
	return h.explain(ctx, within, plugin.Validate(within, a, o))
}

// explain adds the limit to an error after the timeout, which has the text "operation interrupted". A
// policy with the failurePolicy Ignore is skipped, like one that exceeds its cost.
func (h *timedPlugin) explain(outer, within context.Context, err error) error {
	if err == nil || outer.Err() != nil || within.Err() == nil {
		return err
	}
	var known *apierrors.StatusError
	if !errors.As(err, &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.ErrStatus.DeepCopy()
	status.Message = fmt.Sprintf("%s: the expressions of all policies together took longer than %s, the limit for one request", status.Message, h.limit)
	return &apierrors.StatusError{ErrStatus: *status}
}
