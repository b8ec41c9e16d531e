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
	"math"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/deployment/util"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	controller "github.com/gatehouse-dev/gatehouse/pkg/controller/app"
)

// agree fails the test unless ours, theirs and want are equal.
func agree[T comparable](t *testing.T, what string, ours, theirs, want T) {
	t.Helper()
	if ours != theirs || ours != want {
		t.Errorf("%s: ours %v, theirs %v, want %v", what, ours, theirs, want)
	}
}

func TestFenceposts(t *testing.T) {
	for _, tc := range []struct {
		surge, unavailable  string
		replicas            int32
		wantSurge, wantDown int32
		fails               bool
	}{
		{"0%", "0%", 0, 0, 1, false},
		{"0%", "0%", 10, 0, 1, false},
		{"39%", "39%", 10, 4, 3, false},
		{"25%", "25%", 1, 1, 0, false},
		{"0", "1%", 2, 0, 1, false},
		{"0", "25%", 3, 0, 1, false},
		{"1%", "0%", 2, 1, 0, false},
		{"100%", "100%", 7, 7, 7, false},
		{"3", "2", 10, 3, 2, false},
		{"oops", "39%", 10, 0, 0, true},
		{"55%", "urg", 10, 0, 0, true},
		{"", "39%", 10, 0, 3, false},
		{"39%", "", 10, 4, 0, false},
		{"", "", 10, 0, 1, false},
	} {
		t.Run(fmt.Sprintf("%q up and %q down of %d", tc.surge, tc.unavailable, tc.replicas), func(t *testing.T) {
			surge, down, err := controller.ResolveFenceposts(amount(tc.surge), amount(tc.unavailable), tc.replicas)
			theirSurge, theirDown, theirErr := util.ResolveFenceposts(amount(tc.surge), amount(tc.unavailable), tc.replicas)
			agree(t, "surge", surge, theirSurge, tc.wantSurge)
			agree(t, "unavailable", down, theirDown, tc.wantDown)
			agree(t, "refused", err != nil, theirErr != nil, tc.fails)
		})
	}
}

func TestHowManyMayBeMissing(t *testing.T) {
	for _, tc := range []struct {
		name        string
		app         *v1alpha1.App
		missing     int32
		minimum     int32
		surge, most int32
	}{
		{"half", newApp(10, rolling("1", "5")), 5, 5, 1, 11},
		{"as many as there are", newApp(10, rolling("1", "10")), 10, 0, 1, 11},
		{"more than there are", newApp(5, rolling("1", "10")), 5, 0, 1, 6},
		{"of none", newApp(0, rolling("1", "10")), 0, 0, 1, 1},
		{"of an app that is recreated", newApp(10, recreate), 0, 0, 0, 10},
		{"a percentage", newApp(10, rolling("1", "50%")), 5, 5, 1, 11},
		{"most of them", newApp(10, rolling("1", "60%")), 6, 4, 1, 11},
		{"all, as a percentage", newApp(10, rolling("1", "100%")), 10, 0, 1, 11},
		{"all of few", newApp(5, rolling("1", "100%")), 5, 0, 1, 6},
		{"a percentage of few, rounded down", newApp(3, rolling("30%", "30%")), 0, 3, 1, 4},
		{"one, where both round to none", newApp(3, rolling("0%", "1%")), 1, 2, 0, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := deploymentFor(tc.app)
			agree(t, "missing", controller.MaxUnavailable(tc.app), util.MaxUnavailable(*d), tc.missing)
			agree(t, "minimum", controller.MinAvailable(tc.app), util.MinAvailable(d), tc.minimum)
			agree(t, "surge", controller.MaxSurge(tc.app), util.MaxSurge(*d), tc.surge)
			agree(t, "most", *tc.app.Spec.Replicas+controller.MaxSurge(tc.app), *d.Spec.Replicas+util.MaxSurge(*d), tc.most)
		})
	}
}

func TestHowManyTheNewestMayHave(t *testing.T) {
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		old, now int32
		want     int32
	}{
		{"no surge left", newApp(1, rolling("1", "0")), 5, 5, 5},
		{"enough surge for all", newApp(6, rolling("10", "0")), 0, 2, 6},
		{"no surge and all old ones there", newApp(10, rolling("0", "0")), 10, 0, 0},
		{"the surge", newApp(10, rolling("2", "0")), 10, 0, 2},
		{"the surge and what old ones left", newApp(10, rolling("2", "0")), 5, 0, 7},
		{"the surge is used", newApp(10, rolling("2", "0")), 10, 2, 2},
		{"never more than wanted", newApp(10, rolling("50%", "0")), 0, 8, 10},
		{"recreated, all at once", newApp(3, recreate), 0, 1, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			newest := newRelease(9, tc.now)
			all := []*v1alpha1.Release{newRelease(1, tc.old), newest}
			got, err := controller.NewReplicas(tc.app, all, newest)
			their, theirErr := util.NewRSNewReplicas(deploymentFor(tc.app), replicaSets(all), replicaSet(newest))
			agree(t, "replicas", got, their, tc.want)
			agree(t, "refused", err != nil, theirErr != nil, false)
		})
	}
	other := newApp(3)
	other.Spec.Strategy.Type = "Sideways"
	_, err := controller.NewReplicas(other, nil, newRelease(9, 1))
	_, theirErr := util.NewRSNewReplicas(deploymentFor(other), nil, replicaSet(newRelease(9, 1)))
	agree(t, "a strategy that is none is refused", err != nil, theirErr != nil, true)
}

func TestSameTemplates(t *testing.T) {
	labelled := func(image string, labels ...string) *v1alpha1.InstanceTemplateSpec {
		made := template(image)
		made.Labels = map[string]string{}
		for i := 0; i < len(labels); i += 2 {
			made.Labels[labels[i]] = labels[i+1]
		}
		return &made
	}
	hash := v1alpha1.TemplateHashLabel
	annotated := labelled("v1", hash, "1")
	annotated.Annotations = map[string]string{"restarted": "now"}
	for _, tc := range []struct {
		name string
		a, b *v1alpha1.InstanceTemplateSpec
		same bool
	}{
		{"all the same", labelled("v1", hash, "1", "x", "y"), labelled("v1", hash, "1", "x", "y"), true},
		{"another hash", labelled("v1", hash, "1", "x", "y"), labelled("v1", hash, "2", "x", "y"), true},
		{"no hash on one", labelled("v1", "x", "y"), labelled("v1", hash, "2", "x", "y"), true},
		{"as many labels, but other ones", labelled("v1", "x", "y"), labelled("v1", hash, "2"), false},
		{"one label more", labelled("v1", hash, "1"), labelled("v1", hash, "1", "x", "y"), false},
		{"another annotation", annotated, labelled("v1", hash, "1"), false},
		{"another image", labelled("v1", hash, "1", "x", "y"), labelled("v2", hash, "2", "x", "y"), false},
		{"another image and no hash on one", labelled("v1", "x", "y"), labelled("v2", hash, "2", "x", "y"), false},
		{"other labels", labelled("v1", "x", "y"), labelled("v1", "z", "y"), false},
		{"no labels at all", labelled("v1"), labelled("v1", hash, "1"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, pair := range [][2]*v1alpha1.InstanceTemplateSpec{{tc.a, tc.b}, {tc.b, tc.a}} {
				a, b := podTemplate(pair[0]), podTemplate(pair[1])
				agree(t, "same", controller.EqualIgnoreHash(pair[0], pair[1]), util.EqualIgnoreHash(&a, &b), tc.same)
			}
		})
	}
}

func TestWhichReleaseIsTheNewest(t *testing.T) {
	twin := newRelease(8, 1)
	twin.Spec.Template = template("v9")
	for _, tc := range []struct {
		name                string
		releases            []*v1alpha1.Release
		newest, active, all string
	}{
		{"the one of the template", []*v1alpha1.Release{newRelease(9, 1), newRelease(1, 0)}, "web-v9", "", "web-v1"},
		{"the oldest of two", []*v1alpha1.Release{newRelease(9, 1), newRelease(1, 0), twin}, "web-v8", "web-v9", "web-v1 web-v9"},
		{"none", []*v1alpha1.Release{newRelease(1, 0), newRelease(2, 3)}, "", "web-v2", "web-v1 web-v2"},
		{"no old ones", []*v1alpha1.Release{newRelease(9, 1)}, "web-v9", "", ""},
		{"nothing at all", nil, "", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app, d := newApp(3), deploymentFor(newApp(3))
			newest, theirNewest := "", ""
			if release := controller.FindNewRelease(app, tc.releases); release != nil {
				newest = release.Name
			}
			if rs := util.FindNewReplicaSet(d, replicaSets(tc.releases)); rs != nil {
				theirNewest = rs.Name
			}
			agree(t, "newest", newest, theirNewest, tc.newest)
			// Upstream sorts its argument.
			sets := replicaSets(tc.releases)
			theirActive, theirAll := util.FindOldReplicaSets(d, sets)
			active, all := controller.FindOldReleases(app, tc.releases)
			agree(t, "active", sorted(active), sortedSets(theirActive), tc.active)
			agree(t, "all", sorted(all), sortedSets(theirAll), tc.all)
		})
	}
}

func TestWhichReleaseTakesAChangeOfSize(t *testing.T) {
	for _, tc := range []struct {
		name   string
		newest *v1alpha1.Release
		old    []*v1alpha1.Release
		want   string
	}{
		{"none", nil, nil, ""},
		{"the newest, where none is active", newRelease(9, 0), []*v1alpha1.Release{newRelease(1, 0)}, "web-v9"},
		{"the latest, where none is active and none is the newest", nil, []*v1alpha1.Release{newRelease(1, 0), newRelease(3, 0), newRelease(2, 0)}, "web-v3"},
		{"the newest, where it is alone", newRelease(9, 2), []*v1alpha1.Release{newRelease(1, 0)}, "web-v9"},
		{"an old one, where it is alone", newRelease(9, 0), []*v1alpha1.Release{newRelease(1, 2), newRelease(2, 0)}, "web-v1"},
		{"all, where several are active", newRelease(9, 1), []*v1alpha1.Release{newRelease(1, 2)}, ""},
		{"all old ones, without a newest", nil, []*v1alpha1.Release{newRelease(1, 2), newRelease(2, 2)}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, theirs := "", ""
			if release := controller.FindActiveOrLatest(tc.newest, tc.old); release != nil {
				got = release.Name
			}
			if rs := util.FindActiveOrLatest(replicaSet(tc.newest), replicaSets(tc.old)); rs != nil {
				theirs = rs.Name
			}
			agree(t, "release", got, theirs, tc.want)
		})
	}
}

func TestSums(t *testing.T) {
	for _, tc := range []struct {
		name                           string
		releases                       []*v1alpha1.Release
		wanted, actual, ready, through int32
	}{
		{"none", nil, 0, 0, 0, 0},
		{"one that shrinks", []*v1alpha1.Release{newRelease(1, 1, has(2, 1))}, 1, 2, 1, 1},
		{"two", []*v1alpha1.Release{newRelease(1, 1, has(2, 1)), newRelease(2, 2, has(3, 2))}, 3, 5, 3, 3},
		{"one that is new", []*v1alpha1.Release{newRelease(9, 3, has(0, 0))}, 3, 0, 0, 0},
		{"some that are not there", []*v1alpha1.Release{nil, newRelease(9, 3, has(3, 1)), nil}, 3, 3, 1, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sets := replicaSets(tc.releases)
			agree(t, "wanted", controller.ReplicaCount(tc.releases), util.GetReplicaCountForReplicaSets(sets), tc.wanted)
			agree(t, "actual", controller.ActualReplicaCount(tc.releases), util.GetActualReplicaCountForReplicaSets(sets), tc.actual)
			agree(t, "ready", controller.ReadyReplicaCount(tc.releases), util.GetReadyReplicaCountForReplicaSets(sets), tc.ready)
			agree(t, "available", controller.AvailableReplicaCount(tc.releases), util.GetAvailableReplicaCountForReplicaSets(sets), tc.through)
		})
	}
}

func TestRevisionNumbers(t *testing.T) {
	for _, tc := range []struct {
		name        string
		releases    []*v1alpha1.Release
		newest, was int64
	}{
		{"none", nil, 0, 0},
		{"one", []*v1alpha1.Release{newRelease(1, 0, revision("7"))}, 7, 0},
		{"in any order", []*v1alpha1.Release{newRelease(1, 0, revision("3")), newRelease(2, 0, revision("9")), newRelease(3, 0, revision("5"))}, 9, 5},
		{"the same twice", []*v1alpha1.Release{newRelease(1, 0, revision("4")), newRelease(2, 0, revision("4"))}, 4, 4},
		{"one without and one that is no number", []*v1alpha1.Release{newRelease(1, 0), newRelease(2, 0, revision("new")), newRelease(3, 0, revision("2"))}, 2, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			logger, sets := klog.Background(), replicaSets(tc.releases)
			agree(t, "newest", controller.MaxRevision(tc.releases), util.MaxRevision(logger, sets), tc.newest)
			agree(t, "before", controller.LastRevision(tc.releases), util.LastRevision(logger, sets), tc.was)
		})
	}
}

func TestAnnotationsOfTheNewest(t *testing.T) {
	for _, tc := range []struct {
		name    string
		app     map[string]string
		release *v1alpha1.Release
		next    int64
		exists  bool
		length  int
		want    string
		changed bool
	}{
		{"a new one gets a number and its app's size", nil, newRelease(9, 1), 1, false, 2000, "desired-replicas=4 max-replicas=6 revision=1", true},
		{"one that is there keeps its sizes", nil, newRelease(9, 1, revision("1"), scaledTo(2, 3)), 1, true, 2000, "desired-replicas=2 max-replicas=3 revision=1", false},
		{"a higher number is kept", nil, newRelease(9, 1, revision("5")), 3, true, 2000, "revision=5", false},
		{"a rollback is renumbered", nil, newRelease(9, 1, revision("1")), 3, true, 2000, "revision=3 revision-history=1", true},
		{"twice", nil, newRelease(9, 1, revision("3"), annotated(v1alpha1.RevisionHistoryAnnotation, "1")), 5, true, 2000, "revision=5 revision-history=1,3", true},
		{"the oldest number is dropped", nil, newRelease(9, 1, revision("12"), annotated(v1alpha1.RevisionHistoryAnnotation, "10,11")), 13, true, 5, "revision=13 revision-history=11,12", true},
		{"several are dropped", nil, newRelease(9, 1, revision("1000"), annotated(v1alpha1.RevisionHistoryAnnotation, "10,11")), 1001, true, 5, "revision=1001 revision-history=1000", true},
		{"a number that does not fit is dropped", nil, newRelease(9, 1, revision("123456"), annotated(v1alpha1.RevisionHistoryAnnotation, "10,11")), 123457, true, 5, "revision=123457 revision-history=10,11", true},
		{"what is no number is left alone", nil, newRelease(9, 1, revision("mine")), 2, true, 2000, "revision=mine", false},
		{"annotations of the app are copied", map[string]string{"cause": "new"}, newRelease(9, 1, revision("2"), annotated("cause", "old"), annotated("own", "x")), 2, true, 2000, "cause=new revision=2 own=x", true},
		{"its own are not", map[string]string{
			"kubectl.kubernetes.io/last-applied-configuration": "{}", v1alpha1.RevisionAnnotation: "8", v1alpha1.RevisionHistoryAnnotation: "8",
			v1alpha1.DesiredReplicasAnnotation: "8", v1alpha1.MaxReplicasAnnotation: "8",
		}, newRelease(9, 1, revision("2")), 2, true, 2000, "revision=2", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApp(4, rolling("2", "0"))
			app.Annotations = tc.app
			rs := replicaSet(tc.release)
			theirs := util.SetNewReplicaSetAnnotations(t.Context(), deploymentFor(app), rs, fmt.Sprint(tc.next), tc.exists, tc.length)
			changed := controller.SetNewReleaseAnnotations(app, tc.release, tc.next, tc.exists, tc.length)
			agree(t, "annotations", joined(tc.release.Annotations), joined(ours(rs.Annotations)), tc.want)
			agree(t, "changed", changed, theirs, tc.changed)
		})
	}
}

func TestSizesThatAreRemembered(t *testing.T) {
	for _, tc := range []struct {
		name    string
		release *v1alpha1.Release
		desired int32
		found   bool
		changes bool
	}{
		{"none", newRelease(9, 1), 0, false, true},
		{"the right ones", newRelease(9, 1, scaledTo(10, 20)), 10, true, false},
		{"another size", newRelease(9, 1, scaledTo(8, 20)), 8, true, true},
		{"another surge", newRelease(9, 1, scaledTo(10, 16)), 10, true, true},
		{"zero", newRelease(9, 1, scaledTo(0, 0)), 0, true, true},
		{"the highest", newRelease(9, 1, scaledTo(math.MaxInt32, 20)), math.MaxInt32, true, true},
		{"one too high", newRelease(9, 1, annotated(v1alpha1.DesiredReplicasAnnotation, "2147483648")), 0, false, true},
		{"far too high", newRelease(9, 1, annotated(v1alpha1.DesiredReplicasAnnotation, "4294967296")), 0, false, true},
		{"a negative one", newRelease(9, 1, annotated(v1alpha1.DesiredReplicasAnnotation, "-1")), 0, false, true},
		{"a word", newRelease(9, 1, annotated(v1alpha1.DesiredReplicasAnnotation, "many")), 0, false, true},
		{"nothing in it", newRelease(9, 1, annotated(v1alpha1.DesiredReplicasAnnotation, "")), 0, false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			rs := replicaSet(tc.release)
			desired, found := controller.DesiredReplicas(tc.release)
			theirDesired, theirFound := util.GetDesiredReplicasAnnotation(klog.Background(), rs)
			agree(t, "desired", desired, theirDesired, tc.desired)
			agree(t, "found", found, theirFound, tc.found)
			agree(t, "need", controller.ReplicasAnnotationsNeedUpdate(tc.release, 10, 20), util.ReplicasAnnotationsNeedUpdate(rs, 10, 20), tc.changes)
			agree(t, "changed", controller.SetReplicasAnnotations(tc.release, 10, 20), util.SetReplicasAnnotations(rs, 10, 20), tc.changes)
			agree(t, "annotations", joined(tc.release.Annotations), joined(ours(rs.Annotations)), "desired-replicas=10 max-replicas=20")
		})
	}
}

func TestShares(t *testing.T) {
	bare := func(release *v1alpha1.Release) { release.Annotations = nil }
	for _, tc := range []struct {
		name         string
		wanted       int32
		surge        string
		seen         int32
		release      *v1alpha1.Release
		toAdd, added int32
		want         int32
	}{
		{"an app of none takes all", 0, "0", 0, newRelease(1, 10), -10, 0, -10},
		{"nothing remembered and nothing seen", 10, "0", 0, newRelease(1, 5, bare), 5, 0, 0},
		{"zero remembered and nothing seen", 10, "0", 0, newRelease(1, 5, scaledTo(0, 0)), 5, 0, 0},
		{"nothing remembered, but seen", 120, "0", 100, newRelease(1, 50, bare), 20, 0, 10},
		{"zero remembered, but seen", 120, "0", 100, newRelease(1, 50, scaledTo(0, 0)), 20, 0, 10},
		{"a fifth more", 120, "0", 0, newRelease(1, 50, scaledTo(100, 100)), 20, 0, 10},
		{"a fifth more, with a surge", 120, "10", 0, newRelease(1, 50, scaledTo(100, 110)), 20, 0, 9},
		{"a sixth less", 10, "0", 0, newRelease(1, 6, scaledTo(12, 12)), -2, 0, -1},
		{"a sixth less, with a surge", 100, "10", 0, newRelease(1, 50, scaledTo(120, 130)), -20, 0, -8},
		{"not more than is left to give", 120, "0", 0, newRelease(1, 50, scaledTo(100, 100)), 20, 15, 5},
		{"not more than is left to take", 10, "0", 0, newRelease(1, 60, scaledTo(100, 100)), -90, -80, -10},
		{"nothing left", 120, "0", 0, newRelease(1, 50, scaledTo(100, 100)), 20, 20, 0},
		{"nothing to give", 120, "0", 0, newRelease(1, 50, scaledTo(100, 100)), 0, 0, 0},
		{"one that has none gets none", 120, "0", 0, newRelease(1, 0, scaledTo(100, 100)), 20, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			app := newApp(tc.wanted, rolling(tc.surge, "1"), counts(tc.seen, 0, 0, 0))
			their := util.GetReplicaSetProportion(klog.Background(), replicaSet(tc.release), *deploymentFor(app), tc.toAdd, tc.added)
			agree(t, "share", controller.Proportion(app, tc.release, tc.toAdd, tc.added), their, tc.want)
		})
	}
}
