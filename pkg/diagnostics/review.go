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
	"net/http"
	"regexp"
	"slices"
	"strings"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// Review is a request that the server decides about and does not carry out. It is a dry run that goes
// through a handler chain without a listener, so that no client can send one. Its record is not kept.
type Review struct {
	// User is the user of the request.
	User user.Info
	// EndBefore is the gate before which the review ends: Decoding, Storage, or Start for none.
	EndBefore Gate
}

// Review serves the request and returns its trace, and the gate before which the review has ended; empty
// if it has not ended early.
func (r *Recorder) Review(handler http.Handler, req *http.Request, review Review) (trace *diagnostics.RequestTrace, endedBefore diagnostics.TraceStopName) {
	record := r.begin(req)
	record.review = &review
	sink := &sink{header: http.Header{}}
	writer := &recordedWriter{ResponseWriter: sink, record: record, recorder: r}
	serveReview(handler, writer, req.WithContext(withRecord(reviewContext{req.Context()}, record)))
	trace = record.trace(r.config.Server)
	if ignored := unknownFields(strings.Join(sink.header.Values("Warning"), "\n")); len(ignored) > 0 {
		for i := range trace.Stops {
			if stop := &trace.Stops[i]; stop.Stop == diagnostics.StopDecoding && stop.Reason == "" {
				stop.Reason = "ignored: " + strings.Join(ignored, ", ")
			}
		}
	}
	if record.ended != Start {
		endedBefore = gateNames[record.ended]
	}
	return trace, endedBefore
}

// serveReview ends the record also if the handler panics, by which the library aborts a response.
func serveReview(handler http.Handler, writer *recordedWriter, req *http.Request) {
	completed := false
	defer func() {
		writer.finish(completed)
		if aborted := recover(); aborted != nil {
			if err, ok := aborted.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(aborted)
			}
		}
	}()
	handler.ServeHTTP(writer, req)
	completed = true
}

// reviewContext ends with the context of the caller's request, and has none of its values: the user, the
// audit event and the warnings of that request are not those of the review.
type reviewContext struct{ context.Context }

// Value implements context.Context.
func (reviewContext) Value(any) any { return nil }

// sink drops the body of a response.
type sink struct{ header http.Header }

// Header implements http.ResponseWriter.
func (s *sink) Header() http.Header { return s.header }

// Write implements http.ResponseWriter.
func (*sink) Write(content []byte) (int, error) { return len(content), nil }

// WriteHeader implements http.ResponseWriter.
func (*sink) WriteHeader(int) {}

// Reviewed reports whether the record is that of a review.
func (r *Record) Reviewed() bool { return r != nil && r.review != nil }

// AuthenticateReview is an authenticator of reviews, and of no other request.
func AuthenticateReview(r *http.Request) (*authenticator.Response, bool, error) {
	record := From(r.Context())
	if !record.Reviewed() {
		return nil, false, nil
	}
	return &authenticator.Response{User: record.review.User}, true, nil
}

// carriedOut are the verbs of requests that a review carries out as a dry run. Watches have no end, and lists
// and deletes of collections have many objects.
var carriedOut = []string{"get", "create", "update", "patch", "delete"}

// EndReviews ends reviews before the handler, which serves the API, that must not reach the object.
func EndReviews(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record := From(r.Context())
		info, ok := request.RequestInfoFrom(r.Context())
		if !record.Reviewed() || !ok {
			http.Error(w, "this handler serves reviews only", http.StatusInternalServerError)
			return
		}
		if gate := record.Gate(); record.review.EndBefore == gate || !slices.Contains(carriedOut, info.Verb) {
			record.endReview(gate)
			w.WriteHeader(http.StatusOK)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// errReviewEnds ends a review in admission. Its code is that of a success, so that metrics count no error.
var errReviewEnds = &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusSuccess, Code: http.StatusOK, Message: "the review ends here"}}

// EnterOrEnd notes that the request is at a gate from now on. It returns an error if the request is a
// review that ends before the gate.
func (r *Record) EnterOrEnd(gate Gate) error {
	if r.Reviewed() && r.review.EndBefore == gate {
		r.endReview(gate)
		return errReviewEnds
	}
	r.Enter(gate)
	return nil
}

func (r *Record) endReview(before Gate) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.ended = before
		r.reached &^= 1 << before
	}
}

// classified ends the classification of a request.
type classified struct{}

// classify records the FlowSchema and the priority level of a review, which takes no seat: the note is
// what flow control does first, and the panic ends it there.
func (f flowControl) classify(ctx context.Context, digest utilflowcontrol.RequestDigest,
	noteFn func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
) (stop Stop) {
	defer func() {
		if ended := recover(); ended != nil && ended != any(classified{}) {
			panic(ended)
		}
	}()
	f.Interface.Handle(ctx, digest, func(schema *flowcontrolv1.FlowSchema, level *flowcontrolv1.PriorityLevelConfiguration, flow string) {
		stop = Stop{Gate: FlowControl, By: schema.Name, PriorityLevel: level.Name, Reason: "a review takes no seat"}
		noteFn(schema, level, flow)
		panic(classified{})
	}, nil, nil, nil)
	return stop
}

// unknownField matches the errors and warnings of field validation. They have no values.
var unknownField = regexp.MustCompile(`(?:unknown|duplicate) field \\?"[^"\\]{1,253}`)

// unknownFields returns the fields that field validation names in a text.
func unknownFields(text string) []string {
	var found []string
	for _, match := range unknownField.FindAllString(text, mostFields) {
		found = append(found, strings.ReplaceAll(match, `\`, "")+`"`)
	}
	return found
}
