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
	"fmt"
	"strings"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// summary formats a plan in one line.
func summary(plan Plan) string {
	var steps []string
	if plan.Create != nil {
		steps = append(steps, fmt.Sprintf("create:%d", size(plan.Create)))
	}
	for _, update := range plan.Update {
		steps = append(steps, fmt.Sprintf("%s:%d>%d", update.Release.Name, update.From, size(update.Release)))
	}
	for _, release := range plan.Delete {
		steps = append(steps, "delete:"+release.Name)
	}
	return strings.Join(append(steps, progressReason(&plan.Status)), " ")
}

func TestPlans(t *testing.T) {
	numbered := func(app *v1alpha1.App) { app.Annotations = map[string]string{v1alpha1.RevisionAnnotation: "9"} }
	seen := func(app *v1alpha1.App) {
		app.Status.Replicas, app.Status.ReadyReplicas, app.Status.AvailableReplicas = 3, 3, 3
	}
	complete := func(app *v1alpha1.App) {
		numbered(app)
		app.Spec.RevisionHistoryLimit = ptr.To[int32](1)
		app.Status = v1alpha1.AppStatus{ObservedGeneration: 1, Replicas: 3, UpdatedReplicas: 3, ReadyReplicas: 3, AvailableReplicas: 3}
		says(metav1.ConditionTrue, NewReleaseAvailableReason, noon)(app)
	}
	goes := func(app *v1alpha1.App) {
		app.DeletionTimestamp = &metav1.Time{Time: noon}
	}
	running := map[types.UID][]*v1alpha1.Instance{"web-1": {{Status: v1alpha1.InstanceStatus{Phase: v1alpha1.InstanceRunning}}}}
	for _, tc := range []struct {
		name      string
		app       *v1alpha1.App
		releases  []*v1alpha1.Release
		instances map[types.UID][]*v1alpha1.Instance
		want      string
		revision  string
	}{
		{"the first release", makeApp(3), nil, nil, "create:3 NewReleaseCreated", "1"},
		{"a new version begins, and old instances are removed", makeApp(3, seen, numbered), []*v1alpha1.Release{makeRelease(1, 3)}, nil, "create:1 web-1:3>2 NewReleaseCreated", "2"},
		{"up before down", makeApp(3, numbered), []*v1alpha1.Release{makeRelease(9, 1), makeRelease(1, 2)}, nil, "web-9:1>2 ReleaseUpdated", "9"},
		{"down if the surge is used up", makeApp(3, numbered), []*v1alpha1.Release{makeRelease(9, 2), makeRelease(1, 2)}, nil, "web-1:2>0 ReleaseUpdated", "9"},
		{"a rollback is numbered in the step that it begins with", makeApp(3, seen, says(metav1.ConditionTrue, NewReleaseAvailableReason, noon)), []*v1alpha1.Release{makeRelease(9, 0), makeRelease(10, 3)}, nil, "web-9:0>1 FoundNewRelease", "11"},
		{"minReadySeconds are passed on", makeApp(3, complete, func(a *v1alpha1.App) { a.Spec.MinReadySeconds = 7 }), []*v1alpha1.Release{makeRelease(9, 3)}, nil, "web-9:3>3 NewReleaseAvailable", "9"},
		{"old releases go when it is complete", makeApp(3, complete), []*v1alpha1.Release{makeRelease(9, 3), makeRelease(2, 0), makeRelease(1, 0)}, nil, "delete:web-1 NewReleaseAvailable", "9"},
		{"and not before", makeApp(3, complete, func(a *v1alpha1.App) { a.Generation = 2 }), []*v1alpha1.Release{makeRelease(9, 3), makeRelease(2, 0), makeRelease(1, 0)}, nil, "NewReleaseAvailable", "9"},
		{"a paused app makes no release", makeApp(3, isPaused), []*v1alpha1.Release{makeRelease(1, 3)}, nil, "AppPaused", ""},
		{"a paused app changes its size", makeApp(5, isPaused), []*v1alpha1.Release{makeRelease(1, 3, remembers(3, 4))}, nil, "web-1:3>5 AppPaused", ""},
		{"a change of size comes before a new version", makeApp(5), []*v1alpha1.Release{makeRelease(1, 3, remembers(3, 4))}, nil, "web-1:3>5 ", ""},
		{"a recreation ends the old ones", makeApp(3, seen, isRecreated), []*v1alpha1.Release{makeRelease(1, 3)}, nil, "web-1:3>0 ", ""},
		{"waits for them", makeApp(3, isRecreated), []*v1alpha1.Release{makeRelease(1, 0)}, running, "", ""},
		{"and then begins", makeApp(3, isRecreated), []*v1alpha1.Release{makeRelease(1, 0)}, nil, "create:3 NewReleaseCreated", "2"},
		{"an app that is being deleted does nothing", makeApp(3, goes), []*v1alpha1.Release{makeRelease(1, 2)}, nil, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			view := View{App: tc.app, Releases: tc.releases, Now: noon.Add(time.Second), InstancesOf: func(uid types.UID) []*v1alpha1.Instance { return tc.instances[uid] }}
			before, releases := tc.app.DeepCopy(), []*v1alpha1.Release{}
			for _, release := range tc.releases {
				SetReplicasAnnotations(release, wanted(tc.app), wanted(tc.app)+MaxSurge(tc.app))
			}
			for i, release := range tc.releases {
				if strings.Contains(tc.name, "size") {
					SetReplicasAnnotations(tc.releases[i], 3, 4)
				}
				releases = append(releases, release.DeepCopy())
			}
			plan, err := Decide(view)
			if err != nil {
				t.Fatal(err)
			}
			if got := summary(plan); got != tc.want || plan.Revision != tc.revision {
				t.Errorf("got %q and revision %q, want %q and %q", got, plan.Revision, tc.want, tc.revision)
			}
			if !apiequality.Semantic.DeepEqual(before, tc.app) || !apiequality.Semantic.DeepEqual(releases, tc.releases) {
				t.Error("the informer's object was changed")
			}
			again, err := Decide(view)
			if err != nil || !apiequality.Semantic.DeepEqual(plan, again) {
				t.Errorf("another time it is %q (%v)", summary(again), err)
			}
		})
	}
}

func TestWhatIsTrueAfterAFailure(t *testing.T) {
	app := makeApp(3, says(metav1.ConditionTrue, NewReleaseAvailableReason, noon))
	plan, err := Decide(View{App: app, Releases: []*v1alpha1.Release{makeRelease(1, 3)}, Now: noon.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if reason := progressReason(&plan.Begun); reason != NewReleaseAvailableReason {
		t.Errorf("before the release is created the reason is %s", reason)
	}
	if reason := progressReason(&plan.Created); reason != NewReleaseCreatedReason || plan.Created.ObservedGeneration != 0 {
		t.Errorf("once only the release is created, the reason is %s of generation %d", reason, plan.Created.ObservedGeneration)
	}
	app.Spec.Strategy.Type = "Sideways"
	if _, err := Decide(View{App: app, Now: noon}); err == nil || !strings.Contains(err.Error(), "spec.strategy.type") {
		t.Errorf("a strategy that is none: %v", err)
	}
}
