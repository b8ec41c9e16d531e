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

package cri

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
)

// rotationInterval is the time between looks at the sizes of logs.
const rotationInterval = 10 * time.Second

// Watch implements runtime.Runtime: it compares lists, and uses the events of runtimes that have
// them. It announces an empty UID when the runtime answers again.
func (r *Runtime) Watch(ctx context.Context, changed func(types.UID)) {
	r.mu.Lock()
	r.changed = changed
	r.mu.Unlock()
	go r.watchEvents(ctx)
	ticker := time.NewTicker(r.options.RelistInterval)
	defer ticker.Stop()
	rotated := time.Now()
	for {
		r.relist(ctx)
		if time.Since(rotated) > rotationInterval {
			rotated = time.Now()
			r.rotateLogs(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// watchEvents reads an instance at each event about it. Events are hints that make the changes known
// earlier than the next list: containerd 1.6 has none.
func (r *Runtime) watchEvents(ctx context.Context) {
	events := make(chan *criv1.ContainerEventResponse, 100)
	go func() {
		for ctx.Err() == nil {
			err := r.cri.GetContainerEvents(quiet(ctx), events, nil)
			if status.Code(err) == codes.Unimplemented {
				klog.FromContext(ctx).V(2).Info("Runtime sends no events, relying on lists", "interval", r.options.RelistInterval)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(r.options.RelistInterval):
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-events:
			labels := event.GetPodSandboxStatus().GetLabels()
			if labels[hostLabel] == r.options.HostName && labels[uidLabel] != "" {
				r.refresh(ctx, types.UID(labels[uidLabel]))
			}
		}
	}
}
