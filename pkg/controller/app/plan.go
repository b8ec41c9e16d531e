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

// View is what is known when a decision is made. Nothing in it is changed.
type View struct {
	App *v1alpha1.App
	// Releases are those that the app controls.
	Releases []*v1alpha1.Release
	// InstancesOf finds the instances that a release controls, for apps that wait until old
	// ones have ended.
	InstancesOf func(release types.UID) []*v1alpha1.Instance
	Now         time.Time
	// Mark is the furthest that the app has come with its spec; nil where that is as much as its
	// status says.
	Mark *Mark
}

// Plan is what to do about an app, in this order.
type Plan struct {
	// Create is the release of a version that has none yet.
	Create *v1alpha1.Release
	// Update are releases as they shall be.
	Update []Update
	// Delete are old releases that nobody goes back to.
	Delete []*v1alpha1.Release
	// Status is the app's when all that is done. When it cannot be, Begun is what is true
	// nevertheless, and Created what is true once the release was created.
	Status, Begun, Created v1alpha1.AppStatus
	// Revision is the number that the app shall carry; empty while it has no release.
	Revision string
	// Mark is the furthest that the app has come then.
	Mark Mark
	// Old are the releases that are not the newest.
	Old []*v1alpha1.Release
}

// Update is a release as it shall be, and the size that it had.
type Update struct {
	Release *v1alpha1.Release
	From    int32
}

// Decide makes a plan for an app. Each is one step: what the step leads to is seen in events,
// and decides the next one.
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
		// Nothing but sizes changes, and nothing new is said of a rollout.
		excess := Excess(app, p.old)
		p.apply(Scale(app, p.old, p.newest))
		if app.Spec.Paused {
			// One that is given instances now, because there is no other, is not one too many.
			p.plan.Delete = slices.DeleteFunc(excess, func(r *v1alpha1.Release) bool { return size(r) > 0 })
		}
		p.plan.Status = SizeStatus(app, p.all(), p.newest, p.now)
	} else {
		if err := p.step(view.InstancesOf); err != nil {
			return Plan{}, err
		}
		p.plan.Status = rolloutStatus(app, p.all(), p.newest, p.plan.Mark, p.now)
	}
	p.plan.Mark = p.plan.Mark.with(&p.plan.Status)
	p.plan.Update = p.updates()
	return p.plan, nil
}

// planner holds copies: of the app, whose status gathers what is decided, and of its releases,
// which become as they shall be.
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
	// In one order, so that the same things lead to the same plan.
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

func (p *planner) all() []*v1alpha1.Release { return with(p.old, p.newest) }

// numberNewest gives the newest release, where it is there, what it has of its app.
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
	// Somebody began to wait, or the app went back to a release that it had before: then what
	// is said of progress is about another one.
	reason := progressReason(&app.Status)
	if reason == "" || reason == NewReleaseAvailableReason && app.Annotations[v1alpha1.RevisionAnnotation] != p.plan.Revision {
		progressed(&app.Status, FoundNewReleaseReason, subject(app, newest)+" was there already", p.now)
	}
}

// create makes the newest release, where it is missing.
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

// step is one of a rollout, as the app's strategy has it.
func (p *planner) step(instancesOf func(types.UID) []*v1alpha1.Instance) error {
	switch p.app.Spec.Strategy.Type {
	case v1alpha1.RecreateAppStrategy:
		return p.recreate(instancesOf)
	case v1alpha1.RollingUpdateAppStrategy:
		return p.roll()
	}
	return fmt.Errorf("spec.strategy.type: %q is neither RollingUpdate nor Recreate", p.app.Spec.Strategy.Type)
}

// roll is a step of a rolling update: up where there is room, and only then down.
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

// recreate is a step of a rollout that ends all old instances first.
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

// cleanUp goes by the status that is stored: old releases are kept until everybody can see
// that the newest one has taken over.
func (p *planner) cleanUp() {
	if Complete(p.app, &p.app.Status) {
		p.plan.Delete = Excess(p.app, p.old)
	}
}

// updates are the releases that shall be otherwise than they are, the newest first.
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
