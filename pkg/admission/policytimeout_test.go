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
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/admission"
)

// endlessPlugin runs until its context ends, and then returns the error of a policy.
type endlessPlugin struct {
	*admission.Handler
	answer error
	wait   bool
}

func (e endlessPlugin) run(ctx context.Context) error {
	if e.wait {
		<-ctx.Done()
	}
	return e.answer
}

func (e endlessPlugin) Admit(ctx context.Context, _ admission.Attributes, _ admission.ObjectInterfaces) error {
	return e.run(ctx)
}

func (e endlessPlugin) Validate(ctx context.Context, _ admission.Attributes, _ admission.ObjectInterfaces) error {
	return e.run(ctx)
}

func TestTheTimeOfExpressionsIsBounded(t *testing.T) {
	interrupted := apierrors.NewForbidden(registration("x")[0].GroupResource(), "a", errors.New("operation interrupted"))
	plugins := map[string]Plugin{"P": {Name: "P", Expressions: true}, "Q": {Name: "Q"}}
	for _, tc := range []struct {
		name    string
		plugin  endlessPlugin
		message string
		code    int32
	}{
		{"a policy that never ends", endlessPlugin{answer: interrupted, wait: true}, "took longer than 1ms", http.StatusForbidden},
		{"an error without a status", endlessPlugin{answer: errors.New("stopped"), wait: true}, "took longer than 1ms", http.StatusInternalServerError},
		{"a policy that is ignored when it fails", endlessPlugin{wait: true}, "", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler := policyTimeout{plugins, time.Millisecond}.Decorate(tc.plugin, "P")
			for half, err := range map[string]error{
				"admit":    handler.(admission.MutationInterface).Admit(t.Context(), nil, nil),
				"validate": handler.(admission.ValidationInterface).Validate(t.Context(), nil, nil),
			} {
				if tc.message == "" {
					if err != nil {
						t.Errorf("%s: %v", half, err)
					}
					continue
				}
				var status apierrors.APIStatus
				if !errors.As(err, &status) || status.Status().Code != tc.code || !strings.Contains(err.Error(), tc.message) {
					t.Errorf("%s: %v", half, err)
				}
			}
		})
	}
	t.Run("a refusal in time is not changed", func(t *testing.T) {
		err := policyTimeout{plugins, time.Hour}.Decorate(endlessPlugin{answer: interrupted}, "P").(admission.ValidationInterface).Validate(t.Context(), nil, nil)
		if !errors.Is(err, interrupted) {
			t.Error(err)
		}
	})
	t.Run("a request that ends is no timeout of policies", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := policyTimeout{plugins, time.Hour}.Decorate(endlessPlugin{answer: interrupted, wait: true}, "P").(admission.ValidationInterface).Validate(ctx, nil, nil)
		if !errors.Is(err, interrupted) {
			t.Error(err)
		}
	})
	t.Run("other plugins are not bounded", func(t *testing.T) {
		if _, timed := (policyTimeout{plugins, time.Hour}).Decorate(endlessPlugin{}, "Q").(*timedPlugin); timed {
			t.Error("its time is bounded")
		}
	})
}
