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

package apiserver

import (
	"context"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	fleetregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/fleet"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// infoOf returns the RequestInfo of the server's own resolver.
func infoOf(t *testing.T, r *http.Request) *request.RequestInfo {
	t.Helper()
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := resolver.NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// newFlowControl returns the library's controller with the watch indexes.
func newFlowControl() utilflowcontrol.Interface {
	return WithIndexedWatches(NewStaticFlowControl(informers.NewSharedInformerFactory(nil, 0), 100, nil), watchIndexes())
}

func TestAWatchThatAnIndexServesCostsAWriteNothing(t *testing.T) {
	const instances = "/apis/fleet.gatehouse.dev/v1alpha1/instances"
	const inNamespace = "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances"
	for _, row := range []struct {
		name, watch string
		// create is the path of the charged create, for a kind of another resource.
		create  string
		counted int
	}{
		{name: "an exact match on the watch index", watch: instances + "?watch=1&fieldSelector=spec.hostName%3Dedge-1"},
		{name: "an exact match with two equals signs", watch: instances + "?watch=1&fieldSelector=spec.hostName%3D%3Dedge-1"},
		{name: "an exact match among others", watch: instances + "?watch=true&fieldSelector=status.phase%3DRunning,spec.hostName%3Dedge-1"},
		{name: "an exact match in one namespace", watch: inNamespace + "?watch=1&fieldSelector=spec.hostName%3Dedge-1"},
		{name: "an exact match on the old path of watches", watch: "/apis/fleet.gatehouse.dev/v1alpha1/watch/instances?fieldSelector=spec.hostName%3Dedge-1"},

		{name: "no selector", watch: instances + "?watch=1", counted: 1},
		{name: "no selector in one namespace", watch: inNamespace + "?watch=1", counted: 1},
		{name: "everything but one value", watch: instances + "?watch=1&fieldSelector=spec.hostName%21%3Dedge-1", counted: 1},
		{name: "a set of values, which is no field selector", watch: instances + "?watch=1&fieldSelector=spec.hostName+in+(edge-1,edge-2)", counted: 1},
		{name: "the empty value, that of all that is unbound", watch: instances + "?watch=1&fieldSelector=spec.hostName%3D", counted: 1},
		{name: "an exact match on an index of lists only", watch: instances + "?watch=1&fieldSelector=status.phase%3DRunning", counted: 1},
		{name: "a label of the index's name", watch: instances + "?watch=1&labelSelector=spec.hostName%3Dedge-1", counted: 1},
		{name: "the watch index of pods", watch: instances + "?watch=1&fieldSelector=spec.nodeName%3Dedge-1", counted: 1},
		{name: "the same on another resource of the group", watch: "/apis/fleet.gatehouse.dev/v1alpha1/hosts?watch=1&fieldSelector=spec.hostName%3Dedge-1",
			create: "/apis/fleet.gatehouse.dev/v1alpha1/hosts", counted: 1},
		{name: "the same on a resource of that name in another group", watch: "/apis/cloud.example.com/v1/namespaces/default/instances?watch=1&fieldSelector=spec.hostName%3Dedge-1",
			create: "/apis/cloud.example.com/v1/namespaces/default/instances", counted: 1},
		{name: "a list", watch: instances + "?fieldSelector=spec.hostName%3Dedge-1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			flowControl := newFlowControl()
			r := httptest.NewRequest(http.MethodGet, row.watch, nil)
			forget := flowControl.RegisterWatch(r.WithContext(request.WithRequestInfo(r.Context(), infoOf(t, r))))

			if row.create == "" {
				row.create = inNamespace
			}
			write := infoOf(t, httptest.NewRequest(http.MethodPost, row.create, nil))
			if counted := flowControl.GetInterestedWatchCount(write); counted != row.counted {
				t.Errorf("a write is charged for %d watches, not for %d", counted, row.counted)
			}
			if (forget != nil) != (row.counted > 0) {
				t.Fatalf("something to forget: %v, although counted %d times", forget != nil, row.counted)
			}
			if forget != nil {
				forget()
			}
			if counted := flowControl.GetInterestedWatchCount(write); counted != 0 {
				t.Errorf("a write is charged for %d watches after the end of the only one", counted)
			}
		})
	}
}

func TestIndexedWatchesDoNotHideTheOneThatCounts(t *testing.T) {
	flowControl := newFlowControl()
	register := func(query string) {
		r := httptest.NewRequest(http.MethodGet, "/apis/fleet.gatehouse.dev/v1alpha1/instances?watch=1"+query, nil)
		flowControl.RegisterWatch(r.WithContext(request.WithRequestInfo(r.Context(), infoOf(t, r))))
	}
	for range 5000 {
		register("&fieldSelector=spec.hostName%3Dedge-1")
	}
	register("")
	write := infoOf(t, httptest.NewRequest(http.MethodPut, "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances/web", nil))
	if counted := flowControl.GetInterestedWatchCount(write); counted != 1 {
		t.Errorf("a write is charged for %d watches, not for 1", counted)
	}
}

// A watch without RequestInfo is neither counted nor an error.
func TestARequestWithoutRequestInfoIsNotCounted(t *testing.T) {
	if forget := newFlowControl().RegisterWatch(httptest.NewRequest(http.MethodGet, "/apis/fleet.gatehouse.dev/v1alpha1/instances?watch=1", nil)); forget != nil {
		t.Error("there is something to forget")
	}
}

func TestFlowControlHasTheWatchIndexOfEveryStorage(t *testing.T) {
	scheme, codecs := NewFleetScheme()
	updates, err := NewCallerUpdates(scheme, admission.NewChainHandler())
	if err != nil {
		t.Fatal(err)
	}
	triggers := map[string]storage.IndexerFuncs{}
	options := generic.RESTOptions{
		StorageConfig:  &storagebackend.ConfigForResource{},
		ResourcePrefix: "test",
		Decorator: func(config *storagebackend.ConfigForResource, _ string, _ func(runtime.Object) (string, error), newObject, _ func() runtime.Object, _ storage.AttrFunc, trigger storage.IndexerFuncs, _ *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
			kinds, _, err := scheme.ObjectKinds(newObject())
			if err != nil {
				return nil, nil, err
			}
			triggers[kinds[0].Kind] = trigger
			return nil, func() {}, nil
		},
	}
	groups, err := buildGroups(base.StorageOptions{RESTOptions: options}, fleetGroups(scheme, codecs, fleetregistry.StorageProvider{Updates: updates}))
	if err != nil {
		t.Fatal(err)
	}
	indexes := map[schema.GroupResource]string{}
	for _, g := range groups {
		for resource, s := range storagesOf(g) {
			name := resource.Resource
			indexed, ok := s.(interface{ WatchIndex() string })
			if !ok {
				continue
			}
			kinds, _, err := scheme.ObjectKinds(s.New())
			if err != nil {
				t.Fatal(err)
			}
			trigger := triggers[kinds[0].Kind]
			if indexed.WatchIndex() == "" {
				if len(trigger) != 0 {
					t.Errorf("the watch cache of %s dispatches by %v, and its storage names no watch index", name, trigger)
				}
				continue
			}
			indexes[resource] = indexed.WatchIndex()
			if _, ok := trigger[indexed.WatchIndex()]; !ok || len(trigger) != 1 {
				t.Errorf("the watch cache of %s dispatches by %v, not by the watch index %s alone", name, trigger, indexed.WatchIndex())
			}
		}
	}
	if len(indexes) == 0 {
		t.Error("no storage has a watch index")
	}
	if !maps.Equal(indexes, watchIndexes()) {
		t.Errorf("flow control has %v, but the storages have %v", watchIndexes(), indexes)
	}
}

func TestStaticFlowControlBecomesReadyAndClassifiesRequests(t *testing.T) {
	factory := informers.NewSharedInformerFactory(nil, 0)
	flowControl := NewStaticFlowControl(factory, 100, []string{"system:controller:scheduler"})
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- flowControl.Run(stop) }()
	factory.Start(stop)
	t.Cleanup(func() {
		close(stop)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		factory.Shutdown()
	})

	classify := func(ctx context.Context, who user.Info, path string) (schemaName, level string, executed bool) {
		digest := utilflowcontrol.RequestDigest{RequestInfo: infoOf(t, httptest.NewRequest(http.MethodPost, path, nil)), User: who}
		flowControl.Handle(ctx, digest,
			func(fs *flowcontrolv1.FlowSchema, pl *flowcontrolv1.PriorityLevelConfiguration, _ string) {
				schemaName, level = fs.Name, pl.Name
			},
			func() fcrequest.WorkEstimate { return fcrequest.WorkEstimate{InitialSeats: 1} },
			func(bool) {},
			func() { executed = true })
		return schemaName, level, executed
	}
	const path = "/apis/fleet.gatehouse.dev/v1alpha1/hosts"
	aHost := &user.DefaultInfo{Name: "system:host:host-1", Groups: []string{"system:hosts", user.AllAuthenticated}}
	scheduler := &user.DefaultInfo{Name: "system:controller:scheduler", Groups: []string{user.AllAuthenticated}}
	known := &user.DefaultInfo{Name: "alice", Groups: []string{user.AllAuthenticated}}
	// Before the configuration is read, only the two mandatory FlowSchemas are known.
	kit.Eventually(t, "flow control is ready", func(ctx context.Context) bool {
		name, _, _ := classify(ctx, known, path)
		return name == "global-default"
	})
	for _, row := range []struct {
		name                string
		who                 user.Info
		path, schema, level string
	}{
		{"administrators", &user.DefaultInfo{Name: "admin", Groups: []string{user.SystemPrivilegedGroup, user.AllAuthenticated}}, path, "exempt", "exempt"},
		{"another user", known, path, "global-default", "global-default"},
		{"service accounts", &user.DefaultInfo{Name: "system:serviceaccount:default:web", Groups: []string{"system:serviceaccounts", user.AllAuthenticated}}, path, "service-accounts", "workload-low"},
		{"a host's heartbeat", aHost, "/apis/fleet.gatehouse.dev/v1alpha1/hostleases", "gatehouse-host-high", "node-high"},
		{"a host's status", aHost, path + "/host-1/status", "gatehouse-host-high", "node-high"},
		{"a host's instances", aHost, "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances/web/status", "gatehouse-hosts", "system"},
		{"a host's events", aHost, "/api/v1/namespaces/default/events", "gatehouse-hosts", "system"},
		{"a controller", scheduler, "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances/web/binding", "gatehouse-controllers", "workload-high"},
		{"a controller that is elected", scheduler, "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases", "gatehouse-leader-election", "leader-election"},
		{"a controller that is not listed", &user.DefaultInfo{Name: "system:controller:other", Groups: []string{user.AllAuthenticated}}, path, "global-default", "global-default"},
		{"an anonymous user", &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}, path, "global-default", "global-default"},
		{"a user without groups", &user.DefaultInfo{Name: "stray"}, path, "catch-all", "catch-all"},
	} {
		t.Run(row.name, func(t *testing.T) {
			name, level, executed := classify(t.Context(), row.who, row.path)
			if name != row.schema || level != row.level {
				t.Errorf("classified as %s at %s, not as %s at %s", name, level, row.schema, row.level)
			}
			if !executed {
				t.Error("not executed, although nothing else runs")
			}
		})
	}
}
