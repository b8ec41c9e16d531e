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
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// stored is an object that three managers wrote, and others in the second of the newest write.
func stored(newest time.Time, others ...string) *corev1.ConfigMap {
	entry := func(manager string, at time.Time) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{Manager: manager, Operation: metav1.ManagedFieldsOperationUpdate, Time: &metav1.Time{Time: at}}
	}
	entries := []metav1.ManagedFieldsEntry{entry("controller", newest.Add(-time.Hour)), entry("kubectl-edit", newest), entry("other", newest.Add(-time.Minute))}
	for _, manager := range others {
		entries = append(entries, entry(manager, newest))
	}
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{ManagedFields: entries}}
}

// writes returns a handler that writes the config map as a user.
func writes(name, verb string, err error, before func(*http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		record.setTarget(&request.RequestInfo{IsResourceRequest: true, Verb: verb, Resource: "configmaps", Namespace: "shop", Name: "settings"})
		record.authenticatedAs(&authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, r)
		record.Enter(Storage)
		if before != nil {
			before(r)
		}
		if err == nil {
			w.WriteHeader(http.StatusOK)
			return
		}
		responsewriters.ErrorNegotiated(err, testSerializer(), schema.GroupVersion{Version: "v1"}, w, r)
	}
}

func TestAConflictOfAControllerIsNoRefusal(t *testing.T) {
	stale := apierrors.NewConflict(schema.GroupResource{Resource: "apps"}, "web", errors.New("modified"))
	for name, want := range map[string]diagnostics.Verdict{ControllerUserPrefix + "app-controller": diagnostics.VerdictFailed, "bob": diagnostics.VerdictRefused} {
		recorder := newTestRecorder(Refusals)
		answer, trace := serve(t, recorder, refuseAs(name, stale))
		if led := strings.Contains(answer.Body.String(), "kubectl gatehouse why"); trace.Verdict != want || trace.DecidedBy.Stop != diagnostics.StopStorage || led != (want == diagnostics.VerdictRefused) {
			t.Errorf("%s: %s by %v: %s", name, trace.Verdict, trace.DecidedBy, answer.Body)
		}
	}
}

func TestAConflictNamesTheOtherWrite(t *testing.T) {
	apply := apierrors.NewApplyConflict([]metav1.StatusCause{
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".data.a", Message: `conflict with "controller" using v1`},
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".data.b", Message: `conflict with "other" using v1`},
	}, "Apply failed with 2 conflicts")
	stale := apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "settings", errors.New("modified"))
	for _, row := range []struct {
		name, managers, user, message string
		err                           error
		writer                        string
		sameSecond                    []string
	}{
		{"the last one of a stale version, with the user of its trace", "kubectl-edit", "alice", `modified (storage, last written by manager "kubectl-edit" of user "alice" at `, stale, "update", nil},
		{"without the user if another manager wrote in the same second", "kubectl-edit", "", `modified (storage, last written by manager "kubectl-edit" at `, stale, "update", []string{"kubectl-label"}},
		{"without the user if only a read is known", "kubectl-edit", "", `modified (storage, last written by manager "kubectl-edit" at `, stale, "get", nil},
		{"those that an apply names", "controller other", "", `conflicts (storage, last written by manager "other" at `, apply, "get", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := newTestRecorder(All)
			_, first := serve(t, r, writes("alice", row.writer, nil, nil))
			var trace *diagnostics.RequestTrace
			answer := serveNext(r, writes("bob", "update", row.err, func(req *http.Request) {
				Conflict(req.Context(), row.err, stored(first.ReceivedTime.Truncate(time.Second), row.sameSecond...))
			}))
			r.List(func(t *diagnostics.RequestTrace) { trace = t })
			stop := trace.Stops[len(trace.Stops)-1]
			var managers []string
			users := ""
			for _, write := range stop.OtherWrites {
				managers = append(managers, write.Manager)
				users += write.Username
				if write.Time == nil || write.Operation != "Update" {
					t.Errorf("the write is %+v", write)
				}
			}
			if stop.Stop != diagnostics.StopStorage || strings.Join(managers, " ") != row.managers || users != row.user {
				t.Errorf("the stop is %+v", stop)
			}
			if !strings.Contains(answer, strings.ReplaceAll(row.message, `"`, `\"`)) {
				t.Errorf("the answer is %s", answer)
			}
		})
	}
}

// serveNext sends a further request and returns the body of the response.
func serveNext(r *Recorder, handler http.HandlerFunc) string {
	answer := httptest.NewRecorder()
	r.Wrap(handler).ServeHTTP(answer, httptest.NewRequest(http.MethodPut, "/", nil))
	return answer.Body.String()
}

// fullFlowControl refuses users whose name begins with late, and runs the others.
type fullFlowControl struct {
	utilflowcontrol.Interface
	level  flowcontrolv1.PriorityLevelConfiguration
	queued bool
}

func (f fullFlowControl) Handle(_ context.Context, digest utilflowcontrol.RequestDigest, noteFn func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	workEstimator func() fcrequest.WorkEstimate, queueNoteFn fq.QueueNoteFn, execFn func(),
) {
	noteFn(&flowcontrolv1.FlowSchema{ObjectMeta: metav1.ObjectMeta{Name: "schema"}}, &f.level, "")
	workEstimator()
	if !strings.HasPrefix(digest.User.GetName(), "late") {
		execFn()
		return
	}
	if f.queued {
		queueNoteFn(true)
		queueNoteFn(false)
	}
}

func TestATooManyRequestsNamesTheHoldersOfTheSeats(t *testing.T) {
	limited := func(response flowcontrolv1.LimitResponseType) flowcontrolv1.PriorityLevelConfiguration {
		return flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "level"}, Spec: flowcontrolv1.PriorityLevelConfigurationSpec{
			Type: flowcontrolv1.PriorityLevelEnablementLimited, Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{LimitResponse: flowcontrolv1.LimitResponse{Type: response}},
		}}
	}
	for _, row := range []struct {
		name, reason string
		level        flowcontrolv1.PriorityLevelConfiguration
		queued       bool
	}{
		{"of a level without a queue", "has no queue", limited(flowcontrolv1.LimitResponseTypeReject), false},
		{"of a full queue", "queue of the flow is full", limited(flowcontrolv1.LimitResponseTypeQueue), false},
		{"after a wait", "no seat became free", limited(flowcontrolv1.LimitResponseTypeQueue), true},
		{"of all requests for the share of a user", "share of the running requests", flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "level"}}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			control := WithFlowControl(fullFlowControl{level: row.level, queued: row.queued})
			run := func(r *http.Request, name string, inside func()) {
				control.Handle(r.Context(), utilflowcontrol.RequestDigest{User: &user.DefaultInfo{Name: name}}, func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string) {},
					func() fcrequest.WorkEstimate { return fcrequest.WorkEstimate{InitialSeats: 3} }, func(bool) {}, inside)
			}
			answer, trace := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
				var nested func(i int)
				nested = func(i int) {
					if i < 8 {
						run(r, fmt.Sprintf("user-%d", min(i, 6)), func() { nested(i + 1) })
						return
					}
					From(r.Context()).stops = nil
					run(r, "late-bob", func() {})
					w.Header().Set("Content-Type", "text/plain")
					w.WriteHeader(http.StatusTooManyRequests)
				}
				nested(0)
			})
			stop := trace.Stops[len(trace.Stops)-1]
			if stop.Stop != diagnostics.StopFlowControl || stop.By != "schema" || stop.PriorityLevel != "level" || !strings.Contains(stop.Reason, row.reason) {
				t.Errorf("the stop is %+v", stop)
			}
			s := stop.Seats
			if s == nil || s.Requested != 3 || s.Queued != row.queued || s.InUse != 24 || s.Waiting != 0 || len(s.Holders) != mostHolders || s.Holders[0] != (diagnostics.SeatHolder{Username: "user-6", Seats: 6}) {
				t.Errorf("the seats are %+v", s)
			}
			if want := "(flow schema schema, priority level level, 0 of 24 seats in use are of this user; why: "; !strings.Contains(answer.Body.String(), want) {
				t.Errorf("the answer is %s", answer.Body)
			}
		})
	}
}

func TestTheSeatsOfARequestAreFreeAfterIt(t *testing.T) {
	control := WithFlowControl(fullFlowControl{level: flowcontrolv1.PriorityLevelConfiguration{ObjectMeta: metav1.ObjectMeta{Name: "level"}}})
	table := control.(flowControl).table
	during := int32(0)
	serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		control.Handle(r.Context(), utilflowcontrol.RequestDigest{User: &user.DefaultInfo{Name: "bob"}}, func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string) {},
			func() fcrequest.WorkEstimate { return fcrequest.WorkEstimate{InitialSeats: 3} }, func(bool) {}, func() { during = table.levels["level"].inUse })
		w.WriteHeader(http.StatusOK)
	})
	if after := table.levels["level"]; during != 3 || after.inUse != 0 || *after.users["bob"] != 0 || len(largestOf(after.users)) != 0 {
		t.Errorf("%d seats in use, then %+v", during, after)
	}
}

func TestATimeoutNamesTheWebhookThatStillRuns(t *testing.T) {
	_, trace := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		record.Enter(ValidatingAdmission)
		record.CallBegins("hooks/slow")
		record.CallBegins("hooks/fast")
		record.Called("hooks/fast", &Object{Kind: "ValidatingWebhookConfiguration", Name: "hooks", ResourceVersion: "7"}, 1)
		responsewriters.ErrorNegotiated(apierrors.NewTimeoutError("late", 0), testSerializer(), schema.GroupVersion{Version: "v1"}, w, r)
	})
	if d := trace.DecidedBy; !trace.TimedOut || d.Stop != diagnostics.StopValidatingAdmission || d.By != "hooks/slow" {
		t.Errorf("the decision is %+v", d)
	}
	for _, stop := range trace.Stops {
		if stop.By == "hooks/fast" && (stop.Verdict != diagnostics.StopPassed || len(stop.Objects) != 1 || stop.Objects[0].ResourceVersion != "7") {
			t.Errorf("the fast webhook is %+v", stop)
		}
	}
}

func TestWhatWasNotCalledIsBounded(t *testing.T) {
	_, trace := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		record.Enter(MutatingAdmission)
		var all []Uncalled
		for i := range mostUncalled + 5 {
			all = append(all, Uncalled{Gate: MutatingAdmission, By: fmt.Sprint("c/", i), Reason: "first"})
		}
		record.NotCalled(all, false)
		all[0].Reason = "second"
		record.NotCalled(all, true)
		w.WriteHeader(http.StatusOK)
	})
	var uncalled []diagnostics.TraceStop
	for _, stop := range trace.Stops {
		if stop.Verdict == diagnostics.StopNotCalled {
			uncalled = append(uncalled, stop)
		}
	}
	if len(uncalled) != mostUncalled+1 || uncalled[0].Reason != "second" || uncalled[mostUncalled].Reason != "and 5 more" {
		t.Errorf("%d entries: %+v", len(uncalled), uncalled)
	}
}

func TestAnAnswerInShadowIsRecordedAfterTheRequest(t *testing.T) {
	r := newTestRecorder(All)
	var record *Record
	serve(t, r, func(w http.ResponseWriter, req *http.Request) {
		record = From(req.Context())
		record.Enter(ValidatingAdmission)
		w.WriteHeader(http.StatusOK)
	})
	record.Shadowed(Stop{Gate: ValidatingAdmission, By: "c/w", Verdict: WouldRefuse, Changed: true}, []string{"/data"})
	trace := record.trace("test")
	stop := trace.Stops[len(trace.Stops)-1]
	if trace.Verdict != diagnostics.VerdictAllowed || trace.DecidedBy != nil || !stop.Shadow || stop.Verdict != diagnostics.StopWouldRefuse || !stop.Changed || len(stop.ChangedPaths) != 1 {
		t.Errorf("%s: %+v", trace.Verdict, stop)
	}
}

func TestAFailureThatIsIgnoredIsThatOfTheWebhookThatWasCalled(t *testing.T) {
	for _, tc := range []struct {
		name   string
		gate   Gate
		key    string
		stops  []string
		wanted string // the stop that is ignored
	}{
		{"a mutating webhook", MutatingAdmission, mutationFailedOpenPrefix, []string{"first/x", "second/y"}, "first/x"},
		{"mutating webhooks of the same name are called one after the other", MutatingAdmission, mutationFailedOpenPrefix, []string{"first/x", "second/x"}, "second/x"},
		{"a validating webhook", ValidatingAdmission, validationFailedOpen, []string{"first/x", "second/y"}, "first/x"},
		{"validating webhooks of the same name are called together", ValidatingAdmission, validationFailedOpen, []string{"first/x", "second/x"}, "x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Record{}
			for _, by := range tc.stops {
				r.add(Stop{Gate: tc.gate, By: by})
			}
			r.Annotated(tc.key+"round_0_index_0", "x")
			for _, stop := range r.stops {
				if (stop.Verdict == Ignored) != (stop.By == tc.wanted) {
					t.Errorf("%s has the verdict %v", stop.By, stop.Verdict)
				}
			}
		})
	}
}
