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

package runaway

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/app"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/release"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// seeds is the number of worlds, each with a seed of its own, from GATEHOUSE_TEST_SEED on or from 0. A long run is
//
//	go test ./test/runaway -args -seeds=1500
var seeds = flag.Int("seeds", 80, "how many worlds are watched")

const (
	// minutes is the duration of each world.
	minutes = 8
	// writesPerMinute and writesPerReplica bound the writes of the app controller and the release
	// controller together in a minute for an app: a constant, and an addition for each
	// replica that the app, or one of its releases, requests.
	writesPerMinute, writesPerReplica = 30, 12
	// mostReleases bounds the releases of an app that is not changed.
	mostReleases = 4
)

// mischief is one misbehaviour of admission. counter differs in each write.
type mischief struct {
	name string
	does func(r request, obj object, counter int) error
}

func onReleases(does func(r request, release *v1alpha1.Release, counter int)) func(request, object, int) error {
	return func(r request, obj object, counter int) error {
		if release, ok := obj.(*v1alpha1.Release); ok {
			does(r, release, counter)
		}
		return nil
	}
}

func onInstances(does func(r request, i *v1alpha1.Instance, counter int)) func(request, object, int) error {
	return func(r request, obj object, counter int) error {
		if i, ok := obj.(*v1alpha1.Instance); ok {
			does(r, i, counter)
		}
		return nil
	}
}

func mischiefs() []mischief {
	return []mischief{
		{"stamps an annotation on the template", onReleases(func(r request, release *v1alpha1.Release, _ int) {
			if r.create {
				release.Spec.Template.Annotations = map[string]string{"stamped": "yes"}
			}
		})},
		{"stamps another annotation on the template each time", onReleases(func(r request, release *v1alpha1.Release, counter int) {
			if r.create {
				release.Spec.Template.Annotations = map[string]string{"stamped": fmt.Sprint(counter)}
			}
		})},
		{"adds a toleration to the template", onReleases(func(r request, release *v1alpha1.Release, _ int) {
			if r.create {
				release.Spec.Template.Spec.Tolerations = []v1alpha1.Toleration{{Operator: v1alpha1.TolerationOpExists}}
			}
		})},
		{"changes the labels of releases", onReleases(func(_ request, release *v1alpha1.Release, _ int) { setLabel(release, "app", "stamped") })},
		{"names releases otherwise", onReleases(func(r request, release *v1alpha1.Release, counter int) {
			if r.create {
				release.Name = fmt.Sprint("stamped-", counter)
			}
		})},
		{"takes the owner of releases away when they are created", onReleases(func(r request, release *v1alpha1.Release, _ int) {
			if r.create {
				release.OwnerReferences = nil
			}
		})},
		{"takes the owner of releases away, always", onReleases(func(_ request, release *v1alpha1.Release, _ int) { release.OwnerReferences = nil })},
		{"caps the replicas of releases", onReleases(func(_ request, release *v1alpha1.Release, _ int) { release.Spec.Replicas = ptr.To[int32](1) })},
		{"gives releases another size each time", onReleases(func(r request, release *v1alpha1.Release, counter int) {
			if r.subresource == "" {
				release.Spec.Replicas = ptr.To(int32(counter % 5))
			}
		})},
		{"takes the annotations of releases away", onReleases(func(_ request, release *v1alpha1.Release, _ int) { release.Annotations = nil })},
		{"labels releases otherwise with each write", onReleases(func(_ request, release *v1alpha1.Release, counter int) {
			setLabel(release, "stamp", fmt.Sprint(counter))
		})},
		{"clears the status of releases", onReleases(func(r request, release *v1alpha1.Release, _ int) {
			if r.subresource == "status" {
				release.Status.Conditions = nil
			}
		})},
		{"clears the status of apps, and labels them otherwise with each write", func(_ request, obj object, counter int) error {
			if a, ok := obj.(*v1alpha1.App); ok {
				a.Status.Conditions = nil
				setLabel(a, "stamp", fmt.Sprint(counter))
			}
			return nil
		}},
		{"takes the annotations of apps away, and labels them otherwise with each write", func(_ request, obj object, counter int) error {
			if a, ok := obj.(*v1alpha1.App); ok {
				a.Annotations = nil
				setLabel(a, "stamp", fmt.Sprint(counter))
			}
			return nil
		}},
		{"changes the labels of instances", onInstances(func(_ request, i *v1alpha1.Instance, _ int) { setLabel(i, "app", "stamped") })},
		{"takes the owner of instances away when they are created", onInstances(func(r request, i *v1alpha1.Instance, _ int) {
			if r.create {
				i.OwnerReferences = nil
			}
		})},
		{"takes the owner of instances away, always, and labels them otherwise with each write", onInstances(func(_ request, i *v1alpha1.Instance, counter int) {
			i.OwnerReferences = nil
			setLabel(i, "stamp", fmt.Sprint(counter))
		})},
		{"gives instances another owner", onInstances(func(_ request, i *v1alpha1.Instance, _ int) {
			i.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "other", UID: "other", Controller: ptr.To(true)}}
		})},
		{"refuses releases", func(r request, obj object, _ int) error {
			if r.create && r.resource == "releases" {
				return apierrors.NewForbidden(v1alpha1.Resource("releases"), obj.GetName(), fmt.Errorf("not today"))
			}
			return nil
		}},
		{"refuses instances", func(r request, obj object, _ int) error {
			if r.create && r.resource == "instances" {
				return apierrors.NewForbidden(v1alpha1.Resource("instances"), obj.GetName(), fmt.Errorf("exceeded quota"))
			}
			return nil
		}},
	}
}

// told collects the reasons of events.
type told struct {
	lock    sync.Mutex
	reasons map[string]string
}

func (e *told) Event(_ runtime.Object, _, reason, message string) {
	e.lock.Lock()
	defer e.lock.Unlock()
	e.reasons[reason] = message
}

func (e *told) Eventf(obj runtime.Object, kind, reason, format string, args ...any) {
	e.Event(obj, kind, reason, fmt.Sprintf(format, args...))
}

func (e *told) AnnotatedEventf(obj runtime.Object, _ map[string]string, kind, reason, format string, args ...any) {
	e.Eventf(obj, kind, reason, format, args...)
}

func (e *told) warnings() []string {
	e.lock.Lock()
	defer e.lock.Unlock()
	var warnings []string
	for _, reason := range []string{app.ChangedReason, app.ReleaseCreateErrorReason, "FailedCreate", app.ProgressDeadlineExceededReason} {
		if message, found := e.reasons[reason]; found {
			warnings = append(warnings, reason+": "+message)
		}
	}
	return warnings
}

// newApp returns a random app.
func newApp(random *rand.Rand) *v1alpha1.App {
	labels := map[string]string{"app": "web"}
	a := &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: v1alpha1.AppSpec{
			Replicas: ptr.To(int32(1 + random.IntN(4))), Selector: &metav1.LabelSelector{MatchLabels: labels},
			RevisionHistoryLimit: ptr.To[int32](2), ProgressDeadlineSeconds: ptr.To[int32](60),
			Strategy: v1alpha1.AppStrategy{Type: v1alpha1.RecreateAppStrategy},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
			},
		},
	}
	if random.IntN(3) > 0 {
		a.Spec.Strategy = v1alpha1.AppStrategy{Type: v1alpha1.RollingUpdateAppStrategy, RollingUpdate: &v1alpha1.RollingUpdateApp{}}
	}
	if random.IntN(3) == 0 {
		a.Spec.MinReadySeconds = 5
	}
	return a
}

func TestNoAppRunsAwayWhateverIsDoneToWhatItsControllersWrite(t *testing.T) {
	all := mischiefs()
	first := int(kit.SeedOr(t, 0))
	for seed := first; seed < first+*seeds; seed++ {
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		// The first seeds use one each, the later ones several at once.
		chosen := []mischief{all[seed%len(all)]}
		for seed >= 2*len(all) && len(chosen) < 3 {
			chosen = append(chosen, all[random.IntN(len(all))])
		}
		var names []string
		for _, m := range chosen {
			names = append(names, m.name)
		}
		fails := seed%3 == 1
		if fails {
			names = append(names, "instances end at once")
		}
		t.Run(fmt.Sprintf("%d: admission %s", seed, strings.Join(names, ", and ")), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { watchApp(t, newApp(random), chosen, fails) })
		})
	}
}

// watchApp runs the controllers of an app for some minutes, and checks their writes.
func watchApp(t *testing.T, a *v1alpha1.App, chosen []mischief, fails bool) {
	counter := 0
	s := newServer(t, func(r request, obj object) error {
		counter++
		for _, m := range chosen {
			if err := m.does(r, obj, counter); err != nil {
				return err
			}
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.stop = cancel
	events := &told{reasons: map[string]string{}}
	shared := informers.NewForClient(s.client)
	apps, err := app.NewForClient(s.client, shared, events, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	releases, err := release.NewForClient(s.client, shared, events, clock.RealClock{})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { shared.Run(ctx) })
	running.Go(func() { apps.Run(ctx) })
	running.Go(func() { releases.Run(ctx) })
	running.Go(func() { reportInstances(ctx, s, fails) })
	time.Sleep(time.Second)
	if _, err := s.client.FleetV1alpha1().Apps("default").Create(ctx, a, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for minute := range minutes {
		time.Sleep(time.Minute)
		written, by, largest := s.taken()
		replicas := int(max(largest, *a.Spec.Replicas))
		if written > writesPerMinute+writesPerReplica*replicas {
			t.Fatalf("%d writes in minute %d for %d replicas: %v; events %v", written, minute+1, replicas, by, events.warnings())
		}
		t.Logf("minute %d: %d writes for %d replicas", minute+1, written, replicas)
	}
	synctest.Wait()
	s.lock.Lock()
	requests := s.requests
	s.lock.Unlock()
	if requests >= tooManyRequests {
		t.Fatalf("%d requests", requests)
	}
	list, err := s.client.FleetV1alpha1().Releases("default").List(ctx, metav1.ListOptions{})
	if err != nil || len(list.Items) > mostReleases {
		t.Errorf("there are %d releases (%v)", len(list.Items), err)
	}
	saysWhy(t, s, events)
}

// saysWhy checks that the status of the app has a reason, or, if admission removes it, that an event has.
func saysWhy(t *testing.T, s *server, events *told) {
	t.Helper()
	a, err := s.client.FleetV1alpha1().Apps("default").Get(t.Context(), "web", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ready := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.AppConditionReady)
	switch warnings := events.warnings(); {
	case ready == nil && len(warnings) == 0:
		t.Error("the app has no condition Ready, and no event has the reason")
	case ready == nil || ready.Status == metav1.ConditionTrue:
	case len(warnings) == 0 || ready.Message == "" || slices.Contains([]string{app.UnavailableReason, app.OldInstancesReason}, ready.Reason):
		t.Errorf("the app reports %s: %q, and the events %q", ready.Reason, ready.Message, warnings)
	}
}

// reportInstances simulates the agents: instances become ready, or end, a second after their creation.
func reportInstances(ctx context.Context, s *server, fails bool) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
		list, err := s.client.FleetV1alpha1().Instances("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			continue
		}
		for i := range list.Items {
			switch one := &list.Items[i]; {
			case one.Status.Phase != v1alpha1.InstancePending:
			case fails:
				s.report(one, v1alpha1.InstanceFailed, false)
			default:
				s.report(one, v1alpha1.InstanceRunning, true)
			}
		}
	}
}
