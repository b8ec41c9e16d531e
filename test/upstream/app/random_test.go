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
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/deployment/util"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	controller "github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	questions   = 20000
	syncs       = 1000
	defaultSeed = 41
)

type source struct{ *rand.Rand }

// newSource returns random numbers that are the same with every run, unless the environment sets a seed.
func newSource(t testing.TB) source {
	t.Helper()
	seed := kit.SeedOr(t, defaultSeed)
	return source{rand.New(rand.NewPCG(seed, seed))}
}

func (s source) upTo(most int) int32 { return int32(s.IntN(most + 1)) }

func pick[T any](s source, list ...T) T { return list[s.IntN(len(list))] }

func (s source) amount() string {
	return pick(s, "0", "1", "2", "25%", "50%", "100%", fmt.Sprint(s.upTo(12)), fmt.Sprintf("%d%%", s.upTo(120)))
}

func (s source) app() *v1alpha1.App {
	app := newApp(s.upTo(12), rolling(s.amount(), s.amount()), historyLimit(s.upTo(2)))
	if s.IntN(4) == 0 {
		recreate(app)
	}
	if s.IntN(5) == 0 {
		paused(app)
	}
	if s.IntN(6) == 0 {
		deadline(nil)(app)
	}
	app.Generation = int64(1 + s.IntN(2))
	app.Spec.MinReadySeconds = s.upTo(1)
	app.Annotations["cause"] = pick(s, "a", "b")
	updated := s.upTo(6)
	available := s.upTo(4)
	counts(updated+s.upTo(6), updated, available+s.upTo(2), available)(app)
	app.Status.ObservedGeneration = 1
	if s.IntN(3) == 0 {
		app.Status.CollisionCount = ptr.To(s.upTo(2))
	}
	if s.IntN(5) > 0 {
		progressing(pick(s, metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown),
			pick(s, "NewReleaseAvailable", "ReleaseUpdated", "NewReleaseCreated", "FoundNewRelease", "ProgressDeadlineExceeded", "AppPaused", "AppResumed", "ReleaseCreateError"),
			time.Now().Add(-pick(s, time.Hour, 10*time.Second)))(app)
	}
	return app
}

// releases returns up to four releases; in half of the cases one has the app's template.
func (s source) releases(app *v1alpha1.App) []*v1alpha1.Release {
	var all []*v1alpha1.Release
	desired := *app.Spec.Replicas
	if s.IntN(3) == 0 {
		desired = s.upTo(12)
	}
	for number := range s.IntN(5) {
		if number > 0 && s.IntN(6) == 0 {
			continue // a gap
		}
		release := newRelease(number+1, pick(s, 0, 0, s.upTo(8)), revision(fmt.Sprint(number+1)), annotated("cause", pick(s, "a", "b")))
		if s.IntN(8) > 0 {
			scaledTo(desired, desired+s.upTo(3))(release)
		}
		s.shape(release)
		all = append(all, release)
	}
	if s.IntN(2) == 0 && len(all) > 0 {
		// newest is any of them, so that some cases are rollbacks.
		newest := pick(s, all...)
		hash := newest.Spec.Template.Labels[v1alpha1.TemplateHashLabel]
		newest.Spec.Template = template("v9")
		newest.Spec.Template.Labels[v1alpha1.TemplateHashLabel] = hash
		if s.IntN(2) == 0 {
			newest.Annotations[v1alpha1.RevisionAnnotation], newest.Annotations["cause"] = "9", app.Annotations["cause"]
		}
		app.Annotations[v1alpha1.RevisionAnnotation] = newest.Annotations[v1alpha1.RevisionAnnotation]
	}
	s.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func (s source) shape(release *v1alpha1.Release) {
	wanted := *release.Spec.Replicas
	switch s.IntN(4) {
	case 0:
		available := s.upTo(int(wanted))
		has(available+s.upTo(3), available)(release)
	case 1:
		has(s.upTo(2), 0)(release)
	}
	if s.IntN(8) == 0 {
		release.Generation = 2
	}
	if s.IntN(12) == 0 {
		doomed(release)
	}
	if s.IntN(8) == 0 {
		release.Status.Conditions = []metav1.Condition{{
			Type: v1alpha1.ReleaseConditionReplicaFailure, Status: metav1.ConditionTrue, Reason: pick(s, "FailedCreate", "FailedDelete"), LastTransitionTime: metav1.NewTime(epoch),
		}}
	}
}

func (s source) instances(all []*v1alpha1.Release) []*v1alpha1.Instance {
	var instances []*v1alpha1.Instance
	for _, release := range all {
		for i := range s.IntN(2) {
			instances = append(instances, &v1alpha1.Instance{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("%s-%d", release.Name, i), OwnerReferences: []metav1.OwnerReference{
					*metav1.NewControllerRef(release, v1alpha1.SchemeGroupVersion.WithKind("Release")),
				}},
				Status: v1alpha1.InstanceStatus{Phase: pick(s, v1alpha1.InstanceRunning, v1alpha1.InstanceFailed, v1alpha1.InstanceSucceeded)},
			})
		}
	}
	return instances
}

func TestRandomQuestionsAreAnsweredAlike(t *testing.T) {
	s, logger := newSource(t), klog.Background()
	same := func(what string, ours, theirs any, app *v1alpha1.App, all []*v1alpha1.Release) {
		t.Helper()
		if fmt.Sprint(ours) != fmt.Sprint(theirs) {
			t.Fatalf("%s: ours %v, theirs %v, of %s", what, ours, theirs, state{app: app, releases: all})
		}
	}
	for range questions {
		app := s.app()
		all := s.releases(app)
		d := deploymentFor(app)
		rolls := controller.IsRollingUpdate(app)
		same("rolls", rolls, util.IsRollingUpdate(d), app, all)
		same("surge", controller.MaxSurge(app), util.MaxSurge(*d), app, all)
		same("missing", controller.MaxUnavailable(app), util.MaxUnavailable(*d), app, all)
		same("minimum", controller.MinAvailable(app), util.MinAvailable(d), app, all)
		same("limit", controller.HasRevisionHistoryLimit(app), util.HasRevisionHistoryLimit(d), app, all)
		sets := replicaSets(all)
		same("highest", controller.MaxRevision(all), util.MaxRevision(logger, sets), app, all)
		same("before", controller.LastRevision(all), util.LastRevision(logger, sets), app, all)
		active, old := controller.FindOldReleases(app, all)
		theirActive, theirOld := util.FindOldReplicaSets(d, sets)
		same("old", sorted(old), sortedSets(theirOld), app, all)
		same("active", sorted(active), sortedSets(theirActive), app, all)
		newest, theirNewest := controller.FindNewRelease(app, all), util.FindNewReplicaSet(d, sets)
		same("newest", newest == nil, theirNewest == nil, app, all)
		only, theirOnly := controller.FindActiveOrLatest(newest, old), util.FindActiveOrLatest(theirNewest, theirOld)
		same("alone", only == nil, theirOnly == nil, app, all)
		if only != nil {
			same("which alone", only.Name, theirOnly.Name, app, all)
		}
		same("saturated", controller.IsSaturated(app, newest), util.IsSaturated(d, theirNewest), app, all)
		if newest != nil {
			same("which newest", newest.Name, theirNewest.Name, app, all)
			ours, err := controller.NewReplicas(app, all, newest)
			theirs, theirErr := util.NewRSNewReplicas(d, sets, theirNewest)
			same("new replicas", fmt.Sprint(ours, err), fmt.Sprint(theirs, theirErr), app, all)
		}
		toAdd := int32(s.IntN(25) - 12)
		added := int32(0)
		if toAdd != 0 {
			added = int32(s.IntN(max(int(toAdd), int(-toAdd)))) * toAdd / max(toAdd, -toAdd)
		}
		for _, release := range all {
			same("share", controller.Proportion(app, release, toAdd, added), util.GetReplicaSetProportion(logger, replicaSet(release), *d, toAdd, added), app, all)
		}
		after := s.app().Status
		theirAfter := deploymentStatus(&after)
		same("complete", controller.Complete(app, &after), util.DeploymentComplete(d, &theirAfter), app, all)
		same("progress", controller.Progressing(app, &after), util.DeploymentProgressing(d, &theirAfter), app, all)
		same("timed out", controller.TimedOut(app, &after, time.Now()), util.DeploymentTimedOut(t.Context(), d, &theirAfter), app, all)
	}
}

func TestRandomSyncsAreDecidedAlike(t *testing.T) {
	s := newSource(t)
	deviations, created, resized, deleted := map[string]int{}, 0, 0, 0
	for range syncs {
		now := state{app: s.app()}
		now.releases = s.releases(now.app)
		now.instances = s.instances(now.releases)
		if why := deviation(now); why != "" {
			deviations[strings.SplitN(why, ":", 2)[0]]++
			continue
		}
		got, difference := compare(t, now)
		if difference != "" {
			t.Fatal(difference)
		}
		if got.Created != "" {
			created++
		}
		if len(got.Deleted) > 0 {
			deleted++
		}
		for _, release := range now.releases {
			if size, there := got.Sizes[release.Name]; there && size != *release.Spec.Replicas {
				resized++
				break
			}
		}
	}
	t.Logf("of %d: %d created, %d resized, %d deleted; left out: %v", syncs, created, resized, deleted, deviations)
	if least := syncs / 100; created < least || resized < least || deleted < least {
		t.Errorf("too few changes: %d created, %d resized, %d deleted", created, resized, deleted)
	}
}
