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
	"math/rand/v2"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const defaultSeed = 37

// start is the initial time of the clock of a bubble.
var start = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// pod converts an instance to a pod.
func pod(i *v1alpha1.Instance) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: *i.ObjectMeta.DeepCopy()}
	if cost, ok := p.Annotations[v1alpha1.DeletionCostAnnotation]; ok {
		delete(p.Annotations, v1alpha1.DeletionCostAnnotation)
		p.Annotations[corev1.PodDeletionCost] = cost
	}
	for n, ref := range p.OwnerReferences {
		if ref.Kind == "Release" {
			p.OwnerReferences[n].APIVersion, p.OwnerReferences[n].Kind = "apps/v1", "ReplicaSet"
		}
	}
	p.Spec.NodeName = i.Spec.HostName
	p.Status.Phase = corev1.PodPhase(i.Status.Phase)
	for _, c := range i.Status.Conditions {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodConditionType(c.Type), Status: corev1.ConditionStatus(c.Status), LastTransitionTime: c.LastTransitionTime})
	}
	for _, c := range i.Status.ContainerStatuses {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name, RestartCount: c.RestartCount})
	}
	return p
}

func pods(instances []*v1alpha1.Instance) []*corev1.Pod {
	var list []*corev1.Pod
	for _, i := range instances {
		list = append(list, pod(i))
	}
	return list
}

// replicaSet converts a release to a replica set.
func replicaSet(r *v1alpha1.Release) *appsv1.ReplicaSet {
	rs := &appsv1.ReplicaSet{
		ObjectMeta: *r.ObjectMeta.DeepCopy(),
		Spec: appsv1.ReplicaSetSpec{
			Replicas: r.Spec.Replicas, MinReadySeconds: r.Spec.MinReadySeconds, Selector: r.Spec.Selector,
			Template: corev1.PodTemplateSpec{ObjectMeta: r.Spec.Template.ObjectMeta, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}}},
		},
	}
	for _, c := range r.Status.Conditions {
		rs.Status.Conditions = append(rs.Status.Conditions, appsv1.ReplicaSetCondition{Type: appsv1.ReplicaSetConditionType(c.Type), Status: corev1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime})
	}
	return rs
}

// release returns a release of an app, so that its neighbours are those of the app.
func release(name string, replicas int32, labels map[string]string) *v1alpha1.Release {
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name), Namespace: "default", Generation: 1,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "App", Name: "app", UID: "app", Controller: ptr.To(true)}},
		},
		Spec: v1alpha1.ReleaseSpec{
			Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1alpha1.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}}},
		},
	}
}

// change modifies an instance.
type change func(*v1alpha1.Instance)

// instance returns an instance that runs on a host and has no owner.
func instance(name string, changes ...change) *v1alpha1.Instance {
	i := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Namespace: "default"},
		Spec:       v1alpha1.InstanceSpec{HostName: "host"},
		Status:     v1alpha1.InstanceStatus{Phase: v1alpha1.InstanceRunning},
	}
	for _, c := range changes {
		c(i)
	}
	return i
}

func of(r *v1alpha1.Release) change {
	return func(i *v1alpha1.Instance) {
		i.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(r, v1alpha1.SchemeGroupVersion.WithKind("Release"))}
		i.Labels = r.Spec.Selector.MatchLabels
	}
}

func labelled(key, value string) change {
	return func(i *v1alpha1.Instance) { i.Labels = map[string]string{key: value} }
}

func on(host string) change { return func(i *v1alpha1.Instance) { i.Spec.HostName = host } }

func in(phase v1alpha1.InstancePhase) change {
	return func(i *v1alpha1.Instance) { i.Status.Phase = phase }
}

func deleted(i *v1alpha1.Instance) { i.DeletionTimestamp = ptr.To(metav1.NewTime(start)) }

// ready sets the instance ready since a time, which is unknown if zero.
func ready(since time.Time) change {
	return func(i *v1alpha1.Instance) {
		i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}
	}
}

func notReady(i *v1alpha1.Instance) {
	i.Status.Conditions = []metav1.Condition{{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionFalse}}
}

func created(at time.Time) change {
	return func(i *v1alpha1.Instance) { i.CreationTimestamp = metav1.NewTime(at) }
}

func restarts(times ...int32) change {
	return func(i *v1alpha1.Instance) {
		for _, n := range times {
			i.Status.ContainerStatuses = append(i.Status.ContainerStatuses, v1alpha1.ContainerStatus{RestartCount: n})
		}
	}
}

func costs(what string) change {
	return func(i *v1alpha1.Instance) { i.Annotations = map[string]string{v1alpha1.DeletionCostAnnotation: what} }
}

type source struct{ *rand.Rand }

// newSource returns random numbers that are the same with every run, unless the environment sets a seed.
func newSource(t testing.TB) source {
	t.Helper()
	seed := kit.SeedOr(t, defaultSeed)
	return source{rand.New(rand.NewPCG(seed, seed))}
}

func pick[T any](s source, list ...T) T { return list[s.IntN(len(list))] }

// ago returns a time before another: mostly of another order of magnitude, sometimes of the same,
// sometimes unknown, and sometimes in the future.
func (s source) ago(now time.Time) time.Time {
	switch s.IntN(8) {
	case 0:
		return time.Time{}
	case 1:
		return now.Add(time.Minute)
	case 2:
		return now
	}
	return now.Add(-time.Duration(1+s.IntN(3)) * time.Duration(1) << s.IntN(50))
}

// instance returns a random instance.
func (s source) instance(name string, now time.Time) *v1alpha1.Instance {
	i := instance(name, on(pick(s, "", "h1", "h1", "h2", "h3")), created(s.ago(now)),
		in(pick(s, "", v1alpha1.InstancePending, v1alpha1.InstanceRunning, v1alpha1.InstanceRunning, v1alpha1.InstanceUnknown, v1alpha1.InstanceSucceeded, v1alpha1.InstanceFailed)))
	switch s.IntN(5) {
	case 0:
		notReady(i)
	case 1, 2, 3:
		ready(s.ago(now))(i)
	}
	for range s.IntN(3) {
		restarts(int32(s.IntN(3)))(i)
	}
	if s.IntN(3) == 0 {
		costs(pick(s, "0", "1", "-1", "-01", "010", "+1", "much", "", "2147483647", "2147483648", "-", "1.5", " 1"))(i)
	}
	if s.IntN(8) == 0 {
		deleted(i)
	}
	return i
}
