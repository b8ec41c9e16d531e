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
	"maps"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
)

// newController returns a controller with objects in its caches, without a server.
func newController(t *testing.T, apps []*v1alpha1.App, releases []*v1alpha1.Release) *Controller {
	t.Helper()
	config := &rest.Config{Host: "http://127.0.0.1:0"}
	shared, err := informers.New(config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(config, shared)
	if err != nil {
		t.Fatal(err)
	}
	for _, app := range apps {
		if err := shared.Fleet().V1alpha1().Apps().Informer().GetIndexer().Add(app); err != nil {
			t.Fatal(err)
		}
	}
	for _, release := range releases {
		if err := c.releases.Add(release); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// queued empties the queue.
func (c *Controller) queued() string {
	names := map[string]bool{}
	for c.queue.Len() > 0 {
		key, _ := c.queue.Get()
		names[key.Name] = true
		c.queue.Done(key)
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), " ")
}

func named(name string) func(*v1alpha1.App) {
	return func(app *v1alpha1.App) { app.Name, app.UID = name, types.UID(name) }
}

func orphaned(release *v1alpha1.Release) { release.OwnerReferences = nil }

func ownedBy(name, kind string) func(*v1alpha1.Release) {
	return func(release *v1alpha1.Release) {
		release.OwnerReferences[0].Name, release.OwnerReferences[0].UID, release.OwnerReferences[0].Kind = name, types.UID(name), kind
	}
}

func TestWhichAppsAReleaseEventEnqueues(t *testing.T) {
	dies := func(release *v1alpha1.Release) { release.DeletionTimestamp = &metav1.Time{Time: noon} }
	elsewhere := func(app *v1alpha1.App) { app.Spec.Selector.MatchLabels = map[string]string{"app": "db"} }
	relabelled := func(release *v1alpha1.Release) { release.Labels = map[string]string{"app": "db"} }
	apps := []*v1alpha1.App{makeApp(1), makeApp(1, named("twin")), makeApp(1, named("db"), elsewhere)}
	for _, tc := range []struct {
		name     string
		was, now *v1alpha1.Release
		want     string
	}{
		{"its owner, when it comes", nil, makeRelease(1, 1), "web"},
		{"its owner, when it changes", makeRelease(1, 1), makeRelease(1, 2), "web"},
		{"its owner, when it is deleted", makeRelease(1, 1), nil, "web"},
		{"its owner, when it comes and is going", nil, makeRelease(1, 1, dies), "web"},
		{"none, when an owner of another kind has it", nil, makeRelease(1, 1, ownedBy("web", "Fleet")), ""},
		{"none, when an earlier app of the name has it", nil, makeRelease(1, 1, func(r *v1alpha1.Release) { r.OwnerReferences[0].UID = "before" }), ""},
		{"those that may adopt it, when it is created", nil, makeRelease(1, 1, orphaned), "twin web"},
		{"none, when it is created without an owner and is being deleted", nil, makeRelease(1, 1, orphaned, dies), ""},
		{"none, when it is deleted and had no owner", makeRelease(1, 1, orphaned), nil, ""},
		{"those that may adopt it, when it gets their labels", makeRelease(1, 1, orphaned), makeRelease(1, 1, orphaned, relabelled), "db"},
		{"none, when it has no owner and gets another size", makeRelease(1, 1, orphaned), makeRelease(1, 2, orphaned), ""},
		{"both owners, when it changes hands", makeRelease(1, 1), makeRelease(1, 1, ownedBy("db", "App")), "db web"},
		{"the old owner and those that may adopt it, when it is released", makeRelease(1, 1, ownedBy("db", "App")), makeRelease(1, 1, orphaned), "db twin web"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newController(t, apps, nil)
			handler := c.releaseHandler()
			switch {
			case tc.was == nil:
				handler.OnAdd(tc.now, false)
			case tc.now == nil:
				handler.OnDelete(cache.DeletedFinalStateUnknown{Obj: tc.was})
			default:
				handler.OnUpdate(tc.was, tc.now)
			}
			if got := c.queued(); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhichAppsAnEndedInstanceEnqueues(t *testing.T) {
	instanceOf := func(release *v1alpha1.Release, phase v1alpha1.InstancePhase) *v1alpha1.Instance {
		return &v1alpha1.Instance{
			ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one", OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(release, v1alpha1.SchemeGroupVersion.WithKind("Release")),
			}},
			Status: v1alpha1.InstanceStatus{Phase: phase},
		}
	}
	known := makeRelease(1, 1)
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		was, now *v1alpha1.Instance
		want     string
	}{
		{"an app that is recreated, when one is gone", makeApp(1, isRecreated), instanceOf(known, v1alpha1.InstanceRunning), nil, "web"},
		{"an app that is recreated, when one has ended", makeApp(1, isRecreated), instanceOf(known, v1alpha1.InstanceRunning), instanceOf(known, v1alpha1.InstanceFailed), "web"},
		{"none, when one still runs", makeApp(1, isRecreated), instanceOf(known, v1alpha1.InstancePending), instanceOf(known, v1alpha1.InstanceRunning), ""},
		{"none, when it had ended before", makeApp(1, isRecreated), instanceOf(known, v1alpha1.InstanceFailed), instanceOf(known, v1alpha1.InstanceFailed), ""},
		{"none, when the app has rolling updates", makeApp(1), instanceOf(known, v1alpha1.InstanceRunning), nil, ""},
		{"none, when its release is unknown", makeApp(1, isRecreated), instanceOf(makeRelease(2, 1), v1alpha1.InstanceRunning), nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newController(t, []*v1alpha1.App{tc.app}, []*v1alpha1.Release{known})
			if handler := c.instanceHandler(); tc.now == nil {
				handler.OnDelete(tc.was)
			} else {
				handler.OnUpdate(tc.was, tc.now)
			}
			if got := c.queued(); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}
