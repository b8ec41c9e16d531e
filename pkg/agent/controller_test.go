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
	"errors"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// An event about an instance that the agent has deleted is outdated: another deletion would be refused,
// because the instance is no longer bound to the host.
func TestAStoppedInstanceIsDeletedOnce(t *testing.T) {
	for _, tc := range []struct {
		name       string
		finalizers []string
		want       int
	}{
		{"without finalizers: a deletion", nil, 1},
		// The fake server ignores finalizers, so it refuses the second report.
		{"with finalizers: a report and a deletion, and another try", []string{"example.com/hold"}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			instance := newInstance(func(i *v1alpha1.Instance) {
				i.Namespace, i.Finalizers = "default", tc.finalizers
				i.DeletionTimestamp, i.DeletionGracePeriodSeconds = ptr.To(metav1.Unix(1, 0)), ptr.To[int64](1)
			})
			client := fake.NewClientset(instance)
			c := newController(newAgent(client.FleetV1alpha1(), simulated.New(simulated.Options{HostName: "sim-1", HostNumber: 1}), Options{HostName: "sim-1"}))
			for range 2 {
				if err := c.mirror.Add(instance.DeepCopy()); err != nil {
					t.Fatal(err)
				}
				c.sync(t.Context(), keyOf(instance))
			}
			if got := len(client.Actions()); got != tc.want {
				t.Errorf("%d requests, want %d: %v", got, tc.want, client.Actions())
			}
		})
	}
}

// faultyRuntime is a simulated runtime with calls that can fail.
type faultyRuntime struct {
	*simulated.Runtime
	sandbox, pull error
}

func (r *faultyRuntime) Sandbox(ctx context.Context, uid types.UID) (*runtime.Sandbox, error) {
	if r.sandbox != nil {
		return nil, r.sandbox
	}
	return r.Runtime.Sandbox(ctx, uid)
}

func (r *faultyRuntime) PullImage(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container, attempt int32) error {
	return errors.Join(r.pull, r.Runtime.PullImage(ctx, instance, container, attempt))
}

func TestTheStatusShowsWhatTheRuntimeReports(t *testing.T) {
	for _, tc := range []struct {
		name     string
		runtime  faultyRuntime
		requests int
		reason   string
		retries  bool
	}{
		{name: "an unknown state is not reported", runtime: faultyRuntime{sandbox: errors.New("connection refused")}, retries: true},
		{name: "a container whose image is being pulled is being created", runtime: faultyRuntime{pull: runtime.ErrPulling}, requests: 1, reason: "ContainerCreating"},
		{name: "a failed pull is the reason that a container waits", runtime: faultyRuntime{pull: errors.New("no such image")}, requests: 1, reason: "ImagePullBackOff"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			instance := newInstance()
			client := fake.NewClientset(instance)
			tc.runtime.Runtime = simulated.New(simulated.Options{HostName: "sim-1", HostNumber: 1})
			c := newController(newAgent(client.FleetV1alpha1(), &tc.runtime, Options{HostName: "sim-1", RestartBackOff: tc.runtime.RestartBackOff}))
			if err := c.mirror.Add(instance.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			c.sync(t.Context(), keyOf(instance))
			if got := len(client.Actions()); got != tc.requests {
				t.Errorf("%d requests: %v", got, client.Actions())
			}
			if retries := !c.due[keyOf(instance)].IsZero(); retries != tc.retries {
				t.Errorf("retries is %v", retries)
			}
			if tc.reason == "" {
				return
			}
			written, err := client.FleetV1alpha1().Instances(instance.Namespace).Get(t.Context(), instance.Name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if waiting := written.Status.ContainerStatuses[0].State.Waiting; waiting == nil || waiting.Reason != tc.reason {
				t.Errorf("the container is %+v", written.Status.ContainerStatuses[0].State)
			}
		})
	}
}

func TestAnAnnouncementOfTheRuntimeSynchronizesTheInstance(t *testing.T) {
	instance := newInstance()
	client := fake.NewClientset(instance)
	r := simulated.New(simulated.Options{HostName: "sim-1", HostNumber: 1, Behaviour: simulated.Behaviour{StartDelay: time.Millisecond}})
	c := newController(newAgent(client.FleetV1alpha1(), r, Options{HostName: "sim-1", RestartBackOff: r.RestartBackOff}))
	if err := c.mirror.Add(instance.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var parts sync.WaitGroup
	defer parts.Wait()
	defer cancel()
	parts.Go(func() { r.Watch(ctx, c.mirror.markUID) })
	parts.Go(func() { c.run(ctx) })
	for ctx.Err() == nil {
		got, err := client.FleetV1alpha1().Instances(instance.Namespace).Get(ctx, instance.Name, metav1.GetOptions{})
		if err == nil && got.Status.Phase == v1alpha1.InstanceRunning {
			return
		}
		_ = sleep(ctx, 10*time.Millisecond)
	}
	t.Error("the instance never runs")
}
