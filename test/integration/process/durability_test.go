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

package process

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const killRounds = 5

// TestNothingAcknowledgedIsLostWhenTheServerIsKilled kills the server during writes, several times.
// A watch client either misses no event or gets an error that its resourceVersion expired; an informer
// becomes consistent by itself.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*binary.Patience)
	defer cancel()
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	informer := startWanderer(ctx, t, server)
	keep := newKeepers()
	observer := &survivor{isLast: func(c harness.Change) bool { return c.Name == "final" }}
	first := keep.highest()
	for round := range killRounds {
		client := versioned.NewForConfigOrDie(server.Config)
		keep.client.Store(client)
		keep.dying.Store(false)
		var watching sync.WaitGroup
		watching.Go(func() { observer.watch(ctx, client) })
		var writing sync.WaitGroup
		writing.Go(func() {
			if err := keep.run(ctx, round, 8); err != nil {
				t.Errorf("before the kill: %v", err)
				cancel()
			}
		})
		// The number of writes differs in each round, so that the kill hits different moments.
		if err := keep.acknowledged.Wait(ctx, keep.acknowledged.Value()+100+37*round); err != nil {
			t.Fatal(err)
		}
		keep.dying.Store(true)
		server.Kill()
		server.Wait(t)
		writing.Wait()
		watching.Wait()
		acknowledged, highest := keep.acknowledged.Value(), keep.highest()

		server = binary.Start(t, dir)
		informer.goTo(t, server)
		keep.client.Store(versioned.NewForConfigOrDie(server.Config))
		v, err := keep.verify(ctx)
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		t.Logf("round %d: %d writes acknowledged so far, %d objects, %d writes in doubt of which %d happened", round, acknowledged, v.objects, v.inDoubt, v.happened)
		if created := harness.CreateOnServer(ctx, t, server, fmt.Sprintf("after-%d", round)); mustVersion(t, created.ResourceVersion) <= highest {
			t.Errorf("after the restart a write got resourceVersion %s, but %d had been acknowledged before", created.ResourceVersion, highest)
		} else if err := versioned.NewForConfigOrDie(server.Config).FleetV1alpha1().Instances("default").Delete(ctx, created.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}
	client := versioned.NewForConfigOrDie(server.Config)
	var watching sync.WaitGroup
	watching.Go(func() { observer.watch(ctx, client) })
	final := harness.CreateOnServer(ctx, t, server, "final")
	watching.Wait()
	observer.check(ctx, t, server, first, mustVersion(t, final.ResourceVersion))
	informer.check(t, client)
	server.Stop(t)
	harness.CheckLog(t, server)
}

func mustVersion(t *testing.T, text string) uint64 {
	t.Helper()
	version, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return version
}

// survivor watches across several restarts of the server. It resumes after each; if its
// resourceVersion is too old, it starts a new stretch with the existing objects.
type survivor struct {
	isLast    func(harness.Change) bool
	stretches []*harness.Follower
	resumed   int
	err       error
}

func (s *survivor) watch(ctx context.Context, client versioned.Interface) {
	instances := client.FleetV1alpha1().Instances("")
	for s.err == nil {
		if len(s.stretches) > 0 {
			f := s.stretches[len(s.stretches)-1]
			f.Open = instances.Watch
			f.OnOpen = func() { s.resumed++ }
			err := f.Once(ctx)
			if !apierrors.IsResourceExpired(err) {
				if ctx.Err() != nil {
					s.err = err
				}
				return // all events are seen, or the server is gone
			}
		}
		list, err := instances.List(ctx, metav1.ListOptions{})
		if err != nil {
			return // the server is gone
		}
		version, err := strconv.ParseUint(list.ResourceVersion, 10, 64)
		if err != nil {
			s.err = err
			return
		}
		s.stretches = append(s.stretches, &harness.Follower{Version: version, IsLast: s.isLast, Seen: []harness.Change{{Version: version}}})
		for _, item := range list.Items {
			if s.isLast(harness.Change{Name: item.Name}) {
				return // no more events are expected
			}
		}
	}
}

// check compares every stretch with etcd's history.
func (s *survivor) check(ctx context.Context, t *testing.T, server *binary.Server, after, upTo uint64) {
	t.Helper()
	if s.err != nil {
		t.Fatal(s.err)
	}
	etcd := harness.EtcdClient(t, server.DataDir)
	defer func() { _ = etcd.Close() }()
	happened, err := harness.History(ctx, etcd, after, upTo)
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for i, f := range s.stretches {
		var want []harness.Change
		for _, c := range happened {
			if c.Version > f.Seen[0].Version && c.Version <= f.Version {
				want = append(want, c)
			}
		}
		if difference := harness.CompareChanges(f.Seen[1:], want); difference != "" {
			t.Errorf("stretch %d: %s", i, difference)
		}
		events += len(want)
	}
	if last := s.stretches[len(s.stretches)-1]; last.Version != upTo {
		t.Errorf("the last event seen is at %d, want %d", last.Version, upTo)
	}
	t.Logf("a watcher opened %d watches and saw %d of %d events, in %d stretches", s.resumed, events, len(happened), len(s.stretches))
}

// wanderer is an informer that follows the server to each new address.
type wanderer struct {
	address atomic.Pointer[string]
	factory externalversions.SharedInformerFactory
}

func startWanderer(ctx context.Context, t *testing.T, server *binary.Server) *wanderer {
	t.Helper()
	w := &wanderer{}
	w.goTo(t, server)
	config := rest.CopyConfig(server.Config)
	config.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, *w.address.Load())
	}
	w.factory = externalversions.NewSharedInformerFactory(versioned.NewForConfigOrDie(config), 0)
	w.factory.Fleet().V1alpha1().Instances().Lister()
	w.factory.Start(ctx.Done())
	t.Cleanup(w.factory.Shutdown)
	w.factory.WaitForCacheSync(ctx.Done())
	return w
}

func (w *wanderer) goTo(t *testing.T, server *binary.Server) {
	t.Helper()
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.address.Store(&address.Host)
}

// check waits until the informer's store equals the server's list.
func (w *wanderer) check(t *testing.T, client versioned.Interface) {
	t.Helper()
	kit.Eventually(t, "the informer has what the server has", func(ctx context.Context) bool {
		list, err := client.FleetV1alpha1().Instances("").List(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		cached, err := w.factory.Fleet().V1alpha1().Instances().Lister().List(labels.Everything())
		if err != nil || len(cached) != len(list.Items) {
			return false
		}
		versions := map[string]string{}
		for _, instance := range cached {
			versions[instance.Name] = instance.ResourceVersion
		}
		for _, item := range list.Items {
			if versions[item.Name] != item.ResourceVersion {
				return false
			}
		}
		return true
	})
}

func TestAStartThatIsKilledAtAnyPhaseDoesNoHarm(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*binary.Patience)
	defer cancel()
	used := binary.DataDir(t)
	server := binary.Start(t, used)
	kept := harness.CreateOnServer(ctx, t, server, "kept")
	server.Stop(t)
	phases := strings.Count(server.Stdout()[:strings.Index(server.Stdout(), "Ready")], "\n") + 1
	for phase := 1; phase <= phases; phase++ {
		for _, dir := range []string{binary.DataDir(t), used} {
			lines := 0
			killed := binary.Launch(t, dir, func(s *binary.Server, _ string) {
				if lines++; lines == phase {
					s.Kill()
				}
			})
			if code := killed.Wait(t); code != -1 {
				t.Fatalf("the server ended with code %d before phase %d:\n%s", code, phase, killed.Stderr())
			}
			after := binary.Start(t, dir)
			harness.CreateOnServer(ctx, t, after, fmt.Sprintf("after-%d", phase))
			if dir == used {
				found, err := versioned.NewForConfigOrDie(after.Config).FleetV1alpha1().Instances("default").Get(ctx, kept.Name, metav1.GetOptions{})
				if err != nil || found.ResourceVersion != kept.ResourceVersion {
					t.Errorf("killed at phase %d: the object that was stored before is %v: %v", phase, found, err)
				}
			}
			after.Kill()
			after.Wait(t)
		}
	}
	t.Logf("killed at each of %d phases", phases)
}

func TestASecondServerOnTheSameDirectoryIsToldSoInOneSentence(t *testing.T) {
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	second := binary.Launch(t, dir, nil)
	if code := second.Wait(t); code != 1 {
		t.Errorf("the second server ended with code %d, want 1", code)
	}
	want := fmt.Sprintf("gatehouse: the data directory %s is in use by process %d: stop that process or choose another data directory\n", dir, server.PID())
	if got := second.Stderr(); got != want {
		t.Errorf("the second server printed\n%q, want\n%q", got, want)
	}
	harness.CreateOnServer(t.Context(), t, server, "undisturbed")
	server.Stop(t)
	harness.CheckLog(t, server)
}

// waitForNamespaces waits until the controllers have made what every namespace has.
func waitForNamespaces(t *testing.T, server *binary.Server) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(server.Config)
	kit.Eventually(t, "every namespace has its service account and root certificates", func(ctx context.Context) bool {
		namespaces, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false
		}
		for _, namespace := range namespaces.Items {
			_, missing := client.CoreV1().ServiceAccounts(namespace.Name).Get(ctx, "default", metav1.GetOptions{})
			_, unpublished := client.CoreV1().ConfigMaps(namespace.Name).Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
			if missing != nil || unpublished != nil {
				return false
			}
		}
		return true
	})
}

// listAgain does what a reflector does when the history has ended: it continues from a list, which must have what the
// watch would have had.
func listAgain(ctx context.Context, t *testing.T, client versioned.Interface, f *harness.Follower) {
	t.Helper()
	list, err := client.FleetV1alpha1().Instances("").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	items := list.Items
	slices.SortFunc(items, func(a, b v1alpha1.Instance) int {
		return cmp.Compare(mustVersion(t, a.ResourceVersion), mustVersion(t, b.ResourceVersion))
	})
	for i := range items {
		if version := mustVersion(t, items[i].ResourceVersion); version > f.Version {
			f.Seen = append(f.Seen, harness.Change{Version: version, Kind: watch.Added, Name: items[i].Name})
		}
	}
	f.Version = mustVersion(t, list.ResourceVersion)
}

// TestResourceVersionsAndWatchesGoOnAfterARestart resumes watches after a restart from the
// last resourceVersion.
func TestResourceVersionsAndWatchesGoOnAfterARestart(t *testing.T) {
	for name, end := range map[string]func(*binary.Server){"SIGTERM": (*binary.Server).Terminate, "SIGKILL": (*binary.Server).Kill} {
		t.Run("after "+name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), binary.Patience)
			defer cancel()
			dir := binary.DataDir(t)
			f := &harness.Follower{}
			var want []string
			var highest uint64
			for life := range 3 {
				server := binary.Start(t, dir)
				// A write of the server after the last event that is seen, also one of its next start, ends the history.
				waitForNamespaces(t, server)
				client := versioned.NewForConfigOrDie(server.Config)
				if life == 0 {
					list, err := client.FleetV1alpha1().Instances("").List(ctx, metav1.ListOptions{})
					if err != nil {
						t.Fatal(err)
					}
					f.Version = mustVersion(t, list.ResourceVersion)
				}
				f.Open = client.FleetV1alpha1().Instances("").Watch
				for i := range 10 {
					created := harness.CreateOnServer(ctx, t, server, fmt.Sprintf("life-%d-%d", life, i))
					want = append(want, created.Name)
					if version := mustVersion(t, created.ResourceVersion); version <= highest {
						t.Errorf("resourceVersion %d after %d", version, highest)
					} else {
						highest = version
					}
				}
				f.IsLast = func(c harness.Change) bool { return c.Version == highest }
				if err := f.Follow(ctx); apierrors.IsResourceExpired(err) && life > 0 {
					listAgain(ctx, t, client, f)
				} else if err != nil {
					t.Fatalf("life %d: %v", life, err)
				}
				end(server)
				server.Wait(t)
			}
			var got []string
			for _, c := range f.Seen {
				if c.Kind != watch.Added {
					t.Errorf("unexpected: %v", c)
				}
				got = append(got, c.Name)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("seen was %v, want %v", got, want)
			}
		})
	}
}
