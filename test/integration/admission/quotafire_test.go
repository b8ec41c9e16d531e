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

package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// crowd is a set of clients that create instances until the quota is full, half of them at each of
// two servers.
type crowd struct {
	servers [2]*crowdServer
	round   int
	created harness.Gauge
}

type crowdServer struct {
	*binary.Server
	fleet versioned.Interface
	core  kubernetes.Interface
	// dying is set before the server is killed: from then on requests may fail.
	dying atomic.Bool
}

const clientsOfEach = 32

// startCrowd starts an etcd, and two servers that share it.
func startCrowd(t *testing.T) *crowd {
	t.Helper()
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: binary.DataDir(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	c := &crowd{}
	for i := range c.servers {
		server := binary.Start(t, binary.DataDir(t), "-v=2", "--etcd-servers="+etcd.Endpoints()[0], "--controllers="+strings.Join(manager.ClusterControllers(), ","))
		c.servers[i] = &crowdServer{Server: server, fleet: versioned.NewForConfigOrDie(server.Config), core: kubernetes.NewForConfigOrDie(server.Config)}
	}
	return c
}

// fill returns when every client has received that the quota is exceeded, or has lost its
// server.
func (c *crowd) fill(ctx context.Context) error {
	c.round++
	failures := make([]error, len(c.servers)*clientsOfEach)
	var group sync.WaitGroup
	for i := range failures {
		server := c.servers[i%len(c.servers)]
		group.Go(func() {
			for n := 0; !server.dying.Load(); n++ {
				_, err := server.fleet.FleetV1alpha1().Instances("default").Create(ctx, asking(fmt.Sprintf("r%d-c%d-%d", c.round, i, n), "10m", ""), metav1.CreateOptions{})
				switch {
				case err == nil:
					c.created.Add()
				case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: few,"):
					return
				case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "status unknown for quota: few,"):
					// The other server has not received the quota's status yet.
				case !server.dying.Load():
					failures[i] = err
					return
				}
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// existing returns the number of instances.
func (c *crowd) existing(ctx context.Context, t *testing.T) int {
	t.Helper()
	list, err := c.servers[0].fleet.FleetV1alpha1().Instances("default").List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

func usedBy(instances int) string {
	return fmt.Sprintf("%s=%d,fleet.gatehouse.dev/requests.millicpu=%d", countInstances, instances, 10*instances)
}

// usesNow does not wait.
func (c *crowd) usesNow(ctx context.Context, t *testing.T, want string) {
	t.Helper()
	q, err := c.servers[0].core.CoreV1().ResourceQuotas("default").Get(ctx, "few", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, amount := range quantities(want) {
		if used := q.Status.Used[name]; used.Cmp(amount) != 0 {
			t.Errorf("%s: %s is used, want %s", name, used.String(), amount.String())
		}
	}
}

// TestAQuotaHoldsUnderFire lets a crowd compete for the remaining quota, through two servers that
// share nothing but storage. Then it kills one of them meanwhile.
func TestAQuotaHoldsUnderFire(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*binary.Patience)
	defer cancel()
	c := startCrowd(t)
	core := c.servers[0].core
	createQuota(t, core, "few", countInstances+"=100,fleet.gatehouse.dev/requests.millicpu=1000000", usedBy(0))

	began := time.Now()
	if err := c.fill(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d clients created %d instances in %v", len(c.servers)*clientsOfEach, c.created.Value(), time.Since(began))
	if existing := c.existing(ctx, t); c.created.Value() != 100 || existing != 100 {
		t.Fatalf("%d creates were acknowledged and %d instances exist, want 100", c.created.Value(), existing)
	}
	c.usesNow(ctx, t, usedBy(100))

	list, err := c.servers[1].fleet.FleetV1alpha1().Instances("default").List(ctx, metav1.ListOptions{Limit: 40})
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range list.Items {
		if err := c.servers[1].fleet.FleetV1alpha1().Instances("default").Delete(ctx, i.Name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	began = time.Now()
	comesToUse(t, core, "few", usedBy(60))
	t.Logf("40 deletes were given back within %v", time.Since(began))

	c.killOneInTheMiddle(ctx, t, 300)
}

// killOneInTheMiddle raises the limit, and kills a server while the crowd competes for the rest.
func (c *crowd) killOneInTheMiddle(ctx context.Context, t *testing.T, limit int) {
	t.Helper()
	quotas := c.servers[0].core.CoreV1().ResourceQuotas("default")
	q, err := quotas.Get(ctx, "few", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	hard := quantities(fmt.Sprintf("%s=%d", countInstances, limit))[countInstances]
	q.Spec.Hard[countInstances] = hard
	if _, err := quotas.Update(ctx, q, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, func(ctx context.Context) string {
		q, err := quotas.Get(ctx, "few", metav1.GetOptions{})
		if err != nil || !q.Status.Hard[countInstances].Equal(hard) {
			return fmt.Sprintf("the new limit is not in the status: %v", err)
		}
		return ""
	})
	filled := make(chan error, 1)
	go func() { filled <- c.fill(ctx) }()
	if err := c.created.Wait(ctx, 150); err != nil {
		t.Fatal(err)
	}
	c.servers[1].dying.Store(true)
	c.servers[1].Kill()
	killed := time.Now()
	c.servers[1].Wait(t)
	if err := <-filled; err != nil {
		t.Fatal(err)
	}
	existing := c.existing(ctx, t)
	t.Logf("%v after the kill %d instances exist, of %d that the limit allows", time.Since(killed), existing, limit)
	comesToUse(t, c.servers[0].core, "few", usedBy(existing))
	t.Logf("%v after the kill the quota has the usage", time.Since(killed))
	if err := c.fill(ctx); err != nil {
		t.Fatal(err)
	}
	if existing := c.existing(ctx, t); existing != limit {
		t.Errorf("in the end %d instances exist, want %d", existing, limit)
	}
	c.usesNow(ctx, t, usedBy(limit))
}
