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
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/credentials"
	"github.com/gatehouse-dev/gatehouse/pkg/failover"
	"github.com/gatehouse-dev/gatehouse/pkg/simulation"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// couple is two servers of one etcd and one authority, with clients that know both.
type couple struct {
	etcd    string
	dirs    [2]string
	address [2]string
	servers [2]*binary.Server
	// config and list are of a kubeconfig with both servers.
	config *rest.Config
	list   failover.Servers
	ca     certificates.KeyPair
}

func startCouple(t *testing.T) *couple {
	t.Helper()
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: binary.DataDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	c := &couple{etcd: etcd.Endpoints()[0]}
	for i := range c.servers {
		c.dirs[i] = binary.DataDir(t)
		if c.address[i], err = kit.FreeAddress(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			binary.ShareKeys(t, c.dirs[0], c.dirs[i])
		}
		c.start(t, i)
	}
	data, err := os.ReadFile(filepath.Join(c.dirs[0], "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = failover.ExtendKubeconfig(data, []string{c.servers[0].URL, c.servers[1].URL}); err != nil {
		t.Fatal(err)
	}
	if c.config, c.list, err = failover.Read(data); err != nil {
		t.Fatal(err)
	}
	c.config.QPS = -1
	if c.ca, err = certificates.LoadCA(filepath.Join(c.dirs[0], "pki")); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *couple) start(t *testing.T, i int) {
	t.Helper()
	c.servers[i] = binary.Start(t, c.dirs[i], "--listen="+c.address[i], "--etcd-servers="+c.etcd)
}

// client returns a client of both servers, which begins at a random one.
func (c *couple) client(t *testing.T) kubernetes.Interface {
	t.Helper()
	config := rest.CopyConfig(c.config)
	c.list.Apply(config)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// runHosts runs simulated hosts until the test ends, and returns when they are registered.
func (c *couple) runHosts(t *testing.T, count int) {
	t.Helper()
	options := simulation.DefaultOptions()
	options.Count, options.LeaseDuration = count, 4*time.Second
	hosts, err := simulation.New(options, credentials.CertifiedHosts(c.config, c.list, c.ca))
	if err != nil {
		t.Fatal(err)
	}
	registered := make(chan struct{})
	hosts.OnRegistered(func() { close(registered) })
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { hosts.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	<-registered
}

// record is what an informer has shown.
type record struct {
	mu    sync.Mutex
	added map[string]int
	gone  int
}

func (r *record) count(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.added[name]
}

// watch records the ConfigMaps that an informer shows until the test ends.
func (c *couple) watch(t *testing.T) *record {
	t.Helper()
	r := &record{added: map[string]int{}}
	factory := informers.NewSharedInformerFactoryWithOptions(c.client(t), 0, informers.WithNamespace("default"))
	if _, err := factory.Core().V1().ConfigMaps().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.added[obj.(*corev1.ConfigMap).Name]++
		},
		DeleteFunc: func(any) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.gone++
		},
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	factory.StartWithContext(ctx)
	t.Cleanup(func() { cancel(); factory.Shutdown() })
	factory.WaitForCacheSyncWithContext(ctx)
	return r
}

// write creates ConfigMaps one after the other until the context ends, each until it is there, and sends the
// number of them.
func (c *couple) write(ctx context.Context, t *testing.T, written *harness.Gauge) error {
	t.Helper()
	configMaps := c.client(t).CoreV1().ConfigMaps("default")
	for n := 0; ctx.Err() == nil; {
		_, err := configMaps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c-%d", n)}}, metav1.CreateOptions{})
		switch {
		case err == nil || apierrors.IsAlreadyExists(err): // the response of the first attempt may be lost
			written.Add()
			n++
		case ctx.Err() == nil && apierrors.ReasonForError(err) != metav1.StatusReasonUnknown && !apierrors.IsServerTimeout(err) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTooManyRequests(err):
			return err
		}
	}
	return nil
}

// TestClientsOfSeveralServersOutliveEachOfThem kills one server, starts it again, and kills the other one, under
// hosts, a watch and a writer that know both.
func TestClientsOfSeveralServersOutliveEachOfThem(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*binary.Patience)
	defer cancel()
	c := startCouple(t)
	const hosts = 6
	c.runHosts(t, hosts)
	seen := c.watch(t)
	var written harness.Gauge
	writing, stop := context.WithCancel(ctx)
	failed := make(chan error, 1)
	go func() { failed <- c.write(writing, t, &written) }()

	for round, killed := range []int{0, 1} {
		if err := written.Wait(ctx, written.Value()+50); err != nil {
			t.Fatal(err)
		}
		if round > 0 {
			c.start(t, c.other(killed))
		}
		c.servers[killed].Kill()
		c.servers[killed].Wait(t)
		at := time.Now()
		if err := written.Wait(ctx, written.Value()+50); err != nil {
			t.Fatal(err)
		}
		t.Logf("50 writes %v after the kill of %s", time.Since(at), c.address[killed])
		c.hostsGoOn(t, hosts, fmt.Sprintf("round-%d", round), c.servers[c.other(killed)], at)
		t.Logf("all hosts have renewed their leases and run an instance %v after the kill", time.Since(at))
	}
	stop()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(context.Context) string {
		for n := range written.Value() {
			if name := fmt.Sprintf("c-%d", n); seen.count(name) != 1 {
				return fmt.Sprintf("%s was shown %d times", name, seen.count(name))
			}
		}
		return ""
	})
	if seen.gone > 0 {
		t.Errorf("%d objects disappeared", seen.gone)
	}
	t.Logf("%d objects were written, and each was shown once", written.Value())
}

func (c *couple) other(i int) int { return 1 - i }

// hostsGoOn returns when every host has renewed its lease since, and runs a new instance.
func (c *couple) hostsGoOn(t *testing.T, hosts int, prefix string, server *binary.Server, since time.Time) {
	t.Helper()
	fleet := harness.NewFleetClient(t, server.Config)
	for n := 1; n <= hosts; n++ {
		name := fmt.Sprintf("%s-%d", prefix, n)
		fleet.CreateInstance(t, name)
		fleet.MustBind(t, name, fmt.Sprintf("sim-%d", n))
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		leases, err := fleet.FleetV1alpha1().HostLeases().List(ctx, metav1.ListOptions{})
		if err != nil || len(leases.Items) != hosts {
			return fmt.Sprintf("%d leases, %v", len(leases.Items), err)
		}
		for _, lease := range leases.Items {
			if lease.Spec.RenewTime == nil || lease.Spec.RenewTime.Before(&metav1.MicroTime{Time: since}) {
				return "the lease of " + lease.Name + " is not renewed"
			}
		}
		instances, err := fleet.FleetV1alpha1().Instances("default").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		for _, i := range instances.Items {
			if strings.HasPrefix(i.Name, prefix) && i.Status.Phase != v1alpha1.InstanceRunning {
				return i.Name + " does not run"
			}
		}
		return ""
	})
}
