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
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/health"
)

// sees sets the status of an app to the counts of its releases.
func sees(app *v1alpha1.App, replicas, updated, available int32) {
	app.Status.ObservedGeneration = app.Generation
	app.Status.Replicas, app.Status.UpdatedReplicas, app.Status.ReadyReplicas, app.Status.AvailableReplicas = replicas, updated, available, available
}

func unready(reason, message string) func(*v1alpha1.Release) {
	return func(r *v1alpha1.Release) {
		r.Status.Conditions = append(r.Status.Conditions, metav1.Condition{Type: v1alpha1.ReleaseConditionReady, Status: metav1.ConditionFalse, Reason: reason, Message: message})
	}
}

func isStalled(reason, message string) func(*v1alpha1.Release) {
	return func(r *v1alpha1.Release) {
		unready(reason, message)(r)
		r.Status.Conditions = append(r.Status.Conditions, metav1.Condition{Type: v1alpha1.ReleaseConditionStalled, Status: metav1.ConditionTrue, Reason: reason, Message: message})
	}
}

func TestWhereAnAppStands(t *testing.T) {
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	noDeadline := func(app *v1alpha1.App) { app.Spec.ProgressDeadlineSeconds = nil }
	for _, tc := range []struct {
		name                         string
		app                          *v1alpha1.App
		replicas, updated, available int32
		newest                       *v1alpha1.Release
		state                        health.State
		reason, says                 string
	}{
		{"all are available", makeApp(3), 3, 3, 3, makeRelease(9, 3), health.Ready, NewReleaseAvailableReason, "3 of 3 instances are available"},
		{"none are wanted", makeApp(0), 0, 0, 0, makeRelease(9, 0), health.Ready, NewReleaseAvailableReason, "0 of 0 instances are available"},
		{"a rollout is on its way", makeApp(3), 3, 1, 3, makeRelease(9, 1), health.Reconciling, OldInstancesReason, "1 of 3 instances are of the newest version, and 2 older ones are left"},
		{"instances start", makeApp(3), 3, 3, 1, makeRelease(9, 3), health.Reconciling, UnavailableReason, "1 of 3 instances are available"},
		{"an image cannot be fetched", makeApp(3), 3, 3, 0, makeRelease(9, 3, unready("ImagePullBackOff", "0 of 3; no such image")), health.Reconciling, "ImagePullBackOff", "0 of 3; no such image"},
		{"the deadline has passed", makeApp(3, says(no, ProgressDeadlineExceededReason, noon)), 3, 3, 0, makeRelease(9, 3, unready("ImagePullBackOff", "no such image")), health.Stalled, ProgressDeadlineExceededReason, ""},
		{"a deadline that was taken away has not passed", makeApp(3, says(no, ProgressDeadlineExceededReason, noon), noDeadline), 3, 3, 0, makeRelease(9, 3), health.Reconciling, UnavailableReason, "0 of 3 instances are available"},
		{"instances are refused", makeApp(3), 0, 0, 0, makeRelease(9, 3, isStalled("FailedCreate", "exceeded quota")), health.Stalled, "FailedCreate", "exceeded quota"},
		{"releases were refused a moment ago", makeApp(3, says(no, ReleaseCreateErrorReason, noon.Add(-9*time.Second))), 0, 0, 0, nil, health.Reconciling, ReleaseCreateErrorReason, ""},
		{"releases are refused", makeApp(3, says(no, ReleaseCreateErrorReason, noon.Add(-10*time.Second))), 0, 0, 0, nil, health.Stalled, ReleaseCreateErrorReason, ""},
		{"releases of an app with zero replicas are refused", makeApp(0, says(no, ReleaseCreateErrorReason, noon.Add(-time.Minute))), 0, 0, 0, nil, health.Stalled, ReleaseCreateErrorReason, ""},
		{"paused on the way", makeApp(3, isPaused, says(unknown, PausedReason, noon)), 3, 1, 3, makeRelease(9, 1), health.Suspended, PausedReason, "the rollout is paused; 1 of 3 instances are of the newest version, and 2 older ones are left"},
		{"paused at rest", makeApp(3, isPaused, says(yes, NewReleaseAvailableReason, noon)), 3, 3, 3, makeRelease(9, 3), health.Ready, NewReleaseAvailableReason, "3 of 3 instances are available"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sees(tc.app, tc.replicas, tc.updated, tc.available)
			got := Health(tc.app, &tc.app.Status, tc.newest, noon)
			if got.State != tc.state || got.Reason != tc.reason || got.Message != tc.says {
				t.Errorf("got %+v", got)
			}
			withHealth(tc.app, &tc.app.Status, tc.newest, nil, noon)
			for kind, want := range map[string]bool{"Ready": tc.state == health.Ready, "Reconciling": tc.state == health.Reconciling, "Stalled": tc.state == health.Stalled} {
				if c := meta.FindStatusCondition(tc.app.Status.Conditions, kind); c == nil || (c.Status == yes) != want || c.ObservedGeneration != tc.app.Generation {
					t.Errorf("%s is %v", kind, c)
				}
			}
			withHealth(tc.app, &tc.app.Status, tc.newest, &trouble{ChangedReason, "a policy stamps it", time.Minute}, noon)
			if reported := health.MessageOf(tc.app.Status.Conditions, v1alpha1.AppConditionStalled, ChangedReason); reported != "a policy stamps it" {
				t.Errorf("a trouble is reported as %q", reported)
			}
		})
	}
	late := makeApp(3, says(no, ProgressDeadlineExceededReason, noon))
	withHealth(late, &late.Status, makeRelease(9, 3, unready("ImagePullBackOff", "no such image")), nil, noon)
	if ready := meta.FindStatusCondition(late.Status.Conditions, v1alpha1.AppConditionReady); ready.Reason != "ImagePullBackOff" {
		t.Errorf("at the end the app is not ready because of %s", ready.Reason)
	}
}

func TestOnlyWhatIsNewIsProgress(t *testing.T) {
	app := makeApp(3, says(metav1.ConditionTrue, ReleaseUpdatedReason, noon))
	sees(app, 3, 3, 0)
	var mark *Mark
	// Two instances become ready and end repeatedly; only the first time is progress.
	for minute, available := range []int32{1, 0, 2, 0, 2, 1, 2, 0} {
		now := noon.Add(time.Duration(minute) * 20 * time.Second)
		release := makeRelease(9, 3, func(r *v1alpha1.Release) { r.Status.ReadyReplicas, r.Status.AvailableReplicas = available, available })
		plan, err := Decide(View{App: app, Releases: []*v1alpha1.Release{release}, Now: now, Mark: mark})
		if err != nil {
			t.Fatal(err)
		}
		app.Status, mark = plan.Status, &plan.Mark
		if app.Annotations == nil {
			app.Annotations = map[string]string{v1alpha1.RevisionAnnotation: plan.Revision}
		}
		if want := noon.Add(40 * time.Second); minute >= 2 && !app.Status.LastProgressTime.Time.Equal(want) {
			t.Fatalf("step %d: the last progress was at %s, want %s", minute, app.Status.LastProgressTime, want)
		}
	}
	if reason := progressReason(&app.Status); reason != ProgressDeadlineExceededReason {
		t.Errorf("long after, the reason is %s", reason)
	}
	app.Generation++
	var m marks
	m.of = map[types.UID]Mark{app.UID: *mark}
	if m.get(app) != nil {
		t.Error("the mark of another spec is used")
	}
}

func TestAnAppThatIsScaledUpFromNothingIsWaitedFor(t *testing.T) {
	was := func(replicas int32) func(*v1alpha1.App) {
		return func(app *v1alpha1.App) {
			sees(app, replicas, replicas, replicas)
			app.Generation++
			app.Annotations = map[string]string{v1alpha1.RevisionAnnotation: "9"}
			says(metav1.ConditionTrue, NewReleaseAvailableReason, noon.Add(-time.Hour))(app)
		}
	}
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		replicas int32
		want     string
	}{
		{"from nothing", makeApp(1, was(0)), 0, ReleaseUpdatedReason},
		{"from nothing, after a status that could not be written", makeApp(1, was(0)), 1, ReleaseUpdatedReason},
		{"to nothing", makeApp(0, was(0)), 0, NewReleaseAvailableReason},
		{"from one that was available", makeApp(2, was(1)), 1, NewReleaseAvailableReason},
		{"one that has seen that already", makeApp(1, was(0), func(a *v1alpha1.App) { a.Status.ObservedGeneration = a.Generation }), 0, NewReleaseAvailableReason},
		{"a paused one", makeApp(1, was(0), isPaused), 0, PausedReason},
		{"without a deadline", makeApp(1, was(0), func(a *v1alpha1.App) { a.Spec.ProgressDeadlineSeconds = nil }), 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			release := makeRelease(9, tc.replicas, available(0))
			SetReplicasAnnotations(release, wanted(tc.app), wanted(tc.app)+MaxSurge(tc.app))
			plan, err := Decide(View{App: tc.app, Releases: []*v1alpha1.Release{release}, Now: noon})
			if err != nil {
				t.Fatal(err)
			}
			if got := progressReason(&plan.Status); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if tc.want == ReleaseUpdatedReason {
				if _, waits := CheckAfter(tc.app, &plan.Status, noon); !waits {
					t.Error("it is not requeued")
				}
			}
		})
	}
}

func TestWhatCameBackChangedIsNamed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*v1alpha1.Release)
		want   string
	}{
		{"nothing", func(*v1alpha1.Release) {}, ""},
		{"what the app does not go by", func(r *v1alpha1.Release) { r.Labels["team"] = "x"; r.Spec.Replicas = ptr.To[int32](1) }, ""},
		{"the owner is gone: it is adopted", func(r *v1alpha1.Release) { r.OwnerReferences = nil }, ""},
		{"the name", func(r *v1alpha1.Release) { r.Name = "other" }, `metadata.name is "other", not "web-`},
		{"the labels", func(r *v1alpha1.Release) { r.Labels = map[string]string{"app": "stamped"} }, `metadata.labels are "app=stamped", which the selector "app=web" of the app does not match`},
		{"another owner", func(r *v1alpha1.Release) { r.OwnerReferences[0].UID, r.OwnerReferences[0].Name = "other", "other" }, `metadata.ownerReferences name "other" as the controller`},
		{"an annotation of the template", func(r *v1alpha1.Release) { r.Spec.Template.Annotations = map[string]string{"stamped": "yes"} }, `spec.template.metadata.annotations is {"stamped":"yes"}, not absent`},
		{"an image", func(r *v1alpha1.Release) { r.Spec.Template.Spec.Containers[0].Image = "mirror/web:9" }, `spec.template.spec.containers[0].image is "mirror/web:9", not "web:9"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := makeApp(3)
			asked, err := NewRelease(app, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := asked.DeepCopy()
			tc.change(got)
			if said := CreatedDiffers(app, asked, got); !strings.HasPrefix(said, tc.want) || (tc.want == "") != (said == "") {
				t.Errorf("got %q, want %q", said, tc.want)
			}
			if FindNewRelease(app, []*v1alpha1.Release{got}) == nil && CreatedDiffers(app, asked, got) == "" {
				t.Error("the app does not find its release again, and this is not reported")
			}
		})
	}
}
