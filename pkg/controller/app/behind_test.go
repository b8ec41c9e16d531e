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
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// slowCache is a controller whose cache a test fills, and a server that gives each write of the app a higher version.
type slowCache struct {
	*Controller
	t       *testing.T
	client  *fake.Clientset
	store   cache.Store
	version int
	written *v1alpha1.App
}

func newSlowCache(t *testing.T, app *v1alpha1.App, clock clock.PassiveClock) *slowCache {
	t.Helper()
	s := &slowCache{t: t, client: fake.NewClientset(app), version: 9, written: app}
	shared := informers.NewForClient(s.client)
	var err error
	if s.Controller, err = NewForClient(s.client, shared, record.NewFakeRecorder(100), clock); err != nil {
		t.Fatal(err)
	}
	s.store = shared.Fleet().V1alpha1().Apps().Informer().GetStore()
	s.client.PrependReactor("update", "apps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, s.write(action.(clienttesting.UpdateAction).GetObject().(*v1alpha1.App).DeepCopy()), nil
	})
	s.client.PrependReactor("patch", "apps", func(clienttesting.Action) (bool, runtime.Object, error) {
		patched := s.written.DeepCopy()
		patched.Annotations = map[string]string{v1alpha1.RevisionAnnotation: "1"}
		return true, s.write(patched), nil
	})
	s.client.PrependReactor("create", "releases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, action.(clienttesting.CreateAction).GetObject(), nil
	})
	return s
}

func (s *slowCache) write(app *v1alpha1.App) *v1alpha1.App {
	s.version++
	app.ResourceVersion = fmt.Sprint(s.version)
	s.written = app
	return app
}

// shows puts an app into the cache, and returns the verbs of the writes of the app that follow.
func (s *slowCache) shows(app *v1alpha1.App) (verbs []string) {
	s.t.Helper()
	if err := s.store.Add(app); err != nil {
		s.t.Fatal(err)
	}
	s.client.ClearActions()
	if err := s.sync(s.t.Context(), types.NamespacedName{Namespace: app.Namespace, Name: app.Name}); err != nil {
		s.t.Fatal(err)
	}
	for _, action := range s.client.Actions() {
		if action.GetResource().Resource == "apps" {
			verbs = append(verbs, action.GetVerb())
		}
	}
	return verbs
}

func TestAnAppWaitsUntilTheCacheHasWhatWasWritten(t *testing.T) {
	app, clock := makeApp(1), clocktesting.NewFakePassiveClock(noon)
	s := newSlowCache(t, app, clock)
	if got := s.shows(app); !slices.Contains(got, "update") {
		t.Fatalf("the first time %v", got)
	}
	between := s.written.DeepCopy()
	between.ResourceVersion = "9"
	for name, cached := range map[string]*v1alpha1.App{"the app before the writes": app, "the app between the writes": between} {
		if got := s.shows(cached); len(got) > 0 {
			t.Errorf("with %s in the cache: %v", name, got)
		}
	}
	clock.SetTime(noon.Add(longestWait))
	if got := s.shows(app); !slices.Contains(got, "update") {
		t.Errorf("after the longest time: %v", got)
	}
	last := s.written.DeepCopy()
	last.Generation++
	if got := s.shows(last); len(got) == 0 {
		t.Error("with what was written in the cache, nothing is done for a new generation")
	}
}

func TestWritesOfAppsAreForgotten(t *testing.T) {
	w := writes{of: map[types.UID]write{}}
	app, newer := makeApp(1), makeApp(1)
	newer.ResourceVersion = "20"
	w.wrote(newer, noon)
	if left, waits := w.wait(app, noon.Add(time.Second)); !waits || left != longestWait-time.Second {
		t.Errorf("waits %t for %v", waits, left)
	}
	w.forget(app.UID)
	if _, waits := w.wait(app, noon); waits {
		t.Error("waits for what was written to a deleted app")
	}
	newer.ResourceVersion = "not a number"
	w.wrote(newer, noon)
	if _, waits := w.wait(app, noon); waits {
		t.Error("waits for a version that cannot be compared")
	}
}
