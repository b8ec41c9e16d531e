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

package storage

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/trace"
	endpointsrequest "k8s.io/apiserver/pkg/endpoints/request"
)

// TimedCalls returns a provider of the spans of calls of an external etcd. It adds the time of transactions to the
// time that a request spends in etcd, also without tracing: the spans are the only hook into the library's client,
// whose tracker does not see the commit of a transaction with conditions (see tracedKV.Txn).
func TimedCalls(provider trace.TracerProvider) trace.TracerProvider { return timedProvider{provider} }

type timedProvider struct{ trace.TracerProvider }

// Tracer implements trace.TracerProvider.
func (p timedProvider) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return timedTracer{p.TracerProvider.Tracer(name, options...)}
}

type timedTracer struct{ trace.Tracer }

// Start implements trace.Tracer.
func (t timedTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, trace.Span) {
	within, span := t.Tracer.Start(ctx, name, options...)
	if name != transactionSpan {
		return within, span
	}
	begun := time.Now()
	timed := timedSpan{span, func() { endpointsrequest.TrackStorageLatency(ctx, time.Since(begun)) }}
	return trace.ContextWithSpan(within, timed), timed
}

// timedSpan calls ended at its end.
type timedSpan struct {
	trace.Span
	ended func()
}

// IsRecording implements trace.Span. The instrumentation of gRPC ends only spans that record.
func (timedSpan) IsRecording() bool { return true }

// End implements trace.Span.
func (s timedSpan) End(options ...trace.SpanEndOption) {
	s.ended()
	s.Span.End(options...)
}
