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

package agent

import (
	"context"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// TestAHostWhoseLeaseExpiredReportsReadyUntilTheReportSucceeds has a host that could not renew its
// lease, and lets its first reports fail. Its next regular report is far away.
func TestAHostWhoseLeaseExpiredReportsReadyUntilTheReportSucceeds(t *testing.T) {
	unknown := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: v1alpha1.HostStatus{Conditions: []metav1.Condition{{
		Type: v1alpha1.HostConditionReady, Status: metav1.ConditionUnknown, Reason: "HostStatusUnknown",
	}}}}
	server := fake.NewSimpleClientset(unknown, &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: "a"}})
	var lock sync.Mutex
	failures := map[string]int{"update hostleases": 12, "get hosts": 1, "update hosts": 1}
	server.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lock.Lock()
		defer lock.Unlock()
		what := action.GetVerb() + " " + action.GetResource().Resource
		if failures[what]--; failures[what] < 0 {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(schema.GroupResource{}, "a", nil)
	})
	a := newAgent(server.FleetV1alpha1(), simulated.New(simulated.Options{HostName: "a", HostNumber: 1}), Options{HostName: "a", LeaseDuration: time.Second, ReportInterval: time.Hour})
	a.lease = &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: "a"}}

	reported := make(chan struct{})
	server.PrependReactor("update", "hosts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lock.Lock()
		defer lock.Unlock()
		update, ok := action.(clienttesting.UpdateAction)
		if !ok || failures["update hosts"] > 0 {
			return false, nil, nil
		}
		if host, ok := update.GetObject().(*v1alpha1.Host); ok && apimeta.IsStatusConditionTrue(host.Status.Conditions, v1alpha1.HostConditionReady) {
			close(reported)
		}
		return false, nil, nil
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var alive sync.WaitGroup
	defer alive.Wait()
	defer cancel()
	alive.Go(func() { a.heartbeat(ctx) })
	select {
	case <-reported:
	case <-ctx.Done():
		t.Error("the host never reports again that it is ready")
	}
}
