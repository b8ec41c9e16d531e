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
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// View is the input of a decision. Decide does not change it.
type View struct {
	App *v1alpha1.App
	// Releases are those that the app controls.
	Releases []*v1alpha1.Release
	// InstancesOf returns the instances that a release controls, for apps that wait until old ones
	// have ended.
	InstancesOf func(release types.UID) []*v1alpha1.Instance
	Now         time.Time
	// Mark is the furthest progress of the app with its current spec; nil for that of its status.
	Mark *Mark
}

// Plan is the actions for an app, in this order.
type Plan struct {
	// Create is the release of a version that has none yet.
	Create *v1alpha1.Release
	// Update are the releases to update.
	Update []Update
	// Delete are the old releases beyond the history limit.
	Delete []*v1alpha1.Release
	// Status is the app's status when all that is done. After a failure it is Begun, or Created
	// once the release was created.
	Status, Begun, Created v1alpha1.AppStatus
	// Revision is the app's revision; empty while it has no release.
	Revision string
	// Mark is the furthest progress of the app then.
	Mark Mark
	// Old are the releases that are not the newest.
	Old []*v1alpha1.Release
}

// Update is a release to write, and its former size.
type Update struct {
	Release *v1alpha1.Release
	From    int32
}

// Decide returns a plan for an app. A plan is one step; the watch events of its writes lead to the
// next one.
func Decide(view View) (Plan, error) {
	p := newPlanner(view)
	app := p.app
	if app.DeletionTimestamp != nil {
		p.plan.Status = SizeStatus(app, p.all(), p.newest, p.now)
		return p.plan, nil
	}
	notePause(app, p.now)
	noteStart(app, p.newest, p.now)
	p.plan.Begun = *app.Status.DeepCopy()
	p.numberNewest()
	p.plan.Created = *app.Status.DeepCopy()
	if app.Spec.Paused || IsScaled(app, p.old, p.newest) {
		// Only sizes change, and the condition Progressing does not.
		excess := Excess(app, p.old)
		p.apply(Scale(app, p.old, p.newest))
		if app.Spec.Paused {
			// A release that is scaled up now, because there is no other, is not in excess.
			p.plan.Delete = slices.DeleteFunc(excess, func(r *v1alpha1.Release) bool { return size(r) > 0 })
		}
		p.plan.Status = SizeStatus(app, p.all(), p.newest, p.now)
	} else {
		if err := p.step(view.InstancesOf); err != nil {
			return Plan{}, err
		}
		p.plan.Status = rolloutStatus(app, p.all(), p.newest, p.plan.Mark, p.now)
	}
	p.plan.Mark = p.plan.Mark.merge(&p.plan.Status)
	p.plan.Update = p.updates()
	return p.plan, nil
}

// planner holds copies of the app, which has the decisions in its status, and of its releases, which
// it changes.
type planner struct {
	app    *v1alpha1.App
	newest *v1alpha1.Release
	old    []*v1alpha1.Release
	stored map[*v1alpha1.Release]*v1alpha1.Release
	now    metav1.Time
	plan   Plan
}

func newPlanner(view View) *planner {
	p := &planner{app: view.App.DeepCopy(), stored: map[*v1alpha1.Release]*v1alpha1.Release{}, now: metav1.NewTime(view.Now)}
	copies := make([]*v1alpha1.Release, 0, len(view.Releases))
	// Sorted, so that plans are deterministic.
	for _, release := range slices.SortedFunc(slices.Values(view.Releases), byCreation) {
		changed := release.DeepCopy()
		p.stored[changed] = release
		copies = append(copies, changed)
	}
	p.newest = FindNewRelease(p.app, copies)
	_, p.old = FindOldReleases(p.app, copies)
	p.plan.Old = p.old
	p.plan.Mark = MarkOf(p.app, &p.app.Status)
	if view.Mark != nil {
		p.plan.Mark = *view.Mark
	}
	return p
}

func (p *planner) all() []*v1alpha1.Release { return addNewest(p.old, p.newest) }

// numberNewest updates the newest release, if it exists, with its revision and the app's settings.
func (p *planner) numberNewest() {
	if p.newest == nil {
		return
	}
	app, newest := p.app, p.newest
	SetNewReleaseAnnotations(app, newest, MaxRevision(p.old)+1, true, HistoryLength)
	newest.Spec.MinReadySeconds = app.Spec.MinReadySeconds
	p.plan.Revision = newest.Annotations[v1alpha1.RevisionAnnotation]
	if !HasProgressDeadline(app) {
		return
	}
	// The app got a deadline, or was rolled back to an earlier release: then the condition
	// Progressing is about another release.
	reason := progressReason(&app.Status)
	if reason == "" || reason == NewReleaseAvailableReason && app.Annotations[v1alpha1.RevisionAnnotation] != p.plan.Revision {
		progressed(&app.Status, FoundNewReleaseReason, subject(app, newest)+" was there already", p.now)
	}
}

// create plans the creation of the newest release if it is missing.
func (p *planner) create() error {
	if p.newest != nil {
		return nil
	}
	created, err := NewRelease(p.app, p.old)
	if err != nil {
		return err
	}
	p.newest, p.plan.Create = created, created
	p.plan.Revision = created.Annotations[v1alpha1.RevisionAnnotation]
	if HasProgressDeadline(p.app) {
		progressed(&p.app.Status, NewReleaseCreatedReason, subject(p.app, created)+" was created", p.now)
	}
	p.plan.Created = *p.app.Status.DeepCopy()
	return nil
}

func (p *planner) apply(scalings []Scaling) {
	most := mostReplicas(p.app)
	for _, scaling := range scalings {
		scaling.Release.Spec.Replicas = &scaling.Replicas
		SetReplicasAnnotations(scaling.Release, wanted(p.app), most)
	}
}

// step plans one step of a rollout, by the app's strategy.
func (p *planner) step(instancesOf func(types.UID) []*v1alpha1.Instance) error {
	switch p.app.Spec.Strategy.Type {
	case v1alpha1.RecreateAppStrategy:
		return p.recreate(instancesOf)
	case v1alpha1.RollingUpdateAppStrategy:
		return p.roll()
	}
	return fmt.Errorf("spec.strategy.type: %q is neither RollingUpdate nor Recreate", p.app.Spec.Strategy.Type)
}

// roll plans a step of a rolling update: it scales up if the surge allows, and otherwise down.
func (p *planner) roll() error {
	if err := p.create(); err != nil {
		return err
	}
	replicas, err := RollNew(p.app, p.all(), p.newest)
	if err != nil {
		return err
	}
	if replicas != size(p.newest) {
		p.apply([]Scaling{{p.newest, replicas}})
	} else if down := RollOld(p.app, p.old, p.newest); len(down) > 0 {
		p.apply(down)
	} else {
		p.cleanUp()
	}
	return nil
}

// recreate plans a step of a rollout that ends all old instances first.
func (p *planner) recreate(instancesOf func(types.UID) []*v1alpha1.Instance) error {
	if down := EndOld(p.old); len(down) > 0 {
		p.apply(down)
		return nil
	}
	if OldInstancesRun(p.old, instancesOf) {
		return nil
	}
	if err := p.create(); err != nil {
		return err
	}
	if size(p.newest) != wanted(p.app) {
		p.apply([]Scaling{{p.newest, wanted(p.app)}})
	}
	p.cleanUp()
	return nil
}

// cleanUp plans the deletion of old releases. It uses the stored status: they are kept until clients
// can see that the newest one has taken over.
func (p *planner) cleanUp() {
	if Complete(p.app, &p.app.Status) {
		p.plan.Delete = Excess(p.app, p.old)
	}
}

// updates returns the releases that differ from the stored ones, the newest first.
func (p *planner) updates() []Update {
	var updates []Update
	for _, release := range slices.Backward(p.all()) {
		stored := p.stored[release]
		if stored == nil || slices.ContainsFunc(p.plan.Delete, func(r *v1alpha1.Release) bool { return r == release }) {
			continue
		}
		if size(stored) != size(release) || stored.Spec.MinReadySeconds != release.Spec.MinReadySeconds || !maps.Equal(stored.Annotations, release.Annotations) {
			updates = append(updates, Update{Release: release, From: size(stored)})
		}
	}
	return updates
}
