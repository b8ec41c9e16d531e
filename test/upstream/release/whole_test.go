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
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/replicaset"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetinformers "github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	ours "github.com/gatehouse-dev/gatehouse/pkg/controller/release"
	fleetfake "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// TestMain silences the logs of intended failures, and disables upstream's rate limit of
// errors: it counts from the process's start, which in the time of a bubble is decades ahead.
func TestMain(m *testing.M) {
	// Fake watches panic if their channel is full, which a burst of writes causes on a busy
	// machine.
	watch.DefaultChanSize = 1 << 14
	klog.SetLogger(logr.Discard())
	utilruntime.ErrorHandlers = nil
	os.Exit(m.Run())
}

// burst is the maximum number of creations or deletions of both in one round.
const burst = ours.Burst

// situation is the input of both controllers.
type situation struct {
	release   *v1alpha1.Release
	siblings  []*v1alpha1.Release
	instances []*v1alpha1.Instance
	// allowed is the number of creations that succeed, if there is a limit.
	allowed *int
	// refuses makes all deletions fail.
	refuses bool
}

// outcome is the total of a controller's writes, and its final status.
type outcome struct {
	// firstTries is the number of creations before the first write of a status: failed creations
	// are retried, and the number of retries depends on time.
	firstTries                 int
	made                       int
	deleted, patched           string
	replicas, ready, available int32
	observed                   int64
	condition                  string
}

// log records the requests of a controller.
type log struct {
	lock             sync.Mutex
	tries, made      int
	firstTries       int
	deleted, patched []string
	situation        situation
}

// watch intercepts requests. Created objects get the fields that the server would set.
func (l *log) watch(client *clienttesting.Fake, dependents, owners string) {
	client.PrependReactor("create", dependents, func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.lock.Lock()
		defer l.lock.Unlock()
		l.tries++
		if l.situation.allowed != nil && l.made >= *l.situation.allowed {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: dependents}, "", fmt.Errorf("exceeded quota"))
		}
		l.made++
		object := action.(clienttesting.CreateAction).GetObject().(metav1.Object)
		object.SetName(fmt.Sprintf("%s%d", object.GetGenerateName(), l.made))
		object.SetUID(types.UID(object.GetName()))
		object.SetCreationTimestamp(metav1.Now())
		return false, nil, nil
	})
	client.PrependReactor("delete", dependents, func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.lock.Lock()
		defer l.lock.Unlock()
		name := action.(clienttesting.DeleteAction).GetName()
		if l.situation.refuses {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: dependents}, name, fmt.Errorf("not now"))
		}
		l.deleted = append(l.deleted, name)
		return false, nil, nil
	})
	client.PrependReactor("patch", dependents, func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.lock.Lock()
		defer l.lock.Unlock()
		l.patched = append(l.patched, action.(clienttesting.PatchAction).GetName())
		return false, nil, nil
	})
	client.PrependReactor("update", owners, func(action clienttesting.Action) (bool, runtime.Object, error) {
		l.lock.Lock()
		defer l.lock.Unlock()
		if object := action.(clienttesting.UpdateAction).GetObject().(metav1.Object); object.GetName() == "web" && l.firstTries == 0 {
			l.firstTries = l.tries
		}
		return false, nil, nil
	})
}

func (l *log) outcome() outcome {
	l.lock.Lock()
	defer l.lock.Unlock()
	slices.Sort(l.deleted)
	slices.Sort(l.patched)
	o := outcome{made: l.made, patched: strings.Join(slices.Compact(l.patched), " "), deleted: strings.Join(slices.Compact(l.deleted), " ")}
	if l.situation.allowed != nil {
		o.firstTries = l.firstTries
	}
	return o
}

// whole is longer than any retry, timeout or minReadySeconds of these tests.
const whole = time.Hour

// upstreamDoes runs upstream's controller until nothing changes any more.
func upstreamDoes(t *testing.T, s situation) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		objects := []runtime.Object{replicaSet(s.release)}
		for _, r := range s.siblings {
			objects = append(objects, replicaSet(r))
		}
		for _, i := range s.instances {
			objects = append(objects, pod(i))
		}
		client, l := fake.NewClientset(objects...), &log{situation: s}
		l.watch(&client.Fake, "pods", "replicasets")
		ctx, cancel := context.WithCancel(t.Context())
		factory := informers.NewSharedInformerFactory(client, 0)
		c := replicaset.NewReplicaSetController(ctx, factory.Apps().V1().ReplicaSets(), factory.Core().V1().Pods(), client, burst)
		factory.Start(ctx.Done())
		var running sync.WaitGroup
		running.Go(func() { c.Run(ctx, 1) })
		time.Sleep(whole)
		got, err := client.AppsV1().ReplicaSets("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			t.Error(err)
			got = &appsv1.ReplicaSet{}
		}
		cancel()
		running.Wait()
		factory.Shutdown()
		o = l.outcome()
		o.replicas, o.ready, o.available, o.observed = got.Status.Replicas, got.Status.ReadyReplicas, got.Status.AvailableReplicas, got.Status.ObservedGeneration
		for _, c := range got.Status.Conditions {
			o.condition += string(c.Type) + "=" + string(c.Status) + " " + c.Reason
		}
	})
	return o
}

// weDo runs our controller.
func weDo(t *testing.T, s situation) (o outcome) {
	synctest.Test(t, func(t *testing.T) {
		objects := []runtime.Object{s.release.DeepCopy()}
		for _, r := range s.siblings {
			objects = append(objects, r.DeepCopy())
		}
		for _, i := range s.instances {
			objects = append(objects, i.DeepCopy())
		}
		client, l := fleetfake.NewSimpleClientset(objects...), &log{situation: s}
		l.watch(&client.Fake, "instances", "releases")
		ctx, cancel := context.WithCancel(t.Context())
		shared := fleetinformers.NewForClient(client)
		c, err := ours.NewForClient(client, shared, &record.FakeRecorder{}, clock.RealClock{})
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() { c.Run(ctx) })
		running.Go(func() { shared.Run(ctx) })
		time.Sleep(whole)
		got, err := client.FleetV1alpha1().Releases("default").Get(ctx, "web", metav1.GetOptions{})
		if err != nil {
			t.Error(err)
			got = &v1alpha1.Release{}
		}
		cancel()
		running.Wait()
		o = l.outcome()
		o.replicas, o.ready, o.available, o.observed = got.Status.Replicas, got.Status.ReadyReplicas, got.Status.AvailableReplicas, got.Status.ObservedGeneration
		for _, c := range got.Status.Conditions {
			if c.Type != v1alpha1.ReleaseConditionReplicaFailure {
				continue // upstream has no other
			}
			o.condition += c.Type + "=" + string(c.Status) + " " + c.Reason
		}
	})
	return o
}

func TestBothControllersDoTheSame(t *testing.T) {
	foo := map[string]string{"name": "foo"}
	web := func(replicas int32, changes ...func(*v1alpha1.Release)) *v1alpha1.Release {
		r := release("web", replicas, foo)
		for _, c := range changes {
			c(r)
		}
		return r
	}
	minReady := func(r *v1alpha1.Release) { r.Spec.MinReadySeconds = 3600 * 24 }
	going := func(r *v1alpha1.Release) { r.DeletionTimestamp = ptr.To(metav1.NewTime(start)) }
	failed := func(r *v1alpha1.Release) {
		r.Status.Conditions = []metav1.Condition{{Type: "ReplicaFailure", Status: metav1.ConditionTrue, Reason: "Before"}}
	}
	mine := of(release("web", 0, foo))
	theirs := of(release("other", 0, foo))
	quick := ready(start)
	long := ready(start.AddDate(0, -1, 0))
	list := func(i ...*v1alpha1.Instance) []*v1alpha1.Instance { return i }
	many := func(n int, changes ...change) (all []*v1alpha1.Instance) {
		for k := range n {
			all = append(all, instance(fmt.Sprint("i", k), changes...))
		}
		return all
	}
	// The kinds of instances of upstream's cases about deletion.
	unboundPending := instance("unbound-pending", mine, on(""), in(v1alpha1.InstancePending))
	boundPending := instance("bound-pending", mine, in(v1alpha1.InstancePending))
	runningUnready, runningUnready2 := instance("unready", mine, notReady), instance("unready2", mine, notReady)
	onOne, onTwo := instance("on-1", mine, on("h1"), quick), instance("on-2", mine, on("h2"), quick)
	other := release("other", 1, map[string]string{"name": "other"})
	beside := instance("beside", of(other), on("h2"), quick)
	for _, tc := range []struct {
		name string
		situation
		want outcome
	}{
		{"at its number it does nothing", situation{release: web(2), instances: many(2, mine)}, outcome{replicas: 2}},
		{"it makes what is missing", situation{release: web(3), instances: many(1, mine)}, outcome{made: 2, replicas: 3}},
		{"it makes none where none are wanted", situation{release: web(0)}, outcome{}},
		{"it deletes what is too many", situation{release: web(0), instances: many(2, mine)}, outcome{deleted: "i0 i1"}},
		{"more than one burst is made in the end", situation{release: web(burst + 20)}, outcome{made: burst + 20, replicas: burst + 20}},
		{"one that failed is replaced", situation{release: web(2), instances: list(instance("a", mine), instance("b", mine, in(v1alpha1.InstanceFailed)))}, outcome{made: 1, replicas: 2}},
		{"one that succeeded is replaced", situation{release: web(1), instances: list(instance("b", mine, in(v1alpha1.InstanceSucceeded)))}, outcome{made: 1, replicas: 1}},
		{"one that is being deleted is replaced", situation{release: web(1), instances: list(instance("b", mine, deleted))}, outcome{made: 1, replicas: 1}},
		{"an orphan is adopted", situation{release: web(2), instances: list(instance("a", labelled("name", "foo")))}, outcome{made: 1, patched: "a", replicas: 2}},
		{"an orphan that ended is not", situation{release: web(1), instances: list(instance("a", labelled("name", "foo"), in(v1alpha1.InstanceFailed)))}, outcome{made: 1, replicas: 1}},
		{"an orphan that is not chosen is left alone", situation{release: web(1), instances: list(instance("a", labelled("name", "bar")))}, outcome{made: 1, replicas: 1}},
		{"another's is left alone", situation{release: web(2), instances: list(instance("a", theirs))}, outcome{made: 2, replicas: 2}},
		{"one that is chosen no longer is let go", situation{release: web(1), instances: list(instance("a", mine, labelled("name", "bar")))}, outcome{made: 1, patched: "a", replicas: 1}},
		{"while it is being deleted it makes none", situation{release: web(2, going), instances: many(1, mine)}, outcome{replicas: 1}},
		{"nor deletes any", situation{release: web(1, going), instances: many(3, mine)}, outcome{replicas: 3}},
		{"nor adopts any", situation{release: web(1, going), instances: list(instance("a", labelled("name", "foo")))}, outcome{}},
		{"it counts what is ready", situation{release: web(3), instances: list(instance("a", mine, quick), instance("b", mine, notReady), instance("c", mine))}, outcome{replicas: 3, ready: 1, available: 1}},
		{"a pending one counts", situation{release: web(1), instances: list(instance("a", mine, in(v1alpha1.InstancePending)))}, outcome{replicas: 1}},
		{"ready is not available before its time", situation{release: web(1, minReady), instances: list(instance("a", mine, quick))}, outcome{replicas: 1, ready: 1}},
		{"available after long", situation{release: web(1, minReady), instances: list(instance("a", mine, long))}, outcome{replicas: 1, ready: 1, available: 1}},
		{"available after minReadySeconds, without an event", situation{release: web(2, func(r *v1alpha1.Release) { r.Spec.MinReadySeconds = 600 }), instances: list(instance("a", mine, quick), instance("b", mine, ready(start.Add(5*time.Minute))))}, outcome{replicas: 2, ready: 2, available: 2}},
		{"all creations fail: one is tried", situation{release: web(10), allowed: ptr.To(0)}, outcome{firstTries: 1, condition: "ReplicaFailure=True FailedCreate"}},
		{"all creations succeed: 1, 2, 4, 3", situation{release: web(10), allowed: ptr.To(10)}, outcome{firstTries: 10, made: 10, replicas: 10}},
		{"five succeed: 1, 2, 4 are tried", situation{release: web(10), allowed: ptr.To(5)}, outcome{firstTries: 7, made: 5, replicas: 5, condition: "ReplicaFailure=True FailedCreate"}},
		{"a deletion that fails is reported", situation{release: web(0), instances: many(2, mine), refuses: true}, outcome{replicas: 2, condition: "ReplicaFailure=True FailedDelete"}},
		{"a failure that is over is no longer reported", situation{release: web(1, failed), instances: many(1, mine)}, outcome{replicas: 1}},
		{"a failure that continues keeps its message", situation{release: web(10, failed), allowed: ptr.To(0)}, outcome{firstTries: 1, condition: "ReplicaFailure=True Before"}},
		{"unready is deleted before ready", situation{release: web(1), instances: list(onOne, runningUnready)}, outcome{deleted: "unready", replicas: 1, ready: 1, available: 1}},
		{"all go, whatever they do", situation{release: web(0), instances: list(onOne, onTwo, runningUnready, boundPending, unboundPending)}, outcome{deleted: "bound-pending on-1 on-2 unbound-pending unready"}},
		{"unbound is deleted before bound", situation{release: web(1), instances: list(boundPending, unboundPending)}, outcome{deleted: "unbound-pending", replicas: 1}},
		{"two unready go before one that is ready", situation{release: web(1), instances: list(onOne, runningUnready, runningUnready2)}, outcome{deleted: "unready unready2", replicas: 1, ready: 1, available: 1}},
		{"one beside a neighbour is deleted first", situation{release: web(1), siblings: []*v1alpha1.Release{other}, instances: list(onOne, onTwo, beside)}, outcome{deleted: "on-2", replicas: 1, ready: 1, available: 1}},
		{"one of two that share a host is deleted first", situation{release: web(2), instances: list(instance("a", mine, on("h1"), ready(start.AddDate(-1, 0, 0))), instance("b", mine, on("h1"), long), instance("c", mine, on("h2"), quick))}, outcome{deleted: "b", replicas: 2, ready: 2, available: 2}},
		{"pending is deleted before running", situation{release: web(1), instances: list(boundPending, runningUnready)}, outcome{deleted: "bound-pending", replicas: 1}},
		{"those go that do least", situation{release: web(2), instances: list(onOne, onTwo, runningUnready, boundPending, unboundPending)}, outcome{deleted: "bound-pending unbound-pending unready", replicas: 2, ready: 2, available: 2}},
		{"those that cost least", situation{release: web(1), instances: list(instance("dear", mine, costs("5"), quick), instance("cheap", mine, costs("-5"), quick))}, outcome{deleted: "cheap", replicas: 1, ready: 1, available: 1}},
		{"an adopted one counts at once", situation{release: web(1), instances: list(instance("a", mine, quick), instance("b", labelled("name", "foo"), on("")))}, outcome{deleted: "b", patched: "b", replicas: 1, ready: 1, available: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.want.observed = 1
			if got := upstreamDoes(t, tc.situation); got != tc.want {
				t.Errorf("upstream did\n%+v, want\n%+v", got, tc.want)
			}
			if got := weDo(t, tc.situation); got != tc.want {
				t.Errorf("ours did\n%+v, want\n%+v", got, tc.want)
			}
		})
	}
}

// TestBothControllersDoTheSameByChance leaves out the order of instances of about the same age, which only
// the sort decides: all these instances have different times.
func TestBothControllersDoTheSameByChance(t *testing.T) {
	s := newSource(t)
	foo := map[string]string{"name": "foo"}
	made, removed, patched := 0, 0, 0
	for n := range 150 {
		r, sibling := release("web", int32(s.IntN(8)), foo), release("sibling", 100, map[string]string{"name": "sibling"})
		r.Spec.MinReadySeconds = int32(s.IntN(3) * 60)
		found := situation{release: r}
		for m := range s.IntN(12) {
			i := s.instance(fmt.Sprint("i", m), start)
			created(start.Add(-time.Duration(1+s.IntN(1000000)) * time.Second))(i)
			if len(i.Status.Conditions) > 0 && i.Status.Conditions[0].Status == metav1.ConditionTrue {
				ready(start.Add(-time.Duration(1+s.IntN(1000000)) * time.Second))(i)
			}
			pick(s, func() { of(r)(i) }, func() { of(r)(i) }, func() { of(r)(i) }, func() { labelled("name", "foo")(i) }, func() {
				of(r)(i)
				labelled("name", "bar")(i)
			}, func() { of(sibling)(i) })()
			found.instances = append(found.instances, i)
		}
		theirs, mine := upstreamDoes(t, found), weDo(t, found)
		if theirs != mine {
			t.Errorf("situation %d:\nupstream %+v\nours     %+v", n, theirs, mine)
			for _, i := range found.instances {
				t.Logf("%s %v %v %s %q %v", i.Name, i.Labels, metav1.GetControllerOf(i), i.Status.Phase, i.Spec.HostName, i.Status.Conditions)
			}
			break
		}
		made, removed, patched = made+theirs.made, removed+len(theirs.deleted), patched+len(theirs.patched)
	}
	if min(made, removed, patched) < 50 {
		t.Errorf("too few changes to prove anything: %d made, %d deleted, %d patched", made, removed, patched)
	}
}
