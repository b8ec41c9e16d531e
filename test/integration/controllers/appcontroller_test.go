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

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// stage is a server with the app controller. The test stands in for the release controller: it
// reports instances that do not exist.
type stage struct {
	harness.FleetClient
	core kubernetes.Interface
	t    *testing.T
}

// startAppController starts the app controller after before has stored its objects.
func startAppController(t *testing.T, before ...func(*testing.T, harness.FleetClient) *v1alpha1.App) stage {
	t.Helper()
	server := servertesting.Start(t)
	for _, store := range before {
		store(t, harness.NewFleetClient(t, server.Config))
	}
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	runs(t, server.Config, app.New)
	return stage{harness.NewFleetClient(t, server.Config), core, t}
}

func (s stage) app(ctx context.Context) *v1alpha1.App {
	s.t.Helper()
	got, err := s.FleetV1alpha1().Apps("default").Get(ctx, "web", metav1.GetOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s stage) patch(body string) {
	s.t.Helper()
	if _, err := s.FleetV1alpha1().Apps("default").Patch(s.t.Context(), "web", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
		s.t.Fatal(err)
	}
}

func (s stage) setImage(image string) {
	s.t.Helper()
	s.patch(fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":%q}]}}}}`, image))
}

// releases returns the releases of the app, the oldest revision first.
func (s stage) releases(ctx context.Context) []v1alpha1.Release {
	s.t.Helper()
	list, err := s.FleetV1alpha1().Releases("default").List(ctx, metav1.ListOptions{LabelSelector: "app=web"})
	if err != nil {
		s.t.Fatal(err)
	}
	owned := slices.DeleteFunc(list.Items, func(r v1alpha1.Release) bool { return metav1.GetControllerOf(&r) == nil })
	slices.SortFunc(owned, func(a, b v1alpha1.Release) int {
		first, _ := helper.Revision(&a)
		second, _ := helper.Revision(&b)
		return int(first - second)
	})
	return owned
}

// play reports for each release the instances that its spec wants. Instances of images called bad
// are never ready.
func (s stage) play(ctx context.Context) []v1alpha1.Release {
	s.t.Helper()
	releases := s.releases(ctx)
	for i := range releases {
		release := &releases[i]
		if release.Status.ObservedGeneration == release.Generation {
			continue
		}
		replicas := *release.Spec.Replicas
		release.Status = v1alpha1.ReleaseStatus{ObservedGeneration: release.Generation, Replicas: replicas}
		if !strings.Contains(imageOf(release), "bad") {
			release.Status.ReadyReplicas, release.Status.AvailableReplicas = replicas, replicas
		}
		// A conflict means that the controller wrote first; the next round retries.
		_, _ = s.FleetV1alpha1().Releases("default").UpdateStatus(ctx, release, metav1.UpdateOptions{})
	}
	return releases
}

func imageOf(release *v1alpha1.Release) string { return release.Spec.Template.Spec.Containers[0].Image }

// progress plays until the condition Progressing of the app has the reason for the observed generation.
func (s stage) progress(reason string, each func([]v1alpha1.Release)) *v1alpha1.App {
	s.t.Helper()
	var got *v1alpha1.App
	harness.ComesTrue(s.t, func(ctx context.Context) string {
		releases := s.play(ctx)
		if each != nil {
			each(releases)
		}
		got = s.app(ctx)
		condition := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.AppConditionProgressing)
		if condition == nil || condition.Reason != reason || got.Status.ObservedGeneration != got.Generation {
			return fmt.Sprintf("waiting for %s, the status is %+v", reason, got.Status)
		}
		return ""
	})
	return got
}

// newestIs fails the test unless the newest release has the image, the revision and the replicas.
func (s stage) newestIs(image, revision string, replicas int32) {
	s.t.Helper()
	releases := s.releases(s.t.Context())
	newest := &releases[len(releases)-1]
	if imageOf(newest) != image || newest.Annotations[v1alpha1.RevisionAnnotation] != revision || *newest.Spec.Replicas != replicas {
		s.t.Errorf("the newest release has %s, revision %s and %d replicas", imageOf(newest), newest.Annotations[v1alpha1.RevisionAnnotation], *newest.Spec.Replicas)
	}
	harness.ComesTrue(s.t, func(ctx context.Context) string {
		if got := s.app(ctx).Annotations[v1alpha1.RevisionAnnotation]; got != revision {
			return "the app says it has revision " + got
		}
		return ""
	})
}

func TestAnAppIsRolledOut(t *testing.T) {
	s := startAppController(t)
	labels := map[string]string{"app": "web"}
	if _, err := s.FleetV1alpha1().Apps("default").Create(t.Context(), &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Annotations: map[string]string{"kubernetes.io/change-cause": "first"}},
		Spec: v1alpha1.AppSpec{
			Replicas: ptr.To[int32](4), RevisionHistoryLimit: ptr.To[int32](1), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}

	// The first rollout.
	got := s.progress(app.NewReleaseAvailableReason, nil)
	s.newestIs("web:1", "1", 4)
	if got.Status.AvailableReplicas != 4 || !meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.AppConditionAvailable) {
		t.Errorf("the status is %+v", got.Status)
	}
	if cause := s.releases(t.Context())[0].Annotations["kubernetes.io/change-cause"]; cause != "first" {
		t.Errorf("the release has no change cause: %q", cause)
	}

	// A new image, one more and one fewer at a time.
	s.setImage("web:2")
	s.progress(app.NewReleaseAvailableReason, s.withinBounds)
	s.newestIs("web:2", "2", 4)

	// A paused app is not rolled out, but is scaled.
	s.patch(`{"spec":{"paused":true,"replicas":6}}`)
	s.setImage("web:3")
	s.progress(app.PausedReason, nil)
	harness.ComesTrue(t, func(ctx context.Context) string {
		if status := s.app(ctx).Status; status.Replicas != 6 {
			s.play(ctx)
			return fmt.Sprintf("the paused app has %d replicas", status.Replicas)
		}
		return ""
	})
	s.newestIs("web:2", "2", 6)
	s.patch(`{"spec":{"paused":false}}`)
	s.progress(app.NewReleaseAvailableReason, nil)
	s.newestIs("web:3", "3", 6)

	// The history limit keeps one old release.
	harness.ComesTrue(t, func(ctx context.Context) string {
		if releases := s.releases(ctx); len(releases) != 2 || imageOf(&releases[0]) != "web:2" {
			return fmt.Sprintf("there are %d releases", len(releases))
		}
		return ""
	})
	s.tells("scaled release web-")
	s.claims(s.releases(t.Context())[0].Name)
}

// claims removes the owner reference of a release, which the app controller adopts again, and then its
// labels, so that the controller releases it.
func (s stage) claims(name string) {
	s.t.Helper()
	for _, step := range []struct {
		patch string
		owned bool
	}{{`{"metadata":{"ownerReferences":null}}`, true}, {`{"metadata":{"labels":{"app":"other"}}}`, false}} {
		patched, err := s.FleetV1alpha1().Releases("default").Patch(s.t.Context(), name, types.MergePatchType, []byte(step.patch), metav1.PatchOptions{})
		if err != nil {
			s.t.Fatal(err)
		}
		harness.ComesTrue(s.t, func(ctx context.Context) string {
			got, err := s.FleetV1alpha1().Releases("default").Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if owner := metav1.GetControllerOf(got); got.ResourceVersion == patched.ResourceVersion || (owner != nil) != step.owned {
				return fmt.Sprintf("after %s the owner is %v", step.patch, owner)
			}
			return ""
		})
	}
}

// withinBounds fails the test when the replicas are outside the bounds of surge and unavailability.
func (s stage) withinBounds(releases []v1alpha1.Release) {
	s.t.Helper()
	var replicas int32
	for i := range releases {
		replicas += *releases[i].Spec.Replicas
	}
	if replicas < 3 || replicas > 5 {
		s.t.Errorf("%d replicas during the rollout", replicas)
	}
}

func (s stage) tells(what string) {
	s.t.Helper()
	harness.ComesTrue(s.t, func(ctx context.Context) string {
		list, err := s.core.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=web,reason=ScalingRelease"})
		if err != nil {
			return err.Error()
		}
		if !slices.ContainsFunc(list.Items, func(e corev1.Event) bool { return strings.Contains(e.Message, what) }) {
			return "no event tells that " + what
		}
		return ""
	})
}

func TestABadVersionIsStoppedByTheDeadlineAndTakenBack(t *testing.T) {
	s := startAppController(t, harness.SeedRevisions)
	// The releases of an earlier controller exist: the newest one is found, not created again.
	s.progress(app.NewReleaseAvailableReason, nil)
	if releases := s.releases(t.Context()); len(releases) != 3 {
		t.Fatalf("there are %d releases", len(releases))
	}
	s.newestIs("web:3", "3", 1)

	// The name of the next release is taken, and its image never becomes ready.
	next := s.app(t.Context())
	next.Spec.Template.Spec.Containers[0].Image = "web:bad"
	hash, err := helper.TemplateHash(&next.Spec.Template, nil)
	if err != nil {
		t.Fatal(err)
	}
	taken := s.releases(t.Context())[0]
	if _, err := s.FleetV1alpha1().Releases("default").Create(t.Context(), &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Name: helper.ReleaseName("web", hash)},
		Spec:       v1alpha1.ReleaseSpec{Replicas: ptr.To[int32](0), Selector: taken.Spec.Selector, Template: taken.Spec.Template},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.patch(`{"spec":{"progressDeadlineSeconds":2}}`)
	s.setImage("web:bad")
	got := s.progress(app.ProgressDeadlineExceededReason, nil)
	if count := ptr.Deref(got.Status.CollisionCount, 0); count != 1 {
		t.Errorf("%d collisions", count)
	}
	if got.Status.AvailableReplicas != 1 || !meta.IsStatusConditionTrue(got.Status.Conditions, v1alpha1.AppConditionAvailable) {
		t.Errorf("the old version does not go on: %+v", got.Status)
	}
	s.newestIs("web:bad", "4", 1)

	if _, err := s.FleetV1alpha1().Apps("default").Rollback(t.Context(), "web", &v1alpha1.AppRollback{}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.progress(app.NewReleaseAvailableReason, nil)
	s.newestIs("web:3", "5", 1)
	releases := s.releases(t.Context())
	if history := releases[len(releases)-1].Annotations[v1alpha1.RevisionHistoryAnnotation]; history != "3" {
		t.Errorf("the release was revision %q before", history)
	}
}

func TestAnAppIsRecreated(t *testing.T) {
	s := startAppController(t, harness.SeedRevisions)
	s.progress(app.NewReleaseAvailableReason, nil)
	old := s.releases(t.Context())[2]
	template := old.Spec.Template.DeepCopy()
	if _, err := s.FleetV1alpha1().Instances("default").Create(t.Context(), &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: "last", Labels: template.Labels, OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(&old, v1alpha1.SchemeGroupVersion.WithKind("Release")),
		}},
		Spec: template.Spec,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.patch(`{"spec":{"strategy":{"type":"Recreate","rollingUpdate":null}}}`)
	s.setImage("web:4")

	// The release counts its last instance until that is gone.
	harness.ComesTrue(t, func(ctx context.Context) string {
		s.play(ctx)
		got := s.app(ctx)
		if got.Status.ObservedGeneration != got.Generation || got.Status.Replicas != 0 {
			return fmt.Sprintf("the status is %+v", got.Status)
		}
		return ""
	})
	if releases := s.releases(t.Context()); len(releases) != 3 {
		t.Fatalf("there are %d releases while an old instance runs", len(releases))
	}
	if err := s.FleetV1alpha1().Instances("default").Delete(t.Context(), "last", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}); err != nil {
		t.Fatal(err)
	}
	// Until the new release exists, the condition is that of the former one, as in Kubernetes.
	harness.ComesTrue(t, func(ctx context.Context) string {
		if releases := s.play(ctx); len(releases) != 4 {
			return fmt.Sprintf("there are %d releases", len(releases))
		}
		return ""
	})
	s.progress(app.NewReleaseAvailableReason, nil)
	s.newestIs("web:4", "4", 1)
}
