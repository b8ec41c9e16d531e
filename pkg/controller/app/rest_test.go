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
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	worlds    = 200
	mostSteps = 400
)

// world is an app with its releases and random changes of their instances.
type world struct {
	*rand.Rand
	app      *v1alpha1.App
	releases []*v1alpha1.Release
	now      time.Time
	made     int
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, seed)), now: noon}
	amount := func() *intstr.IntOrString {
		if w.IntN(2) == 0 {
			return ptr.To(intstr.FromInt32(int32(w.IntN(4))))
		}
		return ptr.To(intstr.FromString(fmt.Sprintf("%d%%", w.IntN(101))))
	}
	w.app = makeApp(int32(w.IntN(12)), func(app *v1alpha1.App) {
		app.Spec.Strategy.RollingUpdate = &v1alpha1.RollingUpdateApp{MaxSurge: amount(), MaxUnavailable: amount()}
		app.Spec.RevisionHistoryLimit = ptr.To(int32(w.IntN(3)))
		if w.IntN(4) == 0 {
			isRecreated(app)
		}
	})
	return w
}

// decide decides and carries out one step. It reports whether there was an action.
func (w *world) decide(t *testing.T) bool {
	t.Helper()
	w.now = w.now.Add(time.Second)
	plan, err := Decide(View{App: w.app, Releases: w.releases, Now: w.now, InstancesOf: func(types.UID) []*v1alpha1.Instance { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	idle := plan.Create == nil && len(plan.Update) == 0 && len(plan.Delete) == 0 && apiequality.Semantic.DeepEqual(plan.Status, w.app.Status)
	if created := plan.Create; created != nil {
		w.made++
		created.UID, created.Generation, created.CreationTimestamp = types.UID(fmt.Sprint("made-", w.made)), 1, metav1.NewTime(w.now)
		w.releases = append(w.releases, created)
	}
	for _, update := range plan.Update {
		i := slices.IndexFunc(w.releases, func(r *v1alpha1.Release) bool { return r.UID == update.Release.UID })
		update.Release.Generation++
		w.releases[i] = update.Release
	}
	for _, gone := range plan.Delete {
		w.releases = slices.DeleteFunc(w.releases, func(r *v1alpha1.Release) bool { return r.UID == gone.UID })
	}
	w.app.Status = plan.Status
	if plan.Revision != "" {
		w.app.Annotations = map[string]string{v1alpha1.RevisionAnnotation: plan.Revision}
	}
	return !idle
}

// pass moves releases towards their wanted size: available instances are removed last.
func (w *world) pass() {
	for _, release := range w.releases {
		status := &release.Status
		if w.IntN(2) == 0 {
			continue
		}
		status.ObservedGeneration = release.Generation
		status.Replicas = size(release)
		status.AvailableReplicas = min(status.AvailableReplicas, status.Replicas)
		if status.AvailableReplicas < status.Replicas {
			status.AvailableReplicas += int32(w.IntN(int(status.Replicas-status.AvailableReplicas) + 1))
		}
		status.ReadyReplicas = status.AvailableReplicas
	}
}

// change makes a random change that a user may make at any time.
func (w *world) change() {
	w.app.Generation++
	switch w.IntN(4) {
	case 0:
		w.app.Spec.Template = makeTemplate(w.IntN(4))
	case 1:
		w.app.Spec.Replicas = ptr.To(int32(w.IntN(12)))
	case 2:
		w.app.Spec.Paused = !w.app.Spec.Paused
	case 3:
		w.app.Spec.MinReadySeconds++
	}
}

func TestAppsComeToRestWhateverIsDoneToThem(t *testing.T) {
	first := kit.SeedOr(t, 0)
	for seed := first; seed < first+worlds; seed++ {
		w := newWorld(seed)
		for range w.IntN(30) {
			for range w.IntN(6) {
				w.decide(t)
				w.pass()
			}
			w.change()
		}
		w.app.Spec.Paused = false
		w.app.Generation++
		w.rests(t, seed)
	}
}

// rests lets the app converge, and checks the result.
func (w *world) rests(t *testing.T, seed uint64) {
	t.Helper()
	for steps := 0; ; steps++ {
		if steps > mostSteps {
			t.Fatalf("seed %d: no rest after %d steps: %+v", seed, steps, w.app.Status)
		}
		if w.decide(t) {
			w.pass()
		} else if !w.settle() {
			break
		}
	}
	newest := FindNewRelease(w.app, w.releases)
	_, old := FindOldReleases(w.app, w.releases)
	if newest == nil || size(newest) != wanted(w.app) || ReplicaCount(old) != 0 || len(old) > int(*w.app.Spec.RevisionHistoryLimit) {
		t.Fatalf("seed %d: of %d the newest has %d, %d old ones %d", seed, wanted(w.app), size(newest), len(old), ReplicaCount(old))
	}
	if !Complete(w.app, &w.app.Status) || progressReason(&w.app.Status) != NewReleaseAvailableReason {
		t.Fatalf("seed %d: the final status is %+v", seed, w.app.Status)
	}
	if number, err := helper.Revision(newest); err != nil || number <= MaxRevision(old) || w.app.Annotations[v1alpha1.RevisionAnnotation] != fmt.Sprint(number) {
		t.Fatalf("seed %d: revision %d (%v), of old ones %d", seed, number, err, MaxRevision(old))
	}
}

// settle sets all releases to their wanted size. It reports whether any differed.
func (w *world) settle() bool {
	moved := false
	for _, release := range w.releases {
		want := v1alpha1.ReleaseStatus{ObservedGeneration: release.Generation, Replicas: size(release), ReadyReplicas: size(release), AvailableReplicas: size(release)}
		moved = moved || !apiequality.Semantic.DeepEqual(release.Status, want)
		release.Status = want
	}
	return moved
}

func TestARollingUpdateStaysWithinItsBounds(t *testing.T) {
	first := kit.SeedOr(t, 0)
	for seed := first; seed < first+worlds; seed++ {
		w := newWorld(seed)
		if !IsRollingUpdate(w.app) {
			continue
		}
		w.rests(t, seed)
		// Another version, and during its rollout a third one, or the first one again.
		for _, number := range []int{1, 2 + 7*w.IntN(2)} {
			w.app.Spec.Template = makeTemplate(number)
			w.app.Generation++
			for range w.IntN(8) {
				w.decide(t)
				w.bounds(t, seed)
				w.pass()
			}
		}
		for range mostSteps {
			if Complete(w.app, &w.app.Status) {
				break
			}
			w.decide(t)
			w.bounds(t, seed)
			w.pass()
		}
		if !Complete(w.app, &w.app.Status) {
			t.Fatalf("seed %d: not complete: %+v", seed, w.app.Status)
		}
	}
}

// bounds checks the bounds of a rolling update.
func (w *world) bounds(t *testing.T, seed uint64) {
	t.Helper()
	if most := wanted(w.app) + MaxSurge(w.app); ReplicaCount(w.releases) > most {
		t.Fatalf("seed %d: %d replicas, of %d at most", seed, ReplicaCount(w.releases), most)
	}
	if there := sum(w.releases, lasting); there < MinAvailable(w.app) {
		t.Fatalf("seed %d: %d available, of %d at least", seed, there, MinAvailable(w.app))
	}
}
