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
	"net/http"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/storage"
)

// endsWithoutLeader is a storage below a watch cache. When the member of etcd has lost the leader, its watches end
// with an error that the cache does not retry: it ends the watches of its clients, which then resume at another
// server. The library's cache retries an internal error for 30 s, in which its clients receive nothing.
type endsWithoutLeader struct {
	storage.Interface
	etcd LocalEtcd
}

// Unwrap returns the storage below.
func (s endsWithoutLeader) Unwrap() storage.Interface { return s.Interface }

// Watch implements storage.Interface.
func (s endsWithoutLeader) Watch(ctx context.Context, key string, options storage.ListOptions) (watch.Interface, error) {
	watched, err := s.Interface.Watch(ctx, key, options)
	if err != nil || !s.etcd.Clustered() {
		return watched, err
	}
	return watch.Filter(watched, withoutLeader), nil
}

// withoutLeader changes the reason of an error that reports the loss of the leader.
func withoutLeader(event watch.Event) (watch.Event, bool) {
	status, ok := event.Object.(*metav1.Status)
	if event.Type != watch.Error || !ok || !strings.Contains(status.Message, noLeader) {
		return event, true
	}
	changed := status.DeepCopy()
	changed.Code, changed.Reason = http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable
	event.Object = changed
	return event, true
}

// noLeader is the part of etcd's error that is in each form of it.
var noLeader = strings.TrimPrefix(rpctypes.ErrNoLeader.Error(), "etcdserver: ")
