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

package release

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

func waitsBecause(reason, message string) change {
	return func(i *v1alpha1.Instance) {
		i.Status.ContainerStatuses = []v1alpha1.ContainerStatus{{Name: "web", State: v1alpha1.ContainerState{Waiting: &v1alpha1.ContainerStateWaiting{Reason: reason, Message: message}}}}
	}
}

func TestWhereAReleaseStands(t *testing.T) {
	refused := func(ago time.Duration) []metav1.Condition {
		return []metav1.Condition{{Type: v1alpha1.ReleaseConditionReplicaFailure, Status: metav1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded quota", LastTransitionTime: metav1.NewTime(noon.Add(-ago))}}
	}
	for _, tc := range []struct {
		name      string
		replicas  int32
		status    v1alpha1.ReleaseStatus
		instances []*v1alpha1.Instance
		held      int
		state     health.State
		reason    string
		says      string
	}{
		{"all are available", 2, v1alpha1.ReleaseStatus{Replicas: 2, AvailableReplicas: 2}, nil, 0, health.Ready, AvailableReason, "2 of 2 instances are available"},
		{"none are wanted", 0, v1alpha1.ReleaseStatus{}, nil, 0, health.Ready, AvailableReason, "0 of 0 instances are available"},
		{"some are missing", 2, v1alpha1.ReleaseStatus{Replicas: 1, AvailableReplicas: 1}, nil, 0, health.Reconciling, UnavailableReason, "1 of 2 instances are available"},
		{"too many are left", 1, v1alpha1.ReleaseStatus{Replicas: 2, AvailableReplicas: 1}, nil, 0, health.Reconciling, UnavailableReason, "1 of 1 instances are available"},
		{"an image cannot be fetched", 1, v1alpha1.ReleaseStatus{Replicas: 1}, []*v1alpha1.Instance{made("web-1", waitsBecause("ImagePullBackOff", "no such image"))}, 0, health.Reconciling, "ImagePullBackOff", "0 of 1 instances are available; instance web-1: ImagePullBackOff: no such image"},
		{"a container is being made: that is no cause", 1, v1alpha1.ReleaseStatus{Replicas: 1}, []*v1alpha1.Instance{made("web-1", waitsBecause("ContainerCreating", ""))}, 0, health.Reconciling, UnavailableReason, "0 of 1 instances are available"},
		{"instances were refused a moment ago", 1, v1alpha1.ReleaseStatus{Conditions: refused(9 * time.Second)}, nil, 0, health.Reconciling, "FailedCreate", "0 of 1 instances are available; exceeded quota"},
		{"instances are refused", 1, v1alpha1.ReleaseStatus{Conditions: refused(10 * time.Second)}, nil, 0, health.Stalled, "FailedCreate", "0 of 1 instances are available; exceeded quota"},
		{"instances end at once", 1, v1alpha1.ReleaseStatus{}, []*v1alpha1.Instance{made("web-1", in(v1alpha1.InstanceFailed), func(i *v1alpha1.Instance) { i.Status.Reason = "Error" })}, 1, health.Reconciling, "Error", "0 of 1 instances are available; 1 ended soon after they were created, and are replaced later each time; instance web-1: Error"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := Health(web(tc.replicas), &tc.status, View{Instances: tc.instances, Held: tc.held, Now: noon})
			if want := (health.Verdict{State: tc.state, Reason: tc.reason, Message: tc.says}); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			withHealth(web(tc.replicas), &tc.status, View{Instances: tc.instances, Held: tc.held, Now: noon})
			for kind, want := range map[string]bool{"Ready": tc.state == health.Ready, "Reconciling": tc.state == health.Reconciling, "Stalled": tc.state == health.Stalled} {
				if c := meta.FindStatusCondition(tc.status.Conditions, kind); c == nil || (c.Status == metav1.ConditionTrue) != want || c.ObservedGeneration != 4 {
					t.Errorf("%s is %v", kind, c)
				}
			}
		})
	}
}

func TestAnInstanceThatCannotBeCountedIsNotMadeAgainAtOnce(t *testing.T) {
	const status = "update releases/status"
	w := newWorld(t, web(3))
	changed := true
	w.client.PrependReactor("create", "instances", func(action clienttesting.Action) (bool, runtime.Object, error) {
		i := action.(clienttesting.CreateAction).GetObject().(*v1alpha1.Instance).DeepCopy()
		if i.Name, i.UID = "web-x", "web-x"; changed {
			i.Labels = map[string]string{"app": "stamped"}
			return true, i, nil
		}
		if len(action.(clienttesting.CreateActionImpl).CreateOptions.DryRun) > 0 {
			return true, i, nil
		}
		return false, nil, nil
	})
	w.expect("one is made, and deleted, because no selector chooses it", "create instances", "delete instances web-x", status)
	release, _ := w.client.FleetV1alpha1().Releases("default").Get(t.Context(), "web", metav1.GetOptions{})
	if c := meta.FindStatusCondition(release.Status.Conditions, v1alpha1.ReleaseConditionReplicaFailure); c == nil || !strings.Contains(c.Message, `metadata.labels are "app=stamped"`) {
		t.Errorf("got %v", c)
	}
	if event := <-w.recorder.Events; !strings.Contains(event, reasonChanged) || !strings.Contains(event, "app=stamped") {
		t.Errorf("the event is %s", event)
	}
	w.shows(release)
	w.expect("at once, nothing is made")
	w.clock.SetTime(noon.Add(11 * time.Second))
	w.expect("later, a dry run asks, and the answer is the same", "create instances", status)
	w.clock.SetTime(noon.Add(30 * time.Second))
	w.expect("twice as late, not yet", status)
	changed = false
	w.clock.SetTime(noon.Add(32 * time.Second))
	w.expect("then it is as it should be", "create instances", "create instances", "create instances", "create instances", status)
}

func TestEqualRefusalsHaveEqualMessages(t *testing.T) {
	first := apierrors.NewForbidden(v1alpha1.Resource("instances"), "web-abc12", fmt.Errorf(`service account "robot" does not exist`))
	second := apierrors.NewForbidden(v1alpha1.Resource("instances"), "web-xyz34", fmt.Errorf(`service account "robot" does not exist`))
	if a, b := refusal(web(1), first), refusal(web(1), second); a != b || !strings.Contains(a, `service account "robot" does not exist`) {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestAReleaseIsNotReadyWhileManyInstancesAreCreated(t *testing.T) {
	const status = "update releases/status"
	creates := func(count int) []string { return append(slices.Repeat([]string{"create instances"}, count), status) }
	for _, tc := range []struct {
		name string
		// scaled is the new number of replicas.
		scaled   int32
		reverted bool
		first    []string
		ready    bool
	}{
		{"a few more are created before the status is written", writers, false, creates(writers), false},
		{"the status is written before many more are created", writers + 1, false, []string{status}, false},
		{"a status that admission changes is not awaited", writers + 1, true, creates(writers + 1)[:writers+1], true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := web(tc.scaled)
			release.Status.Conditions = health.Set(nil, health.Verdict{State: health.Ready, Reason: AvailableReason}, release.Generation-1, metav1.NewTime(noon))
			w := newWorld(t, release)
			if tc.reverted {
				w.rewrites.Failed(attempt{"web-uid", writingStatus})
			}
			w.expect("after the change", tc.first...)
			written, err := w.client.FleetV1alpha1().Releases("default").Get(t.Context(), "web", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if ready := meta.IsStatusConditionTrue(written.Status.Conditions, v1alpha1.ReleaseConditionReady); ready != tc.ready {
				t.Errorf("ready is %t, want %t: %+v", ready, tc.ready, written.Status.Conditions)
			}
			if w.made.Load() == 0 {
				w.shows(written)
				w.expect("after the status is written", creates(writers + 1)[:writers+1]...)
			}
		})
	}
}
