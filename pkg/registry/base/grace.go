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

// requestedGrace is the key under which a delete keeps the grace period that its caller
// asked for.
type requestedGrace struct{}

func withRequestedGrace(ctx context.Context, options *metav1.DeleteOptions) context.Context {
	if options == nil || options.GracePeriodSeconds == nil {
		return context.WithValue(ctx, requestedGrace{}, (*int64)(nil))
	}
	return context.WithValue(ctx, requestedGrace{}, ptr.To(*options.GracePeriodSeconds))
}

// RequestedGrace is the grace period in seconds that the caller of a delete asked for; nil
// where the object may say. CheckGracefulDelete must ask here and not look into the options:
// a delete is first tried on the watch cache's copy of the object and, where that was
// behind, again on etcd's. What CheckGracefulDelete wrote into the options for the old copy
// is then still there, and looks like the caller's wish: a pod's strategy takes the 0 of a
// copy that was not bound yet for a forced delete (updateForGracefulDeletionAndFinalizers
// in k8s.io/apiserver's pkg/registry/generic/registry/store.go).
func RequestedGrace(ctx context.Context, options *metav1.DeleteOptions) *int64 {
	grace, ok := ctx.Value(requestedGrace{}).(*int64)
	if !ok { // not through Store.Delete: nothing was kept, and nothing was tried before
		return options.GracePeriodSeconds
	}
	if grace != nil && *grace < 0 {
		return ptr.To[int64](1) // as rest.BeforeDelete reads it
	}
	return grace
}
