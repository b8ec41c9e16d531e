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

package page

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

const (
	rate    = 1000 // requests a second
	warm    = 5 * rate
	load    = 20 * rate
	growth  = 8 << 20  // bytes, above which the heap grows with the requests
	heap    = 64 << 20 // bytes
	hosts   = 10_000
	clients = 16
)

// heapSize returns the used JavaScript heap after a garbage collection, in bytes.
func (b *tab) heapSize() int {
	b.t.Helper()
	for range 2 {
		do(b, heapprofiler.CollectGarbage, cdp.Empty{})
	}
	return int(do(b, runtime.GetHeapUsage, cdp.Empty{}).UsedSize)
}

// sendMany sends the requests, at most so many a second; each tenth is refused.
func sendMany(t *testing.T, server *binary.Server, requests int) {
	t.Helper()
	allowed := rest.CopyConfig(server.Config)
	refused := rest.CopyConfig(server.Config)
	refused.Impersonate.UserName = "bob"
	var senders []*http.Client
	for _, config := range []*rest.Config{allowed, refused} {
		client, err := rest.HTTPClientFor(config)
		if err != nil {
			t.Fatal(err)
		}
		senders = append(senders, client)
	}
	tickets := make(chan int)
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for i := range tickets {
				sender, path := senders[0], "/api/v1/namespaces/shop"
				if i%10 == 0 {
					sender, path = senders[1], fmt.Sprintf("/api/v1/namespaces/n%d", i%300)
				}
				response, err := sender.Get(server.URL + path)
				if err != nil {
					t.Error(err)
					return
				}
				_ = response.Body.Close()
			}
		})
	}
	begin := time.Now()
	for i := range requests {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / rate)))
		tickets <- i
	}
	close(tickets)
	group.Wait()
	t.Logf("%d requests, %.0f a second", requests, float64(requests)/time.Since(begin).Seconds())
}

func TestTheHeapOfTheTabDoesNotGrowWithTheRequests(t *testing.T) {
	server := start(t)
	b := newTab(t, 1280, 560)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("td", "bob")
	// The collections of the page are full.
	sendMany(t, server, warm)
	before := b.heapSize()
	sendMany(t, server, load)
	b.wait("parseFloat(document.querySelector('.title .note').innerText) > 0")
	after := b.heapSize()
	t.Logf("heap of the tab: %.1f MB before, %.1f MB after %d requests", float64(before)/1e6, float64(after)/1e6, load)
	if after-before > growth || after > heap {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	b.picture("ui-load", "dark")
	b.clean()
}

// createHosts creates hosts. Each hundredth is not ready.
func createHosts(t *testing.T, server *binary.Server) {
	t.Helper()
	config := rest.CopyConfig(server.Config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client := versioned.NewForConfigOrDie(config).FleetV1alpha1().Hosts()
	create := func(ctx context.Context, i int) error {
		host := &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("edge-%05d", i), Labels: map[string]string{"zone": fmt.Sprintf("z%d", i%7)}}}
		host, err := client.Create(ctx, host, metav1.CreateOptions{})
		if err != nil {
			return err
		}
		condition := metav1.Condition{Type: v1alpha1.HostConditionReady, Status: metav1.ConditionTrue, Reason: "AgentReady", LastTransitionTime: metav1.Now()}
		if i%100 == 7 {
			condition.Status, condition.Reason = metav1.ConditionFalse, "DiskFull"
		}
		host.Status.Conditions = []metav1.Condition{condition}
		_, err = client.UpdateStatus(ctx, host, metav1.UpdateOptions{})
		return err
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < hosts && !t.Failed(); i = int(next.Add(1)) - 1 {
				if err := create(t.Context(), i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
}

func TestTenThousandHostsAreShownAndFiltered(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t))
	createHosts(t, server)
	b := newTab(t, 1280, 800)
	b.run("open the link", chromedp.Navigate(link(t, kubeconfig(server))))
	b.shows("#live", "Live")
	b.visit("hosts", "Hosts")
	b.shows(".title .note", "10,000 hosts, 100 not ready")
	b.shows("td", "DiskFull")
	b.picture("ui-hosts", "light")
	elements := get[int](b, "document.querySelectorAll('*').length")
	if elements > 3000 {
		t.Errorf("the page has %d elements", elements)
	}
	b.click(".choice button", "Not ready")
	b.shows(".title .note", "100 of 10,000 hosts")
	b.click(".choice button", "Not ready")
	get[chromedp.Void](b, "(i => { i.value = 'zone=z3'; i.dispatchEvent(new Event('input')); })(document.querySelector('main input'))")
	b.shows(".title .note", "1,429 of 10,000 hosts")
	get[chromedp.Void](b, "(i => { i.value = 'edge-04207'; i.dispatchEvent(new Event('input')); })(document.querySelector('main input'))")
	b.shows(".title .note", "1 of 10,000 hosts")
	b.click("td a", "edge-04207")
	b.shows(".panel td", "DiskFull")
	b.shows(".panel", "No instance is bound to this host.")
	t.Logf("heap of the tab: %.1f MB, %d elements", float64(b.heapSize())/1e6, elements)
	b.clean()
}
