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
	"bytes"
	"context"
	"mime"
	"net/http"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// largestRefusal bounds the body of a response that is held back to add to its message, in bytes.
const largestRefusal = 64 << 10

func withRecord(ctx context.Context, record *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, record)
}

// recordedWriter observes a response, and adds the way to the trace to the message of a refusal, which
// it holds back until the handler has returned.
type recordedWriter struct {
	http.ResponseWriter
	record   *Record
	recorder *Recorder

	code int
	held *bytes.Buffer
	// status is that of a failure.
	status *metav1.Status
}

// Unwrap implements responsewriter.UserProvidedDecorator.
func (w *recordedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *recordedWriter) WriteHeader(code int) {
	if w.code != 0 || code < 200 && code != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(code)
		return
	}
	w.code = code
	if code == http.StatusNotFound && w.record.isHidden() {
		w.recorder.turn(w)
	}
	if code >= http.StatusBadRequest {
		w.held = &bytes.Buffer{}
		return
	}
	w.begun()
	w.ResponseWriter.WriteHeader(code)
}

// begun ends the record of a watch: it is allowed, and may be open for a long time.
func (w *recordedWriter) begun() {
	if w.record.longRunning() {
		w.recorder.publish(w.record, w)
	}
}

// isHidden reports whether the request is for traces.
func (r *Record) isHidden() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hidden
}

// longRunning reports whether the request is a watch.
func (r *Record) longRunning() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.target.verb == "watch"
}

// Write implements http.ResponseWriter.
func (w *recordedWriter) Write(content []byte) (int, error) {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if w.held == nil {
		return w.ResponseWriter.Write(content)
	}
	if w.held.Len()+len(content) > largestRefusal {
		if err := w.release(); err != nil {
			return 0, err
		}
		return w.ResponseWriter.Write(content)
	}
	return w.held.Write(content)
}

// Flush implements http.Flusher.
func (w *recordedWriter) Flush() {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	_ = w.release()
	if flusher, ok := w.ResponseWriter.(http.Flusher); ok {
		flusher.Flush()
	}
}

// release sends what is held back.
func (w *recordedWriter) release() error {
	if w.held == nil {
		return nil
	}
	body := w.held
	w.held = nil
	w.ResponseWriter.WriteHeader(w.code)
	_, err := w.ResponseWriter.Write(body.Bytes())
	return err
}

// finish ends the response and the record. completed is false if the handler panicked, which aborts
// the connection.
func (w *recordedWriter) finish(completed bool) {
	if !completed {
		w.recorder.publish(w.record, w)
		return
	}
	if w.code == 0 {
		w.code = http.StatusOK // as net/http
	}
	if w.held == nil {
		w.recorder.publish(w.record, w)
		return
	}
	encoder := w.decode()
	w.recorder.nameWriters(w.record)
	w.recorder.publish(w.record, w)
	if w.status != nil && encoder != nil {
		w.lead(encoder)
	}
	_ = w.release()
}

// decode reads the status of a refusal and returns its encoder.
func (w *recordedWriter) decode() runtime.Encoder {
	mediaType, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type"))
	if w.code == http.StatusTooManyRequests && mediaType == "text/plain" {
		return w.busy()
	}
	var into runtime.Object
	if w.code == http.StatusGatewayTimeout && mediaType == "" {
		// The library's timeout filter names neither the media type nor the kind.
		mediaType, into = runtime.ContentTypeJSON, &metav1.Status{}
		w.Header().Set("Content-Type", mediaType)
	}
	info, ok := runtime.SerializerInfoForMediaType(w.recorder.config.Serializer.SupportedMediaTypes(), mediaType)
	if !ok {
		return nil
	}
	object, _, err := info.Serializer.Decode(w.held.Bytes(), nil, into)
	if err != nil {
		return nil
	}
	status, ok := object.(*metav1.Status)
	if !ok {
		return nil
	}
	w.status = status
	if info.PrettySerializer != nil && bytes.HasPrefix(w.held.Bytes(), []byte("{\n")) {
		return info.PrettySerializer
	}
	return info.Serializer
}

// busy replaces the text of the library's flow control by a status: clients show its message.
func (w *recordedWriter) busy() runtime.Encoder {
	info, ok := runtime.SerializerInfoForMediaType(w.recorder.config.Serializer.SupportedMediaTypes(), runtime.ContentTypeJSON)
	if !ok {
		return nil
	}
	seconds, _ := strconv.Atoi(w.Header().Get("Retry-After"))
	w.status = &apierrors.NewTooManyRequests("the server runs as many requests of this kind as it may: try again later", seconds).ErrStatus
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	return info.Serializer
}

// lead adds the gate and the way to the trace to the message.
func (w *recordedWriter) lead(encoder runtime.Encoder) {
	w.status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
	if !w.record.lead(w.status) {
		return
	}
	body := &bytes.Buffer{}
	if err := encoder.Encode(w.status, body); err != nil {
		return
	}
	w.Header().Del("Content-Length")
	w.held = body
}
