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

package base

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// requestedGrace is the context key of the grace period that the caller of a delete requested.
type requestedGrace struct{}

func withRequestedGrace(ctx context.Context, options *metav1.DeleteOptions) context.Context {
	switch {
	case options == nil: // the library handles it as 0
		return context.WithValue(ctx, requestedGrace{}, ptr.To[int64](0))
	case options.GracePeriodSeconds == nil:
		return context.WithValue(ctx, requestedGrace{}, (*int64)(nil))
	}
	return context.WithValue(ctx, requestedGrace{}, ptr.To(*options.GracePeriodSeconds))
}

// RequestedGrace returns the grace period in seconds that the caller of a delete requested; nil if
// the object's own applies. CheckGracefulDelete must call it and not read the options: a delete is
// first tried on the watch cache's copy of the object and, if that was stale, again on etcd's. The
// options then still hold what CheckGracefulDelete wrote for the stale copy, like a request of the
// caller: a pod's strategy handles the 0 of a copy that was not bound yet as a forced delete
// (updateForGracefulDeletionAndFinalizers in k8s.io/apiserver's
// pkg/registry/generic/registry/store.go).
func RequestedGrace(ctx context.Context, options *metav1.DeleteOptions) *int64 {
	grace, ok := ctx.Value(requestedGrace{}).(*int64)
	if !ok { // not called by Store.Delete: the options are the caller's
		return options.GracePeriodSeconds
	}
	if grace != nil && *grace < 0 {
		return ptr.To[int64](1) // as in rest.BeforeDelete
	}
	return grace
}
