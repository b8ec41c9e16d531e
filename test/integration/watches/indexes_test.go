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
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// requestLog records a client's reads of instances, in order.
type requestLog struct {
	next http.RoundTripper

	mu   sync.Mutex
	made []string
}

// RoundTrip records a request as a word: stream is a watch with initial events.
func (l *requestLog) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := l.next.RoundTrip(request)
	if request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, "/instances") {
		query, kind := request.URL.Query(), "list"
		switch {
		case query.Get("sendInitialEvents") == "true":
			kind = "stream"
		case query.Get("watch") == "true" || query.Get("watch") == "1":
			kind = "watch"
		}
		outcome := "failed"
		if err == nil {
			outcome = strconv.Itoa(response.StatusCode)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.made = append(l.made, strings.TrimSpace(fmt.Sprintf("%s %s %s", kind, outcome, query.Get("fieldSelector"))))
	}
	return response, err
}

func (l *requestLog) requests() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.made)
}

// startInformer starts an informer of instances with client-go's defaults and a field selector.
func startInformer(t *testing.T, config *rest.Config, fieldSelector string) (cache.SharedIndexInformer, *requestLog) {
	t.Helper()
	log := &requestLog{}
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		log.next = next
		return log
	})
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	factory := externalversions.NewSharedInformerFactoryWithOptions(client, 0, externalversions.WithTweakListOptions(func(options *metav1.ListOptions) { options.FieldSelector = fieldSelector }))
	informer := factory.Fleet().V1alpha1().Instances().Informer()
	stop := make(chan struct{})
	factory.Start(stop)
	t.Cleanup(func() {
		close(stop)
		factory.Shutdown()
	})
	kit.Eventually(t, "the informer has its objects", func(context.Context) bool { return informer.HasSynced() })
	return informer, log
}

// namesOf returns the names of the informer's objects, sorted.
func namesOf(informer cache.SharedIndexInformer) []string {
	var names []string
	for _, object := range informer.GetStore().List() {
		names = append(names, object.(*v1alpha1.Instance).Name)
	}
	slices.Sort(names)
	return names
}

func TestAnIndexedWatchWithInitialEventsIsRefusedWithTheCure(t *testing.T) {
	raw := harness.NewRawClient(t, servertesting.Start(t).Config)
	stream := "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&fieldSelector="
	for _, path := range []string{harness.InstancesPath, harness.FleetPath + "/instances"} {
		for _, selector := range []string{"spec.hostName=edge-1", "spec.hostName==edge-1", "status.phase=Running,spec.hostName=edge-1"} {
			t.Run(strings.TrimPrefix(path, harness.FleetPath)+" "+selector, func(t *testing.T) {
				harness.WrongRequest{
					Method: http.MethodGet, Path: path + stream + url.QueryEscape(selector),
					Code: http.StatusUnprocessableEntity, Reason: metav1.StatusReasonInvalid, Fields: []string{"sendInitialEvents"},
					Message: "list with the same selector, then watch from the list's resourceVersion",
				}.Check(t, raw)
			})
		}
		for _, selector := range []string{"", "spec.hostName!=edge-1", "spec.hostName=", "status.phase=Running", "metadata.name=web"} {
			t.Run(strings.TrimPrefix(path, harness.FleetPath)+" streams "+selector, func(t *testing.T) {
				raw.ReadInitialEvents(t, path+stream+url.QueryEscape(selector))
			})
		}
	}
}

func TestAnInformerOfOneHostFallsBackToListAndWatch(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	client.CreateHost(t, "edge-1")
	client.CreateHost(t, "edge-2")
	for _, name := range []string{"mine", "other", "late"} {
		client.CreateInstance(t, name)
	}
	client.MustBind(t, "mine", "edge-1")
	client.MustBind(t, "other", "edge-2")

	informer, log := startInformer(t, server.Config, "spec.hostName=edge-1")
	if names := namesOf(informer); !slices.Equal(names, []string{"mine"}) {
		t.Errorf("the informer starts with %v, not with mine", names)
	}
	kit.Eventually(t, "the informer watches", func(context.Context) bool { return len(log.requests()) >= 3 })
	want := []string{"stream 422 spec.hostName=edge-1", "list 200 spec.hostName=edge-1", "watch 200 spec.hostName=edge-1"}
	if made := log.requests(); !slices.Equal(made, want) {
		t.Errorf("the informer made the requests %q, not %q", made, want)
	}

	client.MustBind(t, "late", "edge-1")
	kit.Eventually(t, "an instance comes to the host", func(context.Context) bool { return slices.Equal(namesOf(informer), []string{"late", "mine"}) })
	client.Delete(t, "mine", 0)
	kit.Eventually(t, "an instance leaves the host", func(context.Context) bool { return slices.Equal(namesOf(informer), []string{"late"}) })
	if made := log.requests(); !slices.Equal(made, want) {
		t.Errorf("the informer made the requests %q, not %q: it watches once and for all", made, want)
	}
}

func TestAnInformerOfEverythingStreamsItsInitialEvents(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "bound")
	client.MustBind(t, "bound", "edge-1")
	client.CreateInstance(t, "unbound")
	for selector, start := range map[string][]string{"": {"bound", "unbound"}, "status.phase=Pending": {"bound", "unbound"}, "spec.hostName!=edge-1": {"unbound"}} {
		t.Run("selector "+selector, func(t *testing.T) {
			informer, log := startInformer(t, server.Config, selector)
			if names := namesOf(informer); !slices.Equal(names, start) {
				t.Errorf("the informer starts with %v, not with %v", names, start)
			}
			want := []string{strings.TrimSpace("stream 200 " + selector)}
			if made := log.requests(); !slices.Equal(made, want) {
				t.Errorf("the informer made the requests %q, not %q", made, want)
			}
			name := strings.NewReplacer("", "all", "status.phase=Pending", "pending", "spec.hostName!=edge-1", "elsewhere").Replace(selector)
			client.CreateInstance(t, name)
			kit.Eventually(t, "a new instance arrives", func(context.Context) bool { return slices.Contains(namesOf(informer), name) })
			client.Delete(t, name, 0)
			kit.Eventually(t, "it goes again", func(context.Context) bool { return slices.Equal(namesOf(informer), start) })
			if made := log.requests(); !slices.Equal(made, want) {
				t.Errorf("the informer made the requests %q, not %q: it streams once and for all", made, want)
			}
		})
	}
}

func TestAListByAnIndexedFieldReadsOnlyWhatMatches(t *testing.T) {
	server := servertesting.Start(t)
	client, raw := harness.NewFleetClient(t, server.Config), harness.NewRawClient(t, server.Config)
	client.CreateHost(t, "edge-1")
	for i := range 10 {
		client.CreateInstance(t, fmt.Sprintf("i-%d", i))
	}
	for _, name := range []string{"i-1", "i-2", "i-3"} {
		client.MustBind(t, name, "edge-1")
	}
	client.SetPhase(t, "i-1", v1alpha1.InstanceRunning)
	client.SetPhase(t, "i-4", v1alpha1.InstanceRunning)

	const byHost, byPhase, byNothing = "f:spec.hostName", "f:status.phase", ""
	for _, row := range []struct {
		selector string
		index    string
		// fetched is the number of objects that the cache examines, and matching the number that it returns.
		fetched, matching int
	}{
		{"spec.hostName=edge-1", byHost, 3, 3},
		{"spec.hostName=nobody", byHost, 0, 0},
		{"spec.hostName=", byHost, 7, 7},
		{"status.phase=Running", byPhase, 2, 2},
		{"spec.hostName=edge-1,spec.restartPolicy=Always", byHost, 3, 3},
		{"spec.hostName=edge-1,spec.restartPolicy=Never", byHost, 3, 0},
		{"spec.hostName!=edge-1", byNothing, 10, 7},
		{"spec.restartPolicy=Always", byNothing, 10, 10},
	} {
		t.Run(row.selector, func(t *testing.T) {
			labels := metrics.Labels{"group": "fleet.gatehouse.dev", "index": row.index, "resource": "instances", "storage": "watchcache"}
			count := func() (lists, fetched float64) {
				read := metrics.Scrape(t, server.Config)
				return read.Sum("apiserver_storage_list_total", labels), read.Sum("apiserver_storage_list_fetched_objects_total", labels)
			}
			lists, fetched := count()
			var list v1alpha1.InstanceList
			raw.Do(t, http.MethodGet, harness.InstancesPath+"?fieldSelector="+url.QueryEscape(row.selector), "", "", "").Into(t, &list)
			if len(list.Items) != row.matching {
				t.Errorf("%d instances match, not %d", len(list.Items), row.matching)
			}
			listsAfter, fetchedAfter := count()
			if listsAfter-lists != 1 || fetchedAfter-fetched != float64(row.fetched) {
				t.Errorf("%v lists by index %q read %v objects, not 1 list %d objects", listsAfter-lists, row.index, fetchedAfter-fetched, row.fetched)
			}
		})
	}
}

func TestFlowControlPutsRequestsIntoTheFlowSchemasOfKubernetes(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	somebody := harness.NewRawClient(t, harness.IssueClient(t, server, "somebody"))
	nobody := harness.NewRawClient(t, rest.AnonymousClientConfig(server.Config))
	for _, row := range []struct {
		name   string
		client harness.RawClient
		path   string
		labels metrics.Labels
	}{
		{"system:masters is exempt", admin, harness.HostsPath, metrics.Labels{"flow_schema": "exempt", "priority_level": "exempt"}},
		{"authenticated users share the global default", somebody, harness.HostsPath, metrics.Labels{"flow_schema": "global-default", "priority_level": "global-default"}},
		{"health checks are exempt", nobody, "/readyz", metrics.Labels{"flow_schema": "probes", "priority_level": "exempt"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			const dispatched = "apiserver_flowcontrol_dispatched_requests_total"
			before := metrics.Scrape(t, server.Config).Sum(dispatched, row.labels)
			// Requests go to the catch-all until flow control has synchronized, a tenth of a second after the
			// start. There may be more than one, because the server sends requests to itself.
			kit.Eventually(t, fmt.Sprintf("%s %v moves on", dispatched, row.labels), func(context.Context) bool {
				row.client.Do(t, http.MethodGet, row.path, "", "", "")
				return metrics.Scrape(t, server.Config).Sum(dispatched, row.labels) > before
			})
		})
	}
}
