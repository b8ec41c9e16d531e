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
	"k8s.io/client-go/tools/record"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

func TestAnAppWaitsUntilTheCacheHasWhatWasWritten(t *testing.T) {
	app := makeApp(1)
	client, clock := fake.NewClientset(app), clocktesting.NewFakePassiveClock(noon)
	shared := informers.NewForClient(client)
	c, err := NewForClient(client, shared, record.NewFakeRecorder(100), clock)
	if err != nil {
		t.Fatal(err)
	}
	store := shared.Fleet().V1alpha1().Apps().Informer().GetStore()
	// A server gives each write of the app a higher version. This one takes no account of conflicts.
	version := 9
	written := app
	for _, verb := range []string{"update", "patch"} {
		client.PrependReactor(verb, "apps", func(action clienttesting.Action) (bool, runtime.Object, error) {
			version++
			written = written.DeepCopy()
			if update, ok := action.(clienttesting.UpdateAction); ok && action.GetVerb() == "update" {
				written = update.GetObject().(*v1alpha1.App).DeepCopy()
			} else {
				written.Annotations = map[string]string{v1alpha1.RevisionAnnotation: "1"}
			}
			written.ResourceVersion = fmt.Sprint(version)
			return true, written, nil
		})
	}
	client.PrependReactor("create", "releases", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, action.(clienttesting.CreateAction).GetObject(), nil
	})
	show := func(app *v1alpha1.App) {
		t.Helper()
		if err := store.Add(app); err != nil {
			t.Fatal(err)
		}
	}
	did := func() (writes []string) {
		t.Helper()
		client.ClearActions()
		if err := c.sync(t.Context(), types.NamespacedName{Namespace: app.Namespace, Name: app.Name}); err != nil {
			t.Fatal(err)
		}
		for _, action := range client.Actions() {
			if resource := action.GetResource().Resource; resource == "apps" {
				writes = append(writes, action.GetVerb()+" "+resource)
			}
		}
		return writes
	}

	show(app)
	if got := did(); !slices.Contains(got, "update apps") {
		t.Fatalf("the first time %v", got)
	}
	older := written.DeepCopy()
	older.ResourceVersion = "9"
	for name, cached := range map[string]*v1alpha1.App{"the app before the write": app, "another app in between": older} {
		show(cached)
		if got := did(); len(got) > 0 {
			t.Errorf("with %s in the cache: %v", name, got)
		}
	}
	show(app)
	clock.SetTime(noon.Add(longestWait))
	if got := did(); !slices.Contains(got, "update apps") {
		t.Errorf("after the longest time: %v", got)
	}
	last := written.DeepCopy()
	last.ResourceVersion, last.Generation = fmt.Sprint(version+1), 2
	show(last)
	if got := did(); len(got) == 0 {
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
