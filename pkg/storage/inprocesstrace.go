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

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	endpointsrequest "k8s.io/apiserver/pkg/endpoints/request"
)

// tracedKV adds a span to each call of etcd's functions that belongs to a traced request. The spans have the names of
// those that gRPC's instrumentation adds to the calls of an external etcd. Other calls cost one lookup in the context.
type tracedKV struct{ clientv3.KV }

// transactionSpan is the name of the span of a transaction.
const transactionSpan = "etcdserverpb.KV/Txn"

const tracerName = "github.com/gatehouse-dev/gatehouse/pkg/storage"

// startSpan returns a context with the span of a call, and a function that ends the span.
func startSpan(ctx context.Context, name string) (context.Context, func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer(tracerName).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// Put implements clientv3.KV.
func (k tracedKV) Put(ctx context.Context, key, val string, opts ...clientv3.OpOption) (*clientv3.PutResponse, error) {
	ctx, end := startSpan(ctx, "etcdserverpb.KV/Put")
	response, err := k.KV.Put(ctx, key, val, opts...)
	end(err)
	return response, err
}

// Get implements clientv3.KV.
func (k tracedKV) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	ctx, end := startSpan(ctx, "etcdserverpb.KV/Range")
	response, err := k.KV.Get(ctx, key, opts...)
	end(err)
	return response, err
}

// Delete implements clientv3.KV.
func (k tracedKV) Delete(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	ctx, end := startSpan(ctx, "etcdserverpb.KV/DeleteRange")
	response, err := k.KV.Delete(ctx, key, opts...)
	end(err)
	return response, err
}

// Txn implements clientv3.KV. The span begins with the transaction, because it belongs to the context of the call.
// The library's tracker of the time that a request spends in etcd does not see the commit of a transaction with
// conditions, because If returns the transaction below it. All writes are such transactions.
func (k tracedKV) Txn(ctx context.Context) clientv3.Txn {
	begun := time.Now()
	call, end := startSpan(ctx, transactionSpan)
	return tracedTxn{k.KV.Txn(call), func(err error) {
		endpointsrequest.TrackStorageLatency(ctx, time.Since(begun))
		end(err)
	}}
}

// tracedTxn ends the span of a transaction when it is committed. Its other methods return itself, because those of
// the inner transaction would return that one.
type tracedTxn struct {
	clientv3.Txn
	end func(error)
}

// If implements clientv3.Txn.
func (t tracedTxn) If(cs ...clientv3.Cmp) clientv3.Txn { return tracedTxn{t.Txn.If(cs...), t.end} }

// Then implements clientv3.Txn.
func (t tracedTxn) Then(ops ...clientv3.Op) clientv3.Txn { return tracedTxn{t.Txn.Then(ops...), t.end} }

// Else implements clientv3.Txn.
func (t tracedTxn) Else(ops ...clientv3.Op) clientv3.Txn { return tracedTxn{t.Txn.Else(ops...), t.end} }

// Commit implements clientv3.Txn.
func (t tracedTxn) Commit() (*clientv3.TxnResponse, error) {
	response, err := t.Txn.Commit()
	t.end(err)
	return response, err
}
