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

package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/controller/deployment"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	controller "github.com/gatehouse-dev/gatehouse/pkg/controller/app"
)

// state is the input of a sync.
type state struct {
	app       *v1alpha1.App
	releases  []*v1alpha1.Release
	instances []*v1alpha1.Instance
}

// outcome is the result of one sync.
type outcome struct {
	// Created is the newest release, if the sync created it, without its name, because the hashes differ.
	Created string
	// Sizes and Annotations are those of the releases that existed before and still exist.
	Sizes       map[string]int32
	Annotations map[string]string
	Deleted     []string
	Revision    string
	// Counts are those of the status. Conditions has type, status and reason of each, and
	// whether it was written in this sync.
	Counts      [4]int32
	Unavailable int32
	Conditions  []string
}

// decide runs our controller's decision, and applies it.
func decide(t *testing.T, s state, now time.Time) outcome {
	t.Helper()
	plan, err := controller.Decide(controller.View{App: s.app, Releases: s.releases, Now: now, InstancesOf: func(release types.UID) []*v1alpha1.Instance {
		return slices.DeleteFunc(slices.Clone(s.instances), func(i *v1alpha1.Instance) bool { return i.OwnerReferences[0].UID != release })
	}})
	if err != nil {
		t.Fatal(err)
	}
	after := map[string]*v1alpha1.Release{}
	for _, release := range s.releases {
		after[release.Name] = release
	}
	for _, update := range plan.Update {
		after[update.Release.Name] = update.Release
	}
	result := outcome{Sizes: map[string]int32{}, Annotations: map[string]string{}, Revision: cmp.Or(plan.Revision, s.app.Annotations[v1alpha1.RevisionAnnotation])}
	for _, release := range plan.Delete {
		delete(after, release.Name)
		result.Deleted = append(result.Deleted, release.Name)
	}
	for name, release := range after {
		result.Sizes[name], result.Annotations[name] = *release.Spec.Replicas, joined(release.Annotations)
	}
	if plan.Create != nil {
		result.Created = fmt.Sprintf("%d %s", *plan.Create.Spec.Replicas, joined(plan.Create.Annotations))
	}
	slices.Sort(result.Deleted)
	status := &plan.Status
	result.Counts = [4]int32{status.Replicas, status.UpdatedReplicas, status.ReadyReplicas, status.AvailableReplicas}
	result.Unavailable = status.UnavailableReplicas
	for _, condition := range status.Conditions {
		if healthConditions.Has(condition.Type) {
			continue // upstream has none
		}
		touched := !condition.LastTransitionTime.Before(&metav1.Time{Time: now})
		words := fmt.Sprintf("%s=%s %s %t", condition.Type, condition.Status, condition.Reason, touched)
		if condition.Type == v1alpha1.AppConditionProgressing && waits(condition.Reason) {
			words += fmt.Sprintf(" %t", !status.LastProgressTime.Before(&metav1.Time{Time: now}))
		}
		result.Conditions = append(result.Conditions, words)
	}
	slices.Sort(result.Conditions)
	return result
}

// healthConditions are the conditions of an app that a deployment lacks.
var healthConditions = sets.New(v1alpha1.AppConditionReady, v1alpha1.AppConditionReconciling, v1alpha1.AppConditionStalled)

// waits reports whether both update the time of Progressing for a reason: our controller does
// not if the deadline is exceeded, because that is no progress.
func waits(reason string) bool { return reason != controller.ProgressDeadlineExceededReason }

// sync runs one sync of the deployment controller against a fake client.
func sync(t *testing.T, s state, now time.Time) outcome {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := deploymentFor(s.app)
	objects := []runtime.Object{d.DeepCopy()}
	for _, rs := range replicaSets(s.releases) {
		objects = append(objects, rs)
	}
	client := fake.NewClientset(objects...)
	factory := informers.NewSharedInformerFactory(client, 0)
	apps, pods := factory.Apps().V1(), factory.Core().V1().Pods()
	c, err := deployment.NewDeploymentController(ctx, apps.Deployments(), apps.ReplicaSets(), pods, client)
	if err != nil {
		t.Fatal(err)
	}
	store := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	store(apps.Deployments().Informer().GetIndexer().Add(d))
	for _, rs := range replicaSets(s.releases) {
		store(apps.ReplicaSets().Informer().GetIndexer().Add(rs))
	}
	for _, i := range s.instances {
		pod := &corev1.Pod{ObjectMeta: *i.ObjectMeta.DeepCopy(), Status: corev1.PodStatus{Phase: corev1.PodPhase(i.Status.Phase)}}
		pod.OwnerReferences[0].Kind = "ReplicaSet"
		store(pods.Informer().GetIndexer().Add(pod))
	}
	// The function of a worker for one key is not exported. Reading the field that holds it is the only way
	// to run it once, in this goroutine.
	handler := reflect.ValueOf(c).Elem().FieldByName("syncHandler")
	if err := (*(*func(context.Context, string) error)(unsafe.Pointer(handler.UnsafeAddr())))(ctx, "default/web"); err != nil {
		t.Fatal(err)
	}
	after, err := client.AppsV1().Deployments("default").Get(ctx, "web", metav1.GetOptions{})
	store(err)
	sets, err := client.AppsV1().ReplicaSets("default").List(ctx, metav1.ListOptions{})
	store(err)
	return left(s, after, sets.Items, now)
}

func left(s state, d *appsv1.Deployment, sets []appsv1.ReplicaSet, now time.Time) outcome {
	result := outcome{Sizes: map[string]int32{}, Annotations: map[string]string{}, Revision: ours(d.Annotations)[v1alpha1.RevisionAnnotation]}
	there := map[string]bool{}
	for _, rs := range sets {
		there[rs.Name] = true
		annotations := joined(ours(rs.Annotations))
		if !slices.ContainsFunc(s.releases, func(r *v1alpha1.Release) bool { return r.Name == rs.Name }) {
			result.Created = fmt.Sprintf("%d %s", *rs.Spec.Replicas, annotations)
			continue
		}
		result.Sizes[rs.Name], result.Annotations[rs.Name] = *rs.Spec.Replicas, annotations
	}
	for _, release := range s.releases {
		if !there[release.Name] {
			result.Deleted = append(result.Deleted, release.Name)
		}
	}
	slices.Sort(result.Deleted)
	result.Counts = [4]int32{d.Status.Replicas, d.Status.UpdatedReplicas, d.Status.ReadyReplicas, d.Status.AvailableReplicas}
	result.Unavailable = d.Status.UnavailableReplicas
	for _, condition := range d.Status.Conditions {
		// Upstream reads the real clock, which is after now.
		touched := !condition.LastTransitionTime.Before(&metav1.Time{Time: now})
		words := fmt.Sprintf("%s=%s %s %t", condition.Type, condition.Status, ourKinds.Replace(condition.Reason), touched)
		if condition.Type == appsv1.DeploymentProgressing && waits(condition.Reason) {
			words += fmt.Sprintf(" %t", !condition.LastUpdateTime.Before(&metav1.Time{Time: now}))
		}
		result.Conditions = append(result.Conditions, words)
	}
	slices.Sort(result.Conditions)
	return result
}

// deviation returns why our controller differs on purpose; empty if it does not.
func deviation(s state) string {
	newest := controller.FindNewRelease(s.app, s.releases)
	_, old := controller.FindOldReleases(s.app, s.releases)
	only := controller.FindActiveOrLatest(newest, old)
	desired, found := int32(0), false
	if only != nil {
		desired, found = controller.DesiredReplicas(only)
	}
	wanted := *s.app.Spec.Replicas
	reason := ""
	for _, condition := range s.app.Status.Conditions {
		if condition.Type == v1alpha1.AppConditionProgressing {
			reason = condition.Reason
		}
	}
	switch {
	case only != nil && *only.Spec.Replicas == wanted && found && desired != wanted:
		return "a release that was given the app's new size by somebody else: theirs takes the app for scaled for ever, and never rolls it out again"
	case !controller.IsRollingUpdate(s.app) && only == nil && scaled(s):
		return "an app that is recreated and was scaled while several releases are active: theirs waits for ever for them to share"
	case slices.ContainsFunc(s.releases, func(r *v1alpha1.Release) bool { return r.Status.AvailableReplicas > *r.Spec.Replicas }):
		return "a release that shrinks and still has more available instances than it keeps: theirs stops at it, or counts them as if they stayed"
	case newest != nil && reason == controller.NewReleaseAvailableReason && s.app.Annotations[v1alpha1.RevisionAnnotation] != newest.Annotations[v1alpha1.RevisionAnnotation]:
		return "an app that goes back to an earlier release: theirs does not begin to wait for it until it has come forward"
	case s.app.Spec.Paused && only != nil && only != newest && *only.Spec.Replicas == 0 && wanted > 0:
		return "a paused app that grows from nothing: theirs may delete the very release that it has just given instances"
	case newest != nil && reason == controller.NewReleaseAvailableReason && !s.app.Spec.Paused && wanted > 0 && s.app.Status.Replicas == 0 && s.app.Status.ObservedGeneration < s.app.Generation:
		return "an app that is scaled up from nothing: theirs never waits for it, because it was complete without an instance"
	case newest == nil && reason == controller.NewReleaseCreatedReason:
		return "an app that gets another release before the last one has come forward: theirs goes on counting from when that one was created"
	}
	return ""
}

func scaled(s state) bool {
	return slices.ContainsFunc(s.releases, func(r *v1alpha1.Release) bool {
		desired, found := controller.DesiredReplicas(r)
		return found && *r.Spec.Replicas > 0 && desired != *s.app.Spec.Replicas
	})
}

// compare runs both, and describes the differences.
func compare(t *testing.T, s state) (outcome, string) {
	t.Helper()
	now := time.Now()
	mine, their := decide(t, s, now), sync(t, s, now)
	// Upstream defers the rest to the next sync if it sets the annotations of the newest release
	// in this one; our controller does both.
	if newest := controller.FindNewRelease(s.app, s.releases); newest != nil &&
		(copied(their.Annotations[newest.Name]) != copied(joined(newest.Annotations)) || newest.Spec.MinReadySeconds != s.app.Spec.MinReadySeconds) {
		mine.Revision, their.Revision = "", ""
		mine.Conditions, their.Conditions = nil, nil
	}
	// Upstream counts what was wanted before this sync.
	changed := their.Created != ""
	for _, release := range s.releases {
		changed = changed || their.Sizes[release.Name] != *release.Spec.Replicas
	}
	if changed {
		mine.Unavailable, their.Unavailable = 0, 0
	}
	if !reflect.DeepEqual(mine, their) {
		return mine, fmt.Sprintf("ours\n%+v\ntheirs\n%+v\nof %s", mine, their, s)
	}
	return mine, ""
}

// copied returns annotations without those of the size.
func copied(annotations string) string {
	return strings.Join(slices.DeleteFunc(strings.Fields(annotations), func(word string) bool {
		return strings.HasPrefix(word, "desired-replicas=") || strings.HasPrefix(word, "max-replicas=")
	}), " ")
}

func (s state) String() string {
	words := fmt.Sprintf("an app of %d, %+v, status %+v, annotations %v;", *s.app.Spec.Replicas, s.app.Spec.Strategy, s.app.Status, s.app.Annotations)
	for _, r := range s.releases {
		words += fmt.Sprintf("\n%s: %d, status %+v, annotations %v", r.Name, *r.Spec.Replicas, r.Status, r.Annotations)
	}
	for _, i := range s.instances {
		words += fmt.Sprintf("\n%s of %s: %s", i.Name, i.OwnerReferences[0].Name, i.Status.Phase)
	}
	return words
}

// sizes returns the sizes of the remaining releases, by their number.
func (o outcome) sizes() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(o.Sizes)) {
		list = append(list, fmt.Sprintf("%s:%d", strings.TrimPrefix(name, "web-"), o.Sizes[name]))
	}
	return strings.Join(list, " ")
}
