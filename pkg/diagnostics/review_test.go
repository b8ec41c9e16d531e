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

package diagnostics

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

func reviewOf(ctx context.Context, handler http.Handler, end Gate) (*Recorder, *diagnostics.RequestTrace, diagnostics.TraceStopName) {
	r := newTestRecorder(All)
	req := httptest.NewRequest(http.MethodPost, "/api/v1/namespaces/shop/configmaps", nil).WithContext(ctx)
	trace, ended := r.Review(handler, req, Review{User: &user.DefaultInfo{Name: "bob"}, EndBefore: end})
	return r, trace, ended
}

func TestAReviewHasNothingOfTheRequestThatAsksForIt(t *testing.T) {
	type key struct{}
	ctx := request.WithUser(context.WithValue(t.Context(), key{}, "caller"), &user.DefaultInfo{Name: "carol"})
	r, trace, ended := reviewOf(ctx, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if _, found := request.UserFrom(req.Context()); found || req.Context().Value(key{}) != nil {
			t.Error("the review has values of its caller's context")
		}
		if response, ok, err := AuthenticateReview(req); err != nil || !ok || response.User.GetName() != "bob" {
			t.Errorf("the review is authenticated as %v %t %v", response, ok, err)
		}
		w.WriteHeader(http.StatusCreated)
	}), Start)
	if trace.Verdict != diagnostics.VerdictAllowed || trace.Code != http.StatusCreated || ended != "" {
		t.Errorf("the review is %s %d, ended before %q", trace.Verdict, trace.Code, ended)
	}
	r.List(func(trace *diagnostics.RequestTrace) { t.Errorf("the review is kept: %+v", trace) })
}

func TestNoOtherRequestIsAuthenticatedAsAReview(t *testing.T) {
	r := newTestRecorder(All)
	r.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if _, ok, _ := AuthenticateReview(req); ok {
			t.Error("a request is authenticated")
		}
		answer := httptest.NewRecorder()
		EndReviews(http.NotFoundHandler()).ServeHTTP(answer, req)
		if answer.Code != http.StatusInternalServerError {
			t.Errorf("the chain of reviews serves a request: %d", answer.Code)
		}
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
}

func TestAReviewEndsBeforeItsGate(t *testing.T) {
	for _, row := range []struct {
		name, verb string
		at, end    Gate
		served     bool
		before     diagnostics.TraceStopName
	}{
		{"a create that may reach the storage", "create", Decoding, Start, true, ""},
		{"a create that ends in admission", "create", Decoding, Storage, true, ""},
		{"a patch of an object that the caller may not read", "patch", Decoding, Decoding, false, diagnostics.StopDecoding},
		{"a read of an object that the caller may not read", "get", Storage, Storage, false, diagnostics.StopStorage},
		{"a watch, whatever its end", "watch", Storage, Start, false, diagnostics.StopStorage},
		{"a delete of a collection, whatever its end", "deletecollection", Decoding, Start, false, diagnostics.StopDecoding},
	} {
		t.Run(row.name, func(t *testing.T) {
			served := false
			handler := EndReviews(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
			_, trace, before := reviewOf(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				From(req.Context()).Enter(row.at)
				handler.ServeHTTP(w, req.WithContext(request.WithRequestInfo(req.Context(), &request.RequestInfo{Verb: row.verb})))
			}), row.end)
			if served != row.served || before != row.before || trace.Verdict != diagnostics.VerdictAllowed {
				t.Errorf("served %t, ended before %q, %s", served, before, trace.Verdict)
			}
		})
	}
}

func TestAReviewThatEndsInAdmissionIsAllowedUntilThere(t *testing.T) {
	_, trace, before := reviewOf(t.Context(), http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		record := From(req.Context())
		record.Enter(ValidatingAdmission)
		if record.EnterOrEnd(Storage) == nil {
			t.Error("the review goes on")
		}
		w.WriteHeader(http.StatusInternalServerError)
	}), Storage)
	if trace.Verdict != diagnostics.VerdictAllowed || trace.Code != 0 || before != diagnostics.StopStorage || trace.DecidedBy != nil {
		t.Errorf("the review is %s %d by %+v, ended before %q", trace.Verdict, trace.Code, trace.DecidedBy, before)
	}
}

func TestAReviewOfAHandlerThatAbortsFails(t *testing.T) {
	_, trace, _ := reviewOf(t.Context(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), Start)
	if trace.Verdict != diagnostics.VerdictFailed {
		t.Errorf("the review is %s", trace.Verdict)
	}
}

// fullControl is flow control without a free seat.
type fullControl struct{ utilflowcontrol.Interface }

// Handle implements utilflowcontrol.Interface.
func (fullControl) Handle(_ context.Context, _ utilflowcontrol.RequestDigest, noteFn func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	_ func() fcrequest.WorkEstimate, queueNoteFn fq.QueueNoteFn, _ func(),
) {
	noteFn(&flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: "schema"}}, &flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "level"}}, "")
	queueNoteFn(true) // the request would wait
}

func TestAReviewTakesNoSeat(t *testing.T) {
	executed := false
	_, trace, _ := reviewOf(t.Context(), http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		control := WithFlowControl(fullControl{})
		control.Handle(req.Context(), utilflowcontrol.RequestDigest{User: &user.DefaultInfo{Name: "bob"}}, func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string) {}, nil, nil, func() { executed = true })
		if control.RegisterWatch(req) != nil {
			t.Error("the watch of a review is registered")
		}
	}), Start)
	if len(trace.Stops) == 0 || trace.Stops[0].By != "schema" || trace.Stops[0].PriorityLevel != "level" || trace.Stops[0].Verdict != diagnostics.StopPassed || !executed {
		t.Errorf("executed %t, stops %+v", executed, trace.Stops)
	}
}

func TestUnknownFieldsAreNamedWithoutValues(t *testing.T) {
	for text, want := range map[string]string{
		`strict decoding error: unknown field "spec.foo"`:                            `unknown field "spec.foo"`,
		`299 - "unknown field \"date\""`:                                             `unknown field "date"`,
		`strict decoding error: duplicate field "data.a", json: cannot s3cret`:       `duplicate field "data.a"`,
		`Secret in version "v1" cannot be handled: illegal base64 data "s3cret" ...`: "",
	} {
		found := unknownFields(text)
		if want == "" && len(found) > 0 || want != "" && (len(found) != 1 || found[0] != want) {
			t.Errorf("%q names %q", text, found)
		}
	}
}
