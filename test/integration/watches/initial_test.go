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

package watches

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// Clients that are not written in Go watch without a resourceVersion and without asking for initial
// events. They get initial events as for any other selector.
func TestAWatchOfOneHostBeginsWithInitialEventsForEveryClient(t *testing.T) {
	server := servertesting.Start(t)
	client, raw := harness.NewFleetClient(t, server.Config), harness.NewRawClient(t, server.Config)
	client.CreateHost(t, "edge-1")
	client.CreateHost(t, "edge-2")
	for i := range 6 {
		client.CreateInstance(t, fmt.Sprintf("i-%d", i))
	}
	client.MustBind(t, "i-0", "edge-1")
	client.MustBind(t, "i-1", "edge-1")
	client.MustBind(t, "i-2", "edge-2")
	for i, row := range []struct {
		query, selector string
		initial         []string
		// indexed watches read only the matching objects, all others read every object.
		indexed bool
	}{
		{"watch=1", "spec.hostName=edge-1", []string{"ADDED i-0", "ADDED i-1"}, true},
		{"watch=true&resourceVersion=0", "spec.hostName=edge-1", []string{"ADDED i-0", "ADDED i-1"}, true},
		{"watch=1&resourceVersion=", "spec.hostName==edge-1", []string{"ADDED i-0", "ADDED i-1"}, true},
		{"watch=1&allowWatchBookmarks=true", "spec.hostName=edge-1", []string{"ADDED i-0", "ADDED i-1", "INITIAL EVENTS END"}, true},
		{"watch=1&labelSelector=a%3Db", "spec.hostName=edge-1", nil, true},
		{"watch=1", "status.phase=Pending,spec.hostName=edge-1", []string{"ADDED i-0", "ADDED i-1"}, true},
		{"watch=1", "spec.hostName=nobody", nil, true},
		{"watch=1", "spec.hostName=", []string{"ADDED i-3", "ADDED i-4", "ADDED i-5"}, false},
		{"watch=1", "spec.hostName!=edge-1", []string{"ADDED i-2", "ADDED i-3", "ADDED i-4", "ADDED i-5"}, false},
		{"watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "spec.hostName=", []string{"ADDED i-3", "ADDED i-4", "ADDED i-5"}, false},
	} {
		for _, path := range []string{harness.InstancesPath, harness.FleetPath + "/instances"} {
			t.Run(strings.TrimPrefix(path, harness.FleetPath)+" "+row.query+" "+row.selector, func(t *testing.T) {
				labels := metrics.Labels{"group": "fleet.gatehouse.dev", "index": "f:spec.hostName", "resource": "instances", "storage": "watchcache"}
				fetched := func() float64 {
					return metrics.Scrape(t, server.Config).Sum("apiserver_storage_list_fetched_objects_total", labels)
				}
				lists := func() float64 { return metrics.Scrape(t, server.Config).Sum("apiserver_storage_list_total", labels) }
				objectsBefore, listsBefore := fetched(), lists()
				next := raw.Events(t, path+"?"+row.query+"&fieldSelector="+url.QueryEscape(row.selector))
				var got []string
				for range row.initial {
					got = append(got, next())
				}
				slices.Sort(got)
				if !slices.Equal(got, row.initial) {
					t.Errorf("the watch begins with %q, not %q", got, row.initial)
				}
				wanted := 0.0
				if row.indexed {
					wanted = 1
					if more := fetched() - objectsBefore; more > 2 {
						t.Errorf("the initial events cost a look at %v objects, of 2 that match", more)
					}
				}
				if more := lists() - listsBefore; more != wanted {
					t.Errorf("the index was used %v times, not %v", more, wanted)
				}
				if row.selector != "spec.hostName=edge-1" || strings.Contains(row.query, "labelSelector") {
					return
				}
				late := fmt.Sprintf("late-%d-%d", i, len(path))
				client.CreateInstance(t, late)
				client.MustBind(t, late, "edge-1")
				client.Delete(t, late, 0)
				if got := []string{next(), next()}; got[0] != "ADDED "+late || !strings.HasSuffix(got[1], " "+late) {
					t.Errorf("then come %q, not %s", got, late)
				}
			})
		}
	}
}

func TestAWatchOfOneHostEndsWhenItsTimeIsOver(t *testing.T) {
	server := servertesting.Start(t)
	next := harness.NewRawClient(t, server.Config).Events(t, harness.FleetPath+"/instances?watch=1&timeoutSeconds=1&fieldSelector=spec.hostName%3Dedge-1")
	if got := next(); got != "END" {
		t.Errorf("got %s", got)
	}
}

// Clients that follow CustomResourceDefinitions list and watch them: both are served, and are empty.
func TestADynamicClientFollowsCustomResourceDefinitionsInPeace(t *testing.T) {
	server := servertesting.Start(t)
	client, err := dynamic.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	definitions := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	factory := dynamicinformer.NewDynamicSharedInformerFactory(client, 0)
	informer := factory.ForResource(definitions).Informer()
	failures := make(chan error, 100)
	if err := informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) { failures <- err }); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	factory.Start(stop)
	defer func() {
		close(stop)
		factory.Shutdown()
	}()
	kit.Eventually(t, "the informer has its objects", func(context.Context) bool { return informer.HasSynced() })
	watch, err := client.Resource(definitions).Watch(t.Context(), metav1.ListOptions{ResourceVersion: "1", AllowWatchBookmarks: true})
	if err != nil {
		t.Fatal(err)
	}
	watch.Stop()
	select {
	case err := <-failures:
		t.Errorf("the informer reports an error: %v", err)
	default:
	}
}
