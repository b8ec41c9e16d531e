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

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

type releases = []*v1alpha1.Release

// settled returns an app with an up-to-date status, without a Progressing condition.
func settled(app *v1alpha1.App, all releases) *v1alpha1.App {
	status := &app.Status
	status.ObservedGeneration = app.Generation
	for _, release := range all {
		status.Replicas += release.Status.Replicas
		status.ReadyReplicas += release.Status.ReadyReplicas
		status.AvailableReplicas += release.Status.AvailableReplicas
		if release.Name == "web-v9" {
			status.UpdatedReplicas += release.Status.Replicas
		}
	}
	return app
}

// checked lets both controllers decide, and compares the sizes with the expected ones.
func checked(t *testing.T, s state, want string) outcome {
	t.Helper()
	got, difference := compare(t, s)
	if difference != "" {
		t.Error(difference)
	}
	if got.sizes() != want {
		t.Errorf("sizes %s, want %s", got.sizes(), want)
	}
	return got
}

func TestScaledApps(t *testing.T) {
	for _, tc := range []struct {
		name             string
		wanted           int32
		strategy, before appOption
		was              int32
		releases         releases
		want             string
	}{
		{"10 to 12", 12, nil, nil, 10, releases{newRelease(9, 10)}, "v9:12"},
		{"10 to 5", 5, nil, nil, 10, releases{newRelease(9, 10)}, "v9:5"},
		{"5 to 10, shared", 10, nil, nil, 5, releases{newRelease(9, 2), newRelease(1, 3)}, "v1:6 v9:4"},
		{"5 to 3, shared", 3, nil, nil, 5, releases{newRelease(9, 2), newRelease(1, 3)}, "v1:2 v9:1"},
		{"9 to 4, of which one gets nothing", 4, nil, nil, 9, releases{newRelease(9, 8), newRelease(1, 1)}, "v1:0 v9:4"},
		{"7 to 10, among three", 10, nil, nil, 7, releases{newRelease(9, 2), newRelease(2, 3), newRelease(1, 2)}, "v1:3 v2:4 v9:3"},
		{"13 to 8, among three", 8, nil, nil, 13, releases{newRelease(9, 2), newRelease(2, 8), newRelease(1, 3)}, "v1:2 v2:5 v9:1"},
		{"3 to 4: the newest grows", 4, nil, nil, 3, releases{newRelease(9, 1), newRelease(2, 1), newRelease(1, 1)}, "v1:1 v2:1 v9:2"},
		{"3 to 2: the oldest shrinks", 2, nil, nil, 3, releases{newRelease(9, 1), newRelease(2, 1), newRelease(1, 1)}, "v1:0 v2:1 v9:1"},
		{"4 to 5, without a newest", 5, nil, nil, 4, releases{newRelease(2, 2), newRelease(1, 2)}, "v1:2 v2:3"},
		{"6 to 0", 0, nil, nil, 6, releases{newRelease(9, 3), newRelease(2, 2), newRelease(1, 1)}, "v1:0 v2:0 v9:0"},
		{"to 20, with a surge", 20, rolling("2", "0"), rolling("2", "0"), 10, releases{newRelease(9, 6), newRelease(1, 6)}, "v1:11 v9:11"},
		{"to 50, with another surge", 50, rolling("6", "0"), rolling("3", "0"), 10, releases{newRelease(9, 5), newRelease(1, 8)}, "v1:34 v9:22"},
		{"10 to 14, with another template", 14, nil, nil, 10, releases{newRelease(2, 7), newRelease(1, 3)}, "v1:4 v2:10"},
		{"recreated, alone", 6, recreate, recreate, 3, releases{newRelease(9, 3), newRelease(1, 0)}, "v1:0 v9:6"},
		{"to 200, among four", 200, rolling("25%", "25%"), rolling("25%", "25%"), 100, releases{newRelease(9, 50), newRelease(3, 30), newRelease(2, 25), newRelease(1, 20)}, "v1:40 v2:50 v3:60 v9:100"},
	} {
		for _, isPaused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, paused %t", tc.name, isPaused), func(t *testing.T) {
				before, app := newApp(tc.was), newApp(tc.wanted)
				if tc.strategy != nil {
					tc.before(before)
					tc.strategy(app)
				}
				if isPaused {
					paused(app)
				}
				for _, release := range tc.releases {
					release.Annotations = map[string]string{v1alpha1.RevisionAnnotation: strings.TrimPrefix(release.Name, "web-v")}
					scaledTo(tc.was, tc.was+surgeOf(before))(release)
				}
				got := checked(t, state{app: settled(app, tc.releases), releases: tc.releases}, tc.want)
				if got.Created != "" {
					t.Errorf("created %s", got.Created)
				}
			})
		}
	}
}

func surgeOf(app *v1alpha1.App) int32 {
	surge := app.Spec.Strategy.RollingUpdate
	switch {
	case surge == nil:
		return 0
	case surge.MaxSurge.String() == "25%":
		return (*app.Spec.Replicas + 3) / 4
	}
	return surge.MaxSurge.IntVal
}

func TestStepsOfARollingUpdate(t *testing.T) {
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		releases releases
		want     string
		created  string
	}{
		{"a first release gets all", newApp(3), nil, "", "3"},
		{"a new one gets the surge, and old instances are removed at once if some may be unavailable", newApp(10, rolling("2", "2")), releases{newRelease(1, 10)}, "v1:8", "2"},
		{"without surge it begins empty", newApp(10, rolling("0", "2")), releases{newRelease(1, 10)}, "v1:8", "0"},
		{"with the surge used up it waits", newApp(10, rolling("0", "1")), releases{newRelease(9, 0), newRelease(1, 10, has(10, 9))}, "v1:9 v9:0", ""},
		{"up by the surge", newApp(10, rolling("2", "0")), releases{newRelease(9, 0), newRelease(1, 10)}, "v1:10 v9:2", ""},
		{"up by the surge and what is missing", newApp(10, rolling("2", "0")), releases{newRelease(9, 0), newRelease(1, 5)}, "v1:5 v9:7", ""},
		{"not up, because none may be missing", newApp(10, rolling("2", "0")), releases{newRelease(9, 2, has(2, 0)), newRelease(1, 10)}, "v1:10 v9:2", ""},
		{"down, because it shrank", newApp(10, rolling("2", "0")), releases{newRelease(9, 11), newRelease(1, 2)}, "v1:2 v9:10", ""},
		{"old ones down by what may be missing", newApp(10, rolling("0", "2")), releases{newRelease(9, 0), newRelease(1, 10)}, "v1:8 v9:0", ""},
		{"unhealthy old ones first", newApp(10, rolling("0", "2")), releases{newRelease(9, 0), newRelease(1, 10, has(10, 8))}, "v1:8 v9:0", ""},
		{"an unhealthy and a healthy one", newApp(10, rolling("0", "2")), releases{newRelease(9, 0), newRelease(1, 10, has(10, 9))}, "v1:8 v9:0", ""},
		{"not while the newest is not available", newApp(10, rolling("0", "2")), releases{newRelease(9, 2, has(2, 0)), newRelease(1, 8)}, "v1:8 v9:2", ""},
		{"as many as became available", newApp(10, rolling("3", "0")), releases{newRelease(9, 3, has(3, 2)), newRelease(1, 10)}, "v1:8 v9:3", ""},
		{"unhealthy ones of the oldest first, and no more than may be unavailable", newApp(10, rolling("0", "2")), releases{newRelease(9, 2), newRelease(2, 4, has(4, 1)), newRelease(1, 4, has(4, 2))}, "v1:2 v2:4 v9:2", ""},
		{"a rollover ends the version between first only where it is unhealthy", newApp(10, rolling("3", "2")), releases{newRelease(9, 0), newRelease(2, 5, has(5, 0)), newRelease(1, 8)}, "v1:8 v2:0 v9:0", ""},
		{"a rollback takes the bad version down", newApp(10, rolling("3", "2")), releases{newRelease(2, 5, has(5, 0)), newRelease(9, 8, has(8, 7))}, "v2:1 v9:8", ""},
		{"the last step", newApp(4, rolling("1", "0")), releases{newRelease(9, 4), newRelease(1, 1)}, "v1:0 v9:4", ""},
		{"nothing to do", newApp(4, rolling("1", "0")), releases{newRelease(9, 4), newRelease(1, 0)}, "v1:0 v9:4", ""},
		{"an app of none", newApp(0, rolling("25%", "25%")), releases{newRelease(1, 2)}, "v1:0", "0"},
		{"half of few", newApp(3, rolling("50%", "50%")), releases{newRelease(9, 0), newRelease(1, 3)}, "v1:3 v9:2", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			number(tc.app, tc.releases)
			got := checked(t, state{app: settled(tc.app, tc.releases), releases: tc.releases}, tc.want)
			if size, _, _ := strings.Cut(got.Created, " "); size != tc.created {
				t.Errorf("created %q, want %q", size, tc.created)
			}
		})
	}
}

// number gives releases the annotations that they have in the midst of a rollout.
func number(app *v1alpha1.App, all releases) {
	for _, release := range all {
		revision(strings.TrimPrefix(release.Name, "web-v"))(release)
		scaledTo(*app.Spec.Replicas, *app.Spec.Replicas+surgeOf(app))(release)
	}
}

func TestStepsOfARecreation(t *testing.T) {
	instance := func(release string, phase v1alpha1.InstancePhase) *v1alpha1.Instance {
		owner := newRelease(1, 0)
		owner.Name, owner.UID = release, "web-v1"
		if release == "web-v9" {
			owner.UID = "web-v9"
		}
		return &v1alpha1.Instance{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: strings.ToLower(fmt.Sprintf("%s-%s", release, phase)), OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(owner, v1alpha1.SchemeGroupVersion.WithKind("Release")),
			}},
			Status: v1alpha1.InstanceStatus{Phase: phase},
		}
	}
	for _, tc := range []struct {
		name      string
		releases  releases
		instances []*v1alpha1.Instance
		want      string
		created   string
	}{
		{"a first release gets all", nil, nil, "", "3"},
		{"all old ones end", releases{newRelease(1, 3), newRelease(2, 1), newRelease(3, 0)}, nil, "v1:0 v2:0 v3:0", ""},
		{"it waits for what a release still counts", releases{newRelease(1, 0, has(1, 0))}, nil, "v1:0", ""},
		{"it continues when they are gone", releases{newRelease(1, 0)}, nil, "v1:0", "3"},
		{"it continues when they have ended", releases{newRelease(1, 0)}, []*v1alpha1.Instance{instance("web-v1", v1alpha1.InstanceFailed), instance("web-v1", v1alpha1.InstanceSucceeded)}, "v1:0", "3"},
		{"it waits for one of which nothing is known", releases{newRelease(1, 0)}, []*v1alpha1.Instance{instance("web-v1", v1alpha1.InstanceUnknown)}, "v1:0", ""},
		{"it waits for one that has not begun", releases{newRelease(1, 0)}, []*v1alpha1.Instance{instance("web-v1", v1alpha1.InstancePending)}, "v1:0", ""},
		{"it waits for one that runs", releases{newRelease(1, 0)}, []*v1alpha1.Instance{instance("web-v1", v1alpha1.InstanceRunning)}, "v1:0", ""},
		{"it waits for the one among those that have ended", releases{newRelease(1, 0)}, []*v1alpha1.Instance{instance("web-v1", v1alpha1.InstanceFailed), instance("web-v1", v1alpha1.InstancePending)}, "v1:0", ""},
		{"the newest is there and gets all", releases{newRelease(1, 0), newRelease(9, 0)}, nil, "v1:0 v9:3", ""},
		{"it does not wait for its own", releases{newRelease(1, 0), newRelease(9, 1)}, []*v1alpha1.Instance{instance("web-v9", v1alpha1.InstanceRunning)}, "v1:0 v9:3", ""},
		{"nothing to do", releases{newRelease(1, 0), newRelease(9, 3)}, nil, "v1:0 v9:3", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApp(3, recreate)
			number(app, tc.releases)
			got := checked(t, state{app: settled(app, tc.releases), releases: tc.releases, instances: tc.instances}, tc.want)
			if size, _, _ := strings.Cut(got.Created, " "); size != tc.created {
				t.Errorf("created %q, want %q", size, tc.created)
			}
		})
	}
}

func TestReleasesThatAreCleanedUp(t *testing.T) {
	unseen := func(release *v1alpha1.Release) { release.Generation = 2 }
	for _, tc := range []struct {
		name    string
		limit   int32
		old     releases
		deleted string
	}{
		{"more than the limit", 1, releases{newRelease(1, 0, revision("1")), newRelease(2, 0, revision("2")), newRelease(3, 0, revision("3"))}, "web-v1 web-v2"},
		{"all", 0, releases{newRelease(1, 0, revision("1")), newRelease(2, 0, revision("2"))}, "web-v1 web-v2"},
		{"not one that counts instances", 0, releases{newRelease(1, 0, revision("1")), newRelease(2, 0, revision("2"), has(1, 0))}, "web-v1"},
		{"not one that is being deleted", 0, releases{newRelease(1, 0, revision("1"), doomed)}, ""},
		{"one that is being deleted does not count", 1, releases{newRelease(1, 0, revision("1"), doomed), newRelease(2, 0, revision("2"))}, ""},
		{"not one with an unobserved change", 0, releases{newRelease(1, 0, revision("1"), unseen), newRelease(2, 0, revision("2"))}, "web-v2"},
		{"no limit", 2147483647, releases{newRelease(1, 0, revision("1")), newRelease(2, 0, revision("2"))}, ""},
		{"by number, not by age", 1, releases{newRelease(1, 0, revision("2")), newRelease(2, 0, revision("1"))}, "web-v2"},
		{"one without a number first", 1, releases{newRelease(1, 0, revision("1")), newRelease(2, 0)}, "web-v2"},
		{"the older one without a number", 1, releases{newRelease(1, 0), newRelease(2, 0, revision("2"))}, "web-v1"},
		{"two of four, by number", 2, releases{newRelease(1, 0, revision("3")), newRelease(2, 0, revision("1")), newRelease(3, 0, revision("4")), newRelease(4, 0, revision("2"))}, "web-v2 web-v4"},
		{"what is kept is not taken for what cannot go", 1, releases{newRelease(1, 0, revision("1"), has(1, 0)), newRelease(2, 0, revision("2")), newRelease(3, 0, revision("3"))}, "web-v2"},
	} {
		for _, isPaused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, paused %t", tc.name, isPaused), func(t *testing.T) {
				app := newApp(2, historyLimit(tc.limit))
				if isPaused {
					paused(app)
				}
				all := append(releases{newRelease(9, 2, revision("9"), scaledTo(2, 2))}, tc.old...)
				settled(app, all)
				// The clean-up begins when the app's status is complete.
				app.Status.Replicas = 2
				got, difference := compare(t, state{app: app, releases: all})
				if difference != "" {
					t.Error(difference)
				}
				if deleted := strings.Join(got.Deleted, " "); deleted != tc.deleted {
					t.Errorf("deleted %s, want %s", deleted, tc.deleted)
				}
			})
		}
	}
}

func TestWhatIsSaidOfARollout(t *testing.T) {
	long, before := time.Now().Add(-time.Hour), time.Now().Add(-10*time.Second)
	const yes, no, unknown = metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown
	failing := func(release *v1alpha1.Release) {
		release.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ReleaseConditionReplicaFailure, Status: yes, Reason: "FailedCreate", LastTransitionTime: metav1.NewTime(before)}}
	}
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		releases releases
		want     string
	}{
		{"nothing, without a deadline", newApp(3, counts(2, 2, 2, 2), deadline(nil), progressing(yes, "ReleaseUpdated", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 1))}, "Available=True MinimumReplicasAvailable true"},
		{"nothing new, when it is complete", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3)}, "Progressing=True NewReleaseAvailable false false"},
		{"nothing new, when one of a complete one fails", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3, has(3, 1))}, "Progressing=True NewReleaseAvailable false false"},
		{"nothing new, when it comes back", newApp(3, counts(3, 3, 2, 2), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3)}, "Progressing=True NewReleaseAvailable false false"},
		{"that it continues", newApp(3, counts(3, 1, 2, 2), progressing(yes, "ReleaseUpdated", before)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=True ReleaseUpdated false true"},
		{"that it continues after all", newApp(3, counts(3, 1, 2, 2), progressing(no, "ProgressDeadlineExceeded", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=True ReleaseUpdated true true"},
		{"that it has begun", newApp(3, counts(3, 0, 3, 3), progressing(yes, "NewReleaseCreated", before)), releases{newRelease(9, 1, has(1, 0)), newRelease(1, 2)}, "Progressing=True ReleaseUpdated false true"},
		{"that it is complete", newApp(3, counts(3, 3, 3, 3), progressing(yes, "ReleaseUpdated", before)), releases{newRelease(9, 3)}, "Progressing=True NewReleaseAvailable false true"},
		{"that it is complete after all", newApp(3, counts(3, 3, 3, 3), progressing(no, "ProgressDeadlineExceeded", long)), releases{newRelease(9, 3)}, "Progressing=True NewReleaseAvailable true true"},
		{"that it was found complete", newApp(3, counts(3, 3, 3, 3)), releases{newRelease(9, 3)}, "Progressing=True NewReleaseAvailable true true"},
		{"that time is up", newApp(3, counts(3, 2, 2, 2), progressing(yes, "ReleaseUpdated", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=False ProgressDeadlineExceeded true"},
		{"that time is up since it began", newApp(3, counts(3, 1, 2, 2), progressing(yes, "NewReleaseCreated", long)), releases{newRelease(9, 1, has(1, 0)), newRelease(1, 2)}, "Progressing=False ProgressDeadlineExceeded true"},
		{"still that time is up", newApp(3, counts(3, 2, 2, 2), progressing(no, "ProgressDeadlineExceeded", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=False ProgressDeadlineExceeded false"},
		{"nothing yet", newApp(3, counts(3, 2, 2, 2), progressing(yes, "ReleaseUpdated", before)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=True ReleaseUpdated false false"},
		{"that it is paused", newApp(3, counts(3, 2, 2, 2), paused, progressing(yes, "ReleaseUpdated", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=Unknown AppPaused true true"},
		{"still that it is paused", newApp(3, counts(3, 2, 2, 2), paused, progressing(unknown, "AppPaused", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=Unknown AppPaused false false"},
		{"that it is paused before it began", newApp(3, paused), nil, "Progressing=Unknown AppPaused true true"},
		{"not that it is paused when time is up", newApp(3, counts(3, 2, 2, 2), paused, progressing(no, "ProgressDeadlineExceeded", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=False ProgressDeadlineExceeded false"},
		{"not that it is paused without a deadline", newApp(3, counts(3, 3, 3, 3), paused, deadline(nil)), releases{newRelease(9, 3)}, "Available=True MinimumReplicasAvailable true"},
		{"that it is resumed", newApp(3, counts(3, 2, 2, 2), progressing(unknown, "AppPaused", long)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=Unknown AppResumed false true"},
		{"that a release was found", newApp(3, counts(3, 2, 2, 2)), releases{newRelease(9, 3, has(2, 2)), newRelease(1, 0, has(1, 0))}, "Progressing=True FoundNewRelease true true"},
		{"that a release was created", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(1, 3)}, "Progressing=True NewReleaseCreated false true"},
		{"that too few are available", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3, has(3, 1))}, "Available=False MinimumReplicasUnavailable true"},
		{"that enough are", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3, has(3, 2))}, "Available=True MinimumReplicasAvailable true"},
		{"that instances fail", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3, failing)}, "ReplicaFailure=True FailedCreate false"},
		{"that old instances fail", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 3), newRelease(1, 0, failing)}, "ReplicaFailure=True FailedCreate false"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			number(tc.app, tc.releases)
			for _, release := range tc.releases {
				if release.Name == "web-v9" {
					tc.app.Annotations[v1alpha1.RevisionAnnotation] = "9"
				}
			}
			got, difference := compare(t, state{app: tc.app, releases: tc.releases})
			if difference != "" {
				t.Error(difference)
			}
			if said := strings.Join(got.Conditions, "; "); !strings.Contains("; "+said+"; ", "; "+tc.want+"; ") {
				t.Errorf("said %s, want %s", said, tc.want)
			}
		})
	}
}
