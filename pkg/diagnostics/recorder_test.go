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
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

func testSerializer() runtime.NegotiatedSerializer {
	scheme := runtime.NewScheme()
	version := schema.GroupVersion{Version: "v1"}
	metav1.AddToGroupVersion(scheme, version)
	scheme.AddUnversionedTypes(version, &metav1.Status{})
	return serializer.NewCodecFactory(scheme)
}

func newTestRecorder(mode Mode) *Recorder {
	return New(Config{Options: Options{Mode: mode, Kept: 64}, Server: "test", Serializer: testSerializer()})
}

// serve sends a request to the handler and returns the response, and the only trace.
func serve(t *testing.T, r *Recorder, handler http.HandlerFunc, change ...func(*http.Request)) (*httptest.ResponseRecorder, *diagnostics.RequestTrace) {
	t.Helper()
	answer := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/shop/instances", nil)
	for _, f := range change {
		f(req)
	}
	r.Wrap(handler).ServeHTTP(answer, req)
	var traces []*diagnostics.RequestTrace
	r.List(func(trace *diagnostics.RequestTrace) { traces = append(traces, trace) })
	if len(traces) != 1 {
		t.Fatalf("%d traces are kept", len(traces))
	}
	return answer, traces[0]
}

// refuse responds with an error as user bob.
func refuse(err error) http.HandlerFunc { return refuseAs("bob", err) }

func refuseAs(name string, err error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		record.setTarget(&request.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: "fleet.gatehouse.dev", Resource: "instances", Namespace: "shop"})
		record.authenticatedAs(&authenticator.Response{User: &user.DefaultInfo{Name: name}}, true, r)
		record.Enter(Storage)
		responsewriters.ErrorNegotiated(err, testSerializer(), schema.GroupVersion{Version: "v1"}, w, r)
	}
}

func TestRefusalsLeadToTheirTrace(t *testing.T) {
	instance := schema.GroupKind{Group: "fleet.gatehouse.dev", Kind: "Instance"}
	resource := schema.GroupResource{Group: "fleet.gatehouse.dev", Resource: "instances"}
	for _, row := range []struct {
		name      string
		err       error
		ends      string
		verdict   diagnostics.Verdict
		decidedBy diagnostics.TraceStopName
	}{
		{"a conflict", apierrors.NewConflict(resource, "web", errors.New("changed")), "changed (storage; why: kubectl gatehouse why ID)", diagnostics.VerdictRefused, diagnostics.StopStorage},
		{"an invalid object", apierrors.NewInvalid(instance, "web", field.ErrorList{field.Invalid(field.NewPath("spec", "a"), "s3cret", "is wrong")}), "is wrong (validation; why: kubectl gatehouse why ID)", diagnostics.VerdictRefused, diagnostics.StopValidation},
		{"a plugin's, inside of its parentheses", apierrors.NewForbidden(resource, "web", errors.New("no (admission plugin P: do this)")), "no (admission plugin P: do this; why: kubectl gatehouse why ID)", diagnostics.VerdictRefused, diagnostics.StopStorage},
		{"no refusal: it does not exist", apierrors.NewNotFound(resource, "web"), `"web" not found`, diagnostics.VerdictFailed, diagnostics.StopStorage},
		{"no refusal: it exists", apierrors.NewAlreadyExists(resource, "web"), `"web" already exists`, diagnostics.VerdictFailed, diagnostics.StopStorage},
	} {
		for _, accept := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"} {
			t.Run(row.name+" in "+accept, func(t *testing.T) {
				answer, trace := serve(t, newTestRecorder(All), refuse(row.err), func(r *http.Request) { r.Header.Set("Accept", accept) })
				object, _, err := testSerializer().(serializer.CodecFactory).UniversalDeserializer().Decode(answer.Body.Bytes(), nil, nil)
				status, ok := object.(*metav1.Status)
				if err != nil || !ok {
					t.Fatalf("%v: %q", err, answer.Body)
				}
				ends := strings.ReplaceAll(row.ends, "ID", trace.Name[:8])
				if !strings.HasSuffix(status.Message, ends) {
					t.Errorf("the message is %q", status.Message)
				}
				if causes := status.Details.Causes; len(causes) > 0 && !strings.HasSuffix(causes[0].Message, ends) {
					t.Errorf("the cause is %q", causes[0].Message)
				}
				if trace.Verdict != row.verdict || trace.DecidedBy.Stop != row.decidedBy || int(trace.Code) != answer.Code {
					t.Errorf("the trace has %s by %v, code %d", trace.Verdict, trace.DecidedBy, trace.Code)
				}
				if text, _ := json.Marshal(trace); strings.Contains(string(text), "s3cret") {
					t.Errorf("the trace has the value: %s", text)
				}
			})
		}
	}
}

func TestCallersWithoutIdentityLearnOnlyTheID(t *testing.T) {
	answer, trace := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		From(r.Context()).Enter(Authentication)
		responsewriters.ErrorNegotiated(apierrors.NewUnauthorized("Unauthorized"), testSerializer(), schema.GroupVersion{Version: "v1"}, w, r)
	})
	if want := `"message":"Unauthorized (why: kubectl gatehouse why ` + trace.Name[:8] + `)"`; !strings.Contains(answer.Body.String(), want) {
		t.Errorf("the response is %s", answer.Body)
	}
}

func TestTheTextOfFlowControlBecomesAStatus(t *testing.T) {
	answer, _ := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "Too many requests, please try again later.", http.StatusTooManyRequests)
	})
	var status metav1.Status
	if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil || status.Reason != metav1.StatusReasonTooManyRequests || status.Details.RetryAfterSeconds != 7 {
		t.Errorf("%v: %s", err, answer.Body)
	}
	if answer.Header().Get("Retry-After") != "7" || answer.Header().Get("Content-Type") != "application/json" {
		t.Errorf("the headers are %v", answer.Header())
	}
}

func TestTheTimeoutOfTheLibraryHasNoKindAndLeadsOn(t *testing.T) {
	answer, trace := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		From(r.Context()).Enter(Storage)
		w.WriteHeader(http.StatusGatewayTimeout)
		_ = json.NewEncoder(w).Encode(apierrors.NewTimeoutError("late", 0).ErrStatus)
	})
	var status metav1.Status
	if err := json.Unmarshal(answer.Body.Bytes(), &status); err != nil || status.Kind != "Status" || !strings.Contains(status.Message, "why: kubectl gatehouse why "+trace.Name[:8]) {
		t.Errorf("%v: %s", err, answer.Body)
	}
}

func TestOtherResponsesStayAsTheyAre(t *testing.T) {
	large := strings.Repeat("x", largestRefusal+1)
	for _, row := range []struct {
		name, want string
		code       int
		handler    http.HandlerFunc
	}{
		{"a success", "ok", http.StatusOK, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }},
		{"nothing", "", http.StatusOK, func(http.ResponseWriter, *http.Request) {}},
		{"a text", "gone\n", http.StatusNotFound, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "gone", http.StatusNotFound) }},
		{"an object that is no status", `{"paths":["/apis"]}`, http.StatusNotFound, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"paths":["/apis"]}`)
		}},
		{"a large failure", large, http.StatusForbidden, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, large[:10])
			_, _ = io.WriteString(w, large[10:])
		}},
		{"a failure that is flushed", "now", http.StatusForbidden, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "now")
			_ = http.NewResponseController(w).Flush()
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			answer, trace := serve(t, newTestRecorder(All), row.handler)
			if answer.Body.String() != row.want || answer.Code != row.code || int(trace.Code) != row.code {
				t.Errorf("the response is %d %.80q, the trace has %d", answer.Code, answer.Body, trace.Code)
			}
		})
	}
}

func TestAHandlerThatOutlivesItsRequestChangesNothing(t *testing.T) {
	r := newTestRecorder(All)
	var outlives sync.WaitGroup
	ended := make(chan struct{})
	var late *Record
	_, trace := serve(t, r, func(w http.ResponseWriter, req *http.Request) {
		record := From(req.Context())
		record.Enter(Decoding)
		record.Enter(MutatingAdmission)
		record.Running("Slow")
		late = record
		for range 4 {
			outlives.Go(func() {
				for i := range 1000 {
					record.Enter(Gate(i % int(gates)))
					record.Add(Stop{Gate: Validation, By: "late"})
					record.Changed("late")
					record.Called("late", nil, 1)
				}
				<-ended
			})
		}
		responsewriters.ErrorNegotiated(apierrors.NewTimeoutError("late", 0), testSerializer(), schema.GroupVersion{Version: "v1"}, w, req)
	})
	close(ended)
	outlives.Wait()
	before, _ := json.Marshal(trace)
	late.Enter(Storage)
	late.Add(Stop{Gate: Storage, By: "after the end"})
	after, _ := json.Marshal(late.trace("test"))
	if !trace.TimedOut || strings.Contains(string(after), "after the end") {
		t.Errorf("the trace is %s, later %s", before, after)
	}
}

func TestATimeoutNamesTheGateThatHadTheClock(t *testing.T) {
	_, trace := serve(t, newTestRecorder(All), func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		record.Enter(MutatingAdmission)
		record.Running("config/slow.example.com")
		responsewriters.ErrorNegotiated(apierrors.NewTimeoutError("request did not complete", 0), testSerializer(), schema.GroupVersion{Version: "v1"}, w, r)
	})
	if d := trace.DecidedBy; !trace.TimedOut || d.Stop != diagnostics.StopMutatingAdmission || d.By != "config/slow.example.com" {
		t.Errorf("timed out is %v, at %+v", trace.TimedOut, d)
	}
}

func TestModesSelectWhatIsKept(t *testing.T) {
	ok := func(http.ResponseWriter, *http.Request) {}
	for _, row := range []struct {
		mode Mode
		kept int
	}{{All, 2}, {Refusals, 1}, {Off, 0}} {
		t.Run(string(row.mode), func(t *testing.T) {
			r := newTestRecorder(row.mode)
			for _, handler := range []http.HandlerFunc{ok, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }} {
				r.Wrap(handler).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
			}
			kept := 0
			r.List(func(*diagnostics.RequestTrace) { kept++ })
			if kept != row.kept {
				t.Errorf("%d traces are kept, want %d", kept, row.kept)
			}
		})
	}
}

func TestAuditIDsOfClientsAreValidAndUniqueNames(t *testing.T) {
	r := newTestRecorder(All)
	for _, id := range []string{"mine", "mine", "; rm -rf /", strings.Repeat("a", 200), "UPPER"} {
		req := httptest.NewRequest(http.MethodGet, "/", nil)
		req.Header.Set("Audit-ID", id)
		r.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(httptest.NewRecorder(), req)
	}
	names := map[string]bool{}
	r.List(func(trace *diagnostics.RequestTrace) {
		names[trace.Name] = true
		if !validID.MatchString(trace.Name) {
			t.Errorf("a trace is named %q", trace.Name)
		}
	})
	if len(names) != 5 || !names["mine"] || !names["mine-2"] {
		t.Errorf("the names are %v", names)
	}
}

func TestCredentialsAreRemovedFromTexts(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "Bearer head.payload1.sign")
	redact := redactor(req)
	for _, row := range []struct{ text, want string }{
		{"", ""},
		{"token is expired", "token is expired"},
		{"cannot parse head.payload1.sign", "cannot parse [redacted]"},
		{"illegal base64 in payload1", "illegal base64 in [redacted]"},
		{"key MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A is unknown", "key [redacted] is unknown"},
	} {
		if got := redact(row.text); got != row.want {
			t.Errorf("%q becomes %q, want %q", row.text, got, row.want)
		}
	}
}

func TestHugeTextsOfClientsAreCut(t *testing.T) {
	huge := strings.Repeat("x", 1<<20)
	r := newTestRecorder(All)
	_, trace := serve(t, r, func(_ http.ResponseWriter, req *http.Request) {
		record := From(req.Context())
		record.setTarget(&request.RequestInfo{IsResourceRequest: true, Verb: "get", Resource: huge, Name: huge, Namespace: huge, Path: "/" + huge})
		groups := make([]string, 1000)
		for i := range groups {
			groups[i] = huge
		}
		record.authenticatedAs(&authenticator.Response{User: &user.DefaultInfo{Name: huge, UID: huge, Groups: groups}}, true, req)
		for range 1000 {
			record.Add(Stop{Gate: ValidatingAdmission, By: huge, Reason: huge})
			record.Called(huge, nil, 1)
		}
		record.Running("P")
		for range 1000 {
			record.Changed(huge)
		}
	}, func(req *http.Request) { req.Header.Set("User-Agent", huge) })
	if text, _ := json.Marshal(trace); len(text) > 32<<10 {
		t.Errorf("the trace has %d bytes", len(text))
	}
}

func TestARecordOfNoRequestDoesNothing(t *testing.T) {
	var record *Record
	record.Enter(Storage)
	record.Running("x")
	record.Add(Stop{})
	record.Changed("x")
	record.Called("x", nil, 1)
	record.RefusedBy(Validation, "p", "x", "")
	record.Named("x")
	record.Annotated("x", "y")
	CheckFrom(context.Background()).Granted(nil, nil)
	Asked(context.Background(), "x", true, nil)
}

func TestARequestForATraceOfAnotherServerEndsTheConnectionAtMostOnceInAWhile(t *testing.T) {
	r := newTestRecorder(All)
	get := func(code int, group string) string {
		answer := httptest.NewRecorder()
		r.Wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			From(req.Context()).setTarget(&request.RequestInfo{IsResourceRequest: true, Verb: "get", APIGroup: group, Resource: "requesttraces", Name: "x"})
			w.WriteHeader(code)
		})).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
		return answer.Header().Get("Connection")
	}
	if got := get(http.StatusOK, diagnostics.GroupName); got != "" {
		t.Errorf("a found trace has %q", got)
	}
	if got := get(http.StatusNotFound, "fleet.gatehouse.dev"); got != "" {
		t.Errorf("another kind has %q", got)
	}
	if got := get(http.StatusNotFound, diagnostics.GroupName); got != "close" {
		t.Errorf("an unknown trace has %q", got)
	}
	r.turned.Store(time.Now().Add(time.Hour).UnixNano())
	if got := get(http.StatusNotFound, diagnostics.GroupName); got != "" {
		t.Errorf("a second one at the same time has %q", got)
	}
}
