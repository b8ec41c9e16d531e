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
	"errors"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// web returns a release of this many replicas.
func web(replicas int32) *v1alpha1.Release {
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Name: "web", UID: "web-uid", Namespace: "default", Generation: 4},
		Spec: v1alpha1.ReleaseSpec{
			Replicas: ptr.To(replicas),
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web", "tier": "front"}, Annotations: map[string]string{"why": "because"}, Finalizers: []string{"example.com/f"}},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}
}

func TestHowManyAreMadeOrDeleted(t *testing.T) {
	for _, tc := range []struct {
		name           string
		replicas       *int32
		active         int
		deleted        bool
		create, remove int
		// bytes is the size of padding in the template.
		bytes int
	}{
		{name: "as many as are wanted", replicas: ptr.To[int32](3), active: 3},
		{name: "too few", replicas: ptr.To[int32](3), active: 1, create: 2},
		{name: "too many", replicas: ptr.To[int32](3), active: 5, remove: 2},
		{name: "none are wanted", replicas: ptr.To[int32](0), active: 2, remove: 2},
		{name: "replicas are not set", create: 1},
		{name: "far too few: in bursts", replicas: ptr.To[int32](10000), active: 3, create: Burst},
		{name: "far too many: in bursts", replicas: ptr.To[int32](0), active: 10000, remove: Burst},
		{name: "a release that is being deleted makes none", replicas: ptr.To[int32](3), active: 1, deleted: true},
		{name: "nor does it delete any", replicas: ptr.To[int32](3), active: 5, deleted: true},
		{name: "few of what is large", replicas: ptr.To[int32](600), create: 15, bytes: 1 << 20},
		{name: "one of what is larger than a burst", replicas: ptr.To[int32](600), create: 1, bytes: 17 << 20},
		{name: "as many as before are deleted of what is large", replicas: ptr.To[int32](0), active: 600, remove: Burst, bytes: 1 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := web(0)
			release.Spec.Replicas = tc.replicas
			if tc.bytes > 0 {
				release.Spec.Template.Spec.Containers[0].Args = []string{strings.Repeat("x", tc.bytes)}
			}
			if tc.deleted {
				release.DeletionTimestamp = &metav1.Time{Time: noon}
			}
			if create, remove := Plan(release, tc.active); create != tc.create || remove != tc.remove {
				t.Errorf("makes %d and deletes %d", create, remove)
			}
		})
	}
}

func TestOnlyActiveInstancesCount(t *testing.T) {
	list := []*v1alpha1.Instance{
		made("new", in(""), on("")), made("running"), made("lost", in(v1alpha1.InstanceUnknown)),
		made("done", in(v1alpha1.InstanceSucceeded)), made("failed", in(v1alpha1.InstanceFailed)), made("going", deleted),
	}
	if got := strings.Join(names(Active(list)), " "); got != "new running lost" {
		t.Errorf("got %s", got)
	}
}

func TestNewInstanceFollowsTheTemplate(t *testing.T) {
	release := web(1)
	i := NewInstance(release)
	want := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{
			GenerateName: "web-", Namespace: "default",
			Labels: map[string]string{"app": "web", "tier": "front"}, Annotations: map[string]string{"why": "because"}, Finalizers: []string{"example.com/f"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "fleet.gatehouse.dev/v1alpha1", Kind: "Release", Name: "web", UID: "web-uid", Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
			}},
		},
		Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
	}
	if !equality.Semantic.DeepEqual(i, want) {
		t.Errorf("got %+v", i)
	}
	i.Labels["app"], i.Spec.Containers[0].Image = "other", "other"
	if release.Spec.Template.Labels["app"] != "web" || release.Spec.Template.Spec.Containers[0].Image != "web:1" {
		t.Error("it shares memory with the cached release")
	}
}

func TestStatusCountsWhatThereIs(t *testing.T) {
	failed := []metav1.Condition{{Type: v1alpha1.ReleaseConditionReplicaFailure, Status: metav1.ConditionTrue, Reason: "FailedCreate", Message: "quota"}}
	other := metav1.Condition{Type: "Other", Status: metav1.ConditionTrue}
	for _, tc := range []struct {
		name                       string
		release                    *v1alpha1.Release
		minReadySeconds            int32
		conditions                 []metav1.Condition
		active                     []*v1alpha1.Instance
		failure                    error
		replicas, ready, available int32
		// reasons are the expected reasons by condition type.
		reasons map[string]string
		message string
	}{
		{name: "nothing", release: web(2)},
		{name: "some that are not ready", release: web(2), active: []*v1alpha1.Instance{made("a"), made("b", on(""))}, replicas: 2},
		{name: "some that are ready", release: web(2), active: []*v1alpha1.Instance{made("a", readyFor(0)), made("b")}, replicas: 2, ready: 1, available: 1},
		{name: "ready, and for how long", release: web(3), minReadySeconds: 10,
			active:   []*v1alpha1.Instance{made("a", readyFor(9*time.Second)), made("b", readyFor(10*time.Second)), made("c", readyNobodyKnowsSince)},
			replicas: 3, ready: 3, available: 1},
		{name: "none could be made", release: web(2), failure: errors.New("quota"), reasons: map[string]string{"ReplicaFailure": "FailedCreate"}, message: "quota"},
		{name: "none could be deleted", release: web(0), active: []*v1alpha1.Instance{made("a")}, failure: errors.New("forbidden"), replicas: 1, reasons: map[string]string{"ReplicaFailure": "FailedDelete"}, message: "forbidden"},
		{name: "a failure keeps its message", release: web(2), conditions: failed, failure: errors.New("quota again"), reasons: map[string]string{"ReplicaFailure": "FailedCreate"}, message: "quota"},
		{name: "a failure that is over is removed", release: web(2), conditions: failed},
		{name: "others' conditions stay", release: web(2), conditions: append([]metav1.Condition{other}, failed...), reasons: map[string]string{"Other": ""}},
		{name: "a failure beside others' conditions", release: web(2), conditions: []metav1.Condition{other}, failure: errors.New("quota"), reasons: map[string]string{"Other": "", "ReplicaFailure": "FailedCreate"}, message: "quota"},
		{name: "a long story is cut where a letter ends", release: web(2), failure: errors.New("x" + strings.Repeat("ä", longestMessage)), reasons: map[string]string{"ReplicaFailure": "FailedCreate"}, message: "x" + strings.Repeat("ä", longestMessage/2-1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.release.Spec.MinReadySeconds = tc.minReadySeconds
			tc.release.Status.Conditions = tc.conditions
			before := tc.release.DeepCopy()
			got := Status(tc.release, tc.active, tc.failure, noon)
			if got.ObservedGeneration != 4 || got.Replicas != tc.replicas || got.ReadyReplicas != tc.ready || got.AvailableReplicas != tc.available {
				t.Errorf("got %+v", got)
			}
			if len(got.Conditions) != len(tc.reasons) {
				t.Errorf("got %v", got.Conditions)
			}
			for _, c := range got.Conditions {
				if reason, ok := tc.reasons[c.Type]; !ok || c.Reason != reason || c.Type == "ReplicaFailure" && c.Message != tc.message {
					t.Errorf("got %s %s %.100s", c.Type, c.Reason, c.Message)
				}
			}
			if !equality.Semantic.DeepEqual(tc.release, before) {
				t.Error("the cached release was changed")
			}
			tc.release.Status = got
			if again := Status(tc.release, tc.active, tc.failure, noon.Add(time.Minute)); tc.minReadySeconds == 0 && Changed(got, again) {
				t.Errorf("nothing happened, and it is written again: %+v", again)
			}
		})
	}
}

func TestWhenTheNextBecomesAvailable(t *testing.T) {
	for _, tc := range []struct {
		name   string
		min    int32
		active []*v1alpha1.Instance
		want   time.Duration
	}{
		{name: "none is there", min: 30},
		{name: "none is ready", min: 30, active: []*v1alpha1.Instance{made("a"), made("b", on(""))}},
		{name: "minReadySeconds is 0", active: []*v1alpha1.Instance{made("a", readyFor(time.Second))}},
		{name: "one that just became ready", min: 30, active: []*v1alpha1.Instance{made("a", readyFor(0))}, want: 30 * time.Second},
		{name: "the one that needs least", min: 30, active: []*v1alpha1.Instance{made("a", readyFor(5*time.Second)), made("b", readyFor(20*time.Second)), made("c")}, want: 10 * time.Second},
		{name: "those that are available are not waited for", min: 30, active: []*v1alpha1.Instance{made("a", readyFor(time.Minute)), made("b", readyFor(30*time.Second))}},
		{name: "nor those that are ready since an unknown time", min: 30, active: []*v1alpha1.Instance{made("a", readyNobodyKnowsSince)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := web(1)
			release.Spec.MinReadySeconds = tc.min
			if got := NextCheck(release, tc.active, noon); got != tc.want {
				t.Errorf("in %s, want %s", got, tc.want)
			}
		})
	}
}
