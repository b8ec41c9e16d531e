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
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/util/webhook"
)

// refuser is a plugin that returns an error.
type refuser struct {
	*admission.Handler
	err error
}

func (r refuser) Admit(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return r.err
}

func (r refuser) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return r.err
}

func TestARefusalNamesThePluginAndTheCure(t *testing.T) {
	down := apierrors.NewInternalError(&webhook.ErrCallingWebhook{WebhookName: "x", Reason: errors.New("connection refused")})
	for _, tc := range []struct {
		name    string
		err     error
		cure    string
		code    int32
		message string
	}{
		{"nothing is refused", nil, "c", 0, ""},
		{"with a cure", apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "shop"), "create it", http.StatusNotFound, `namespaces "shop" not found (admission plugin P: create it)`},
		{"without one", apierrors.NewForbidden(schema.GroupResource{Resource: "ks"}, "a", errors.New("no: do this")), "", http.StatusForbidden, `ks "a" is forbidden: no: do this (admission plugin P)`},
		{"an error without a status", errors.New("broken"), "", http.StatusInternalServerError, "Internal error occurred: broken (admission plugin P)"},
		{"a webhook that is down", down, "change the object", http.StatusInternalServerError, `Internal error occurred: failed calling webhook "x": connection refused (admission plugin P: repair what it calls, or let its failurePolicy be Ignore)`},
		{"a complete message", cannotDecide("P", errors.New("not permitted")), "c", http.StatusServiceUnavailable, "admission plugin P cannot decide: not permitted"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler := refusalDecorator{map[string]Plugin{"P": {Name: "P", Cure: tc.cure}}}.Decorate(refuser{admission.NewHandler(admission.Create), tc.err}, "P")
			for half, err := range map[string]error{
				"admit":    handler.(admission.MutationInterface).Admit(t.Context(), nil, nil),
				"validate": handler.(admission.ValidationInterface).Validate(t.Context(), nil, nil),
			} {
				if tc.err == nil {
					if err != nil {
						t.Errorf("%s: %v", half, err)
					}
					continue
				}
				var status apierrors.APIStatus
				if !errors.As(err, &status) || status.Status().Code != tc.code || err.Error() != tc.message {
					t.Errorf("%s: got %v", half, err)
				}
			}
		})
	}
	if answer := (&apierrors.StatusError{ErrStatus: metav1.Status{Message: "m", Code: 418}}); (&refusalPlugin{plugin: Plugin{Name: "P"}}).decorate(answer) == nil || answer.ErrStatus.Message != "m" {
		t.Error("the error of the plugin was changed")
	}
}

// kubectl prints the causes of a 422, and not its message.
func TestTheLastCauseOfAnInvalidObjectNamesThePlugin(t *testing.T) {
	for _, tc := range []struct {
		name   string
		reason metav1.StatusReason
		causes []string
		want   []string
	}{
		{"a policy's only cause", metav1.StatusReasonInvalid, []string{"not this way."}, []string{"not this way (admission plugin P: change it)"}},
		{"the last of several", metav1.StatusReasonInvalid, []string{"a", "b"}, []string{"a", "b (admission plugin P: change it)"}},
		{"kubectl prints the message of a 403", metav1.StatusReasonForbidden, []string{"a"}, []string{"a"}},
		{"no causes", metav1.StatusReasonInvalid, nil, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			answer := &apierrors.StatusError{ErrStatus: metav1.Status{Message: "m", Reason: tc.reason, Details: &metav1.StatusDetails{}}}
			for _, message := range tc.causes {
				answer.ErrStatus.Details.Causes = append(answer.ErrStatus.Details.Causes, metav1.StatusCause{Message: message})
			}
			var named *apierrors.StatusError
			if !errors.As((&refusalPlugin{plugin: Plugin{Name: "P", Cure: "change it"}}).decorate(answer), &named) {
				t.Fatal("no longer a status error")
			}
			var got []string
			for _, cause := range named.ErrStatus.Details.Causes {
				got = append(got, cause.Message)
			}
			if !slices.Equal(got, tc.want) || len(tc.causes) > 0 && answer.ErrStatus.Details.Causes[len(tc.causes)-1].Message != tc.causes[len(tc.causes)-1] {
				t.Errorf("got %q", got)
			}
		})
	}
}
