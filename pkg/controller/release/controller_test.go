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

package release

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// world is a controller with a cache that contains only the objects of the test: there is no watch.
type world struct {
	*Controller
	t        *testing.T
	client   *fake.Clientset
	clock    *clocktesting.FakePassiveClock
	recorder *record.FakeRecorder
	// refuse is the error of all creations.
	refuse error
	made   atomic.Int32
}

func newWorld(t *testing.T, release *v1alpha1.Release, instances ...*v1alpha1.Instance) *world {
	objects := []runtime.Object{release}
	for _, i := range instances {
		objects = append(objects, i)
	}
	w := &world{t: t, client: fake.NewClientset(objects...), clock: clocktesting.NewFakePassiveClock(noon), recorder: record.NewFakeRecorder(1000)}
	c, err := NewForClient(w.client, informers.NewForClient(w.client), w.recorder, w.clock)
	if err != nil {
		t.Fatal(err)
	}
	w.Controller = c
	// The reactor sets UIDs and resource versions like a server.
	w.client.PrependReactor("create", "instances", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if w.refuse != nil {
			return true, nil, w.refuse
		}
		i := action.(clienttesting.CreateAction).GetObject().(*v1alpha1.Instance).DeepCopy()
		number := w.made.Add(1)
		i.Name = fmt.Sprintf("%s%d", i.GenerateName, number)
		i.UID, i.ResourceVersion = types.UID(i.Name), fmt.Sprint(100+number)
		return true, i, nil
	})
	w.client.PrependReactor("patch", "instances", func(action clienttesting.Action) (bool, runtime.Object, error) {
		return true, &v1alpha1.Instance{ObjectMeta: metav1.ObjectMeta{ResourceVersion: "200"}}, nil
	})
	w.shows(release)
	for _, i := range instances {
		w.shows(i)
	}
	return w
}

// shows puts an object into the cache, as a watch does.
func (w *world) shows(obj runtime.Object) {
	w.t.Helper()
	indexer := w.instances
	if _, ok := obj.(*v1alpha1.Release); ok {
		indexer = w.releaseIndexer
	}
	if err := indexer.Add(obj); err != nil {
		w.t.Fatal(err)
	}
	if i, ok := obj.(*v1alpha1.Instance); ok {
		w.instanceAdded(i)
	}
}

// does runs sync and returns the requests that it made.
func (w *world) does() (requests []string, err error) {
	w.client.ClearActions()
	err = w.sync(w.t.Context(), types.NamespacedName{Namespace: "default", Name: "web"})
	for _, action := range w.client.Actions() {
		request := action.GetVerb() + " " + action.GetResource().Resource
		if action.GetSubresource() != "" {
			request += "/" + action.GetSubresource()
		}
		switch a := action.(type) {
		case clienttesting.DeleteAction:
			request += " " + a.GetName()
		case clienttesting.PatchAction:
			request += " " + a.GetName()
		}
		requests = append(requests, request)
	}
	slices.Sort(requests)
	return requests, err
}

func (w *world) expect(what string, want ...string) {
	w.t.Helper()
	if got, err := w.does(); err != nil || !slices.Equal(got, want) {
		w.t.Errorf("%s: did %v, want %v, %v", what, got, want, err)
	}
}

func owned(i *v1alpha1.Instance) {
	i.Labels = map[string]string{"app": "web"}
	i.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(web(0), kind())}
}

func labelled(app string) change {
	return func(i *v1alpha1.Instance) { i.Labels = map[string]string{"app": app} }
}

func TestWhatIsDoneIsNotDoneAgainBeforeItShows(t *testing.T) {
	const status = "update releases/status"
	create := []string{"create instances", "create instances", "create instances"}
	t.Run("instances are made once", func(t *testing.T) {
		w := newWorld(t, web(3))
		w.expect("three are missing", append(create, status)...)
		w.expect("the cache shows none of them", status)
		for _, name := range []string{"web-1", "web-2"} {
			w.shows(made(name, owned))
		}
		w.expect("it shows two", status)
		w.shows(made("web-3", owned))
		w.expect("it shows all", status)
	})
	t.Run("a cache that is behind is not trusted, however long it takes", func(t *testing.T) {
		w := newWorld(t, web(3))
		w.freshness.instances = func() string { return "102" }
		w.expect("three are missing", append(create, status)...)
		w.clock.SetTime(noon.Add(time.Hour))
		if requests, err := w.does(); err == nil || len(requests) > 0 {
			t.Errorf("did %v, %v", requests, err)
		}
		w.freshness.instances = func() string { return "103" }
		w.expect("it has caught up: those that it does not show are gone", append(create, status)...)
	})
	t.Run("an event that the watch never sends times out", func(t *testing.T) {
		w := newWorld(t, web(3))
		w.expect("three are missing", append(create, status)...)
		w.clock.SetTime(noon.Add(ExpectationsTimeout + time.Second))
		w.expect("long after", append(create, status)...)
	})
	t.Run("instances are deleted once", func(t *testing.T) {
		a, b, c := made("a", owned, on("")), made("b", owned), made("c", owned, readyFor(time.Hour))
		w := newWorld(t, web(1), a, b, c)
		w.expect("two are too many", "delete instances a", "delete instances b", status)
		w.expect("the cache shows none of that", status)
		going := a.DeepCopy()
		deleted(going)
		w.instanceChanged(a, going)
		_ = w.instances.Update(going)
		w.expect("one is going", status)
		w.instanceGone(going)
		_ = w.instances.Delete(going)
		w.expect("one is gone", status)
		w.instanceGone(b)
		_ = w.instances.Delete(b)
		w.expect("both are", status)
	})
}

func TestWhatIsDone(t *testing.T) {
	const status = "update releases/status"
	goingRelease := web(1)
	goingRelease.DeletionTimestamp = &metav1.Time{Time: noon}
	going, gone := made("a", owned, deleted), made("b", owned, in(v1alpha1.InstanceFailed))
	foreign := made("a", labelled("web"))
	foreign.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(web(0), schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "ReplicaSet"})}
	atRest := web(1)
	atRest.Status = v1alpha1.ReleaseStatus{ObservedGeneration: 4, Replicas: 1}
	withHealth(atRest, &atRest.Status, View{Now: noon})
	for _, tc := range []struct {
		name      string
		release   *v1alpha1.Release
		instances []*v1alpha1.Instance
		want      []string
	}{
		{"at rest, nothing is written", atRest, []*v1alpha1.Instance{made("a", owned)}, nil},
		{"one that is going and one that failed are replaced", web(2), []*v1alpha1.Instance{going, gone}, []string{"create instances", "create instances", status}},
		{"a release that is being deleted only counts", goingRelease, []*v1alpha1.Instance{made("a", owned), made("b", owned), made("c", labelled("web"))}, []string{status}},
		{"a matching orphan is adopted, and no instance is created", web(1), []*v1alpha1.Instance{made("a", labelled("web"))}, []string{"get releases", "patch instances a", status}},
		{"an orphan that is not chosen is left alone", web(0), []*v1alpha1.Instance{made("a", labelled("db"))}, []string{status}},
		{"an orphan that has ended is left alone", web(0), []*v1alpha1.Instance{made("a", labelled("web"), in(v1alpha1.InstanceSucceeded))}, []string{status}},
		{"one that is chosen no longer is let go and replaced", web(1), []*v1alpha1.Instance{made("a", owned, labelled("db"))}, []string{"create instances", "patch instances a", status}},
		{"another's is left alone", web(0), []*v1alpha1.Instance{foreign}, []string{status}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			newWorld(t, tc.release, tc.instances...).expect("it", tc.want...)
		})
	}
}

func TestAReleaseThatIsGoneAdoptsNothing(t *testing.T) {
	for name, live := range map[string]*v1alpha1.Release{
		"it was deleted a moment ago":     func() *v1alpha1.Release { r := web(1); r.DeletionTimestamp = &metav1.Time{Time: noon}; return r }(),
		"it is another by the same name":  func() *v1alpha1.Release { r := web(1); r.UID = "another"; return r }(),
		"the server does not know it":     nil,
		"the server knows and it may not": web(1),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, web(1), made("a", labelled("web")))
			w.client.PrependReactor("get", "releases", func(clienttesting.Action) (bool, runtime.Object, error) {
				if live == nil {
					return true, nil, apierrors.NewNotFound(v1alpha1.Resource("releases"), "web")
				}
				return true, live, nil
			})
			if live != nil && live.UID == "web-uid" && live.DeletionTimestamp == nil {
				w.client.PrependReactor("patch", "instances", func(clienttesting.Action) (bool, runtime.Object, error) {
					return true, nil, apierrors.NewConflict(v1alpha1.Resource("instances"), "a", fmt.Errorf("changed"))
				})
			}
			requests, err := w.does()
			if err == nil || slices.ContainsFunc(requests, func(r string) bool { return strings.HasPrefix(r, "create") || strings.HasPrefix(r, "update") }) {
				t.Errorf("did %v, %v", requests, err)
			}
		})
	}
}

func TestAFailureIsReported(t *testing.T) {
	terminating := apierrors.NewForbidden(v1alpha1.Resource("instances"), "", fmt.Errorf("namespace is terminating"))
	terminating.ErrStatus.Details.Causes = append(terminating.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	quota := apierrors.NewForbidden(v1alpha1.Resource("instances"), "", fmt.Errorf("exceeded quota"))
	for _, tc := range []struct {
		name   string
		refuse error
		told   bool
	}{
		{"a refusal is in the condition and an event, and it is tried again", quota, true},
		{"a terminating namespace causes no event", terminating, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, web(8))
			w.refuse = tc.refuse
			requests, err := w.does()
			if (err != nil) != tc.told || !slices.Equal(requests, []string{"create instances", "update releases/status"}) {
				t.Errorf("did %v, %v", requests, err)
			}
			release, _ := w.client.FleetV1alpha1().Releases("default").Get(context.Background(), "web", metav1.GetOptions{})
			failure := meta.FindStatusCondition(release.Status.Conditions, v1alpha1.ReleaseConditionReplicaFailure)
			if told := failure != nil && strings.Contains(failure.Message, "quota"); told != tc.told {
				t.Errorf("conditions %v", release.Status.Conditions)
			}
			if told := len(w.recorder.Events) > 0 && strings.Contains(<-w.recorder.Events, "Warning FailedCreate"); told != tc.told {
				t.Errorf("an event: %t", told)
			}
		})
	}
}

func TestAConflictOverTheStatusIsNoFailure(t *testing.T) {
	for _, refusal := range []error{
		apierrors.NewConflict(v1alpha1.Resource("releases"), "web", fmt.Errorf("changed")),
		apierrors.NewNotFound(v1alpha1.Resource("releases"), "web"),
		apierrors.NewGenericServerResponse(http.StatusInternalServerError, "update", v1alpha1.Resource("releases"), "web", "broken", 0, true),
	} {
		w := newWorld(t, web(0))
		w.client.PrependReactor("update", "releases", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, refusal })
		if _, err := w.does(); (err != nil) != apierrors.IsInternalError(refusal) {
			t.Errorf("%v became %v", refusal, err)
		}
	}
}

// laterQueue records delayed keys, and never adds them.
type laterQueue struct {
	workqueue.TypedRateLimitingInterface[types.NamespacedName]
	pauses []time.Duration
}

func (q *laterQueue) AddAfter(_ types.NamespacedName, pause time.Duration) {
	q.pauses = append(q.pauses, pause)
}

func TestHowLongAReleaseWaitsForMoreToCount(t *testing.T) {
	for replicas, want := range map[int32]time.Duration{0: 0, 3: 15 * time.Millisecond, 100: 500 * time.Millisecond, 500: time.Second, 1 << 30: time.Second} {
		if got := Pause(replicas); got != want {
			t.Errorf("%d replicas: %s, want %s", replicas, got, want)
		}
	}
}

func TestInstancesWaitUntilFewerBytesAreOnTheirWay(t *testing.T) {
	w := newWorld(t, web(3))
	if !w.bytes.TryAcquire(writerBytes) {
		t.Fatal("an idle controller has bytes in pending requests")
	}
	selector, err := metav1.LabelSelectorAsSelector(web(3).Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.create(ctx, web(3), selector, 3); !errors.Is(err, context.Canceled) {
		t.Fatalf("created although too many bytes are on their way: %v", err)
	}
	if made := w.made.Load(); made != 0 {
		t.Errorf("%d instances were made", made)
	}
	w.bytes.Release(writerBytes)
	if err := w.create(t.Context(), web(3), selector, 3); err != nil {
		t.Fatal(err)
	}
	if made := w.made.Load(); made != 3 {
		t.Errorf("%d instances were made, not 3", made)
	}
	if !w.bytes.TryAcquire(writerBytes) {
		t.Error("the bytes of completed requests are not released")
	}
}
