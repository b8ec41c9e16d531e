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

package controllerruntime

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetapply "github.com/gatehouse-dev/gatehouse/pkg/generated/applyconfiguration/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const host = "edge-1"

// TestAnAgentOfOneHostWorksWithControllerRuntime runs a manager like the agent of a host:
// its cache holds only the instances of the host, and its reconciler reports status and ends
// terminating instances. It does so in both encodings; controller-runtime uses JSON
// for types that are not registered for protobuf.
func TestAnAgentOfOneHostWorksWithControllerRuntime(t *testing.T) {
	ctrl.SetLogger(logr.Discard())
	t.Run("in JSON", runAgent)
	if err := apiutil.AddToProtobufScheme(fleetv1alpha1.AddToScheme); err != nil {
		t.Fatal(err)
	}
	t.Run("in protobuf", runAgent)
}

func runAgent(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t))
	ctx, cancel := context.WithTimeout(t.Context(), binary.Patience)
	defer cancel()
	manager, spy := newManager(t, server.Config)
	agent := &agent{client: manager.GetClient()}
	if err := ctrl.NewControllerManagedBy(manager).For(&fleetv1alpha1.Instance{}).Named(strings.ReplaceAll(strings.ToLower(t.Name()), "/", "-")).Complete(agent); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	running, stop := context.WithCancel(ctx)
	go func() { ended <- manager.Start(running) }()
	stopped := sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the manager ended with: %v", err)
		}
	})
	defer stopped()

	// Through the manager's client: create, server-side apply, a subresource.
	c := manager.GetClient()
	createHosts(ctx, t, c, host, "edge-2")
	for name, to := range map[string]string{"mine": host, "other": "edge-2", "unbound": ""} {
		deploy(ctx, t, c, name, to)
	}
	mine := client.ObjectKey{Namespace: "default", Name: "mine"}
	instance := &fleetv1alpha1.Instance{}
	kit.Eventually(t, "the agent reports in the status of its instance", func(context.Context) bool {
		return c.Get(ctx, mine, instance) == nil && instance.Status.Phase == fleetv1alpha1.InstanceRunning
	})
	if !apimeta.IsStatusConditionTrue(instance.Status.Conditions, fleetv1alpha1.InstanceConditionReady) ||
		!apimeta.IsStatusConditionTrue(instance.Status.Conditions, fleetv1alpha1.InstanceConditionScheduled) {
		t.Errorf("the conditions are %+v", instance.Status.Conditions)
	}
	checkReads(ctx, t, manager, instance)

	// A graceful deletion waits for the agent, and the agent ends it.
	if err := c.Delete(ctx, instance); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the deleted instance goes", func(context.Context) bool {
		return apierrors.IsNotFound(manager.GetAPIReader().Get(ctx, mine, instance))
	})
	deploy(ctx, t, c, "late", host)
	kit.Eventually(t, "the agent reports on an instance that came late", func(context.Context) bool {
		return c.Get(ctx, client.ObjectKey{Namespace: "default", Name: "late"}, instance) == nil && instance.Status.Phase == fleetv1alpha1.InstanceRunning
	})
	stopped()
	agent.check(t, "late", "mine")
	want := "application/json"
	if strings.HasSuffix(t.Name(), "protobuf") {
		want = "application/vnd.kubernetes.protobuf"
	}
	spy.check(t, want)
	server.Stop(t)
	if log := server.Complaints(); log != "" {
		t.Errorf("the server's log is not empty:\n%s", log)
	}
}

func createHosts(ctx context.Context, t *testing.T, c client.Client, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := c.Create(ctx, &fleetv1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
}

// check compares the names of the instances that the agent was shown, and fails for its errors.
func (a *agent) check(t *testing.T, want ...string) {
	t.Helper()
	if seen := a.names(); !slices.Equal(seen, want) {
		t.Errorf("the agent was shown %v, want %v", seen, want)
	}
	if errs := a.failures(); len(errs) > 0 {
		t.Errorf("the agent failed: %v", errs)
	}
}

// newManager has no leader election, because leases are not served here, and no ports.
func newManager(t *testing.T, config *rest.Config) (ctrl.Manager, *spy) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := fleetv1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	spy := &spy{}
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) { return spy.watch(next, r) })
	})
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		LeaderElection:         false,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: "0",
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{
			&fleetv1alpha1.Instance{}: {Field: fields.OneTermEqualSelector("spec.hostName", host)},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.GetFieldIndexer().IndexField(t.Context(), &fleetv1alpha1.Instance{}, "status.phase", func(o client.Object) []string {
		return []string{string(o.(*fleetv1alpha1.Instance).Status.Phase)}
	}); err != nil {
		t.Fatal(err)
	}
	return manager, spy
}

// deploy applies an instance and binds it if a host is given.
func deploy(ctx context.Context, t *testing.T, c client.Client, name, to string) {
	t.Helper()
	configuration := fleetapply.Instance(name, "default").WithSpec(fleetapply.InstanceSpec().
		WithContainers(fleetapply.Container().WithName("main").WithImage("registry.example/app:1")))
	if err := c.Apply(ctx, configuration, client.FieldOwner("deployer")); err != nil {
		t.Fatalf("applying %s: %v", name, err)
	}
	if to == "" {
		return
	}
	instance := &fleetv1alpha1.Instance{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name}}
	binding := &fleetv1alpha1.Binding{Target: fleetv1alpha1.BindingTarget{Kind: "Host", Name: to}}
	if err := c.SubResource("binding").Create(ctx, instance, binding); err != nil {
		t.Fatalf("binding %s: %v", name, err)
	}
}

// checkReads compares the cache with the server.
func checkReads(ctx context.Context, t *testing.T, manager ctrl.Manager, mine *fleetv1alpha1.Instance) {
	t.Helper()
	for _, read := range []struct {
		name    string
		reader  client.Reader
		options []client.ListOption
		want    string
	}{
		{"the cache", manager.GetClient(), nil, "mine"},
		{"the cache's index", manager.GetClient(), []client.ListOption{client.MatchingFields{"status.phase": "Running"}}, "mine"},
		{"the cache's index, of nothing", manager.GetClient(), []client.ListOption{client.MatchingFields{"status.phase": "Failed"}}, ""},
		{"the server", manager.GetAPIReader(), nil, "mine other unbound"},
		{"the server's index of hosts", manager.GetAPIReader(), []client.ListOption{client.MatchingFields{"spec.hostName": "edge-2"}}, "other"},
		{"the server's index of phases", manager.GetAPIReader(), []client.ListOption{client.MatchingFields{"status.phase": "Pending"}}, "other unbound"},
	} {
		list := &fleetv1alpha1.InstanceList{}
		if err := read.reader.List(ctx, list, read.options...); err != nil {
			t.Errorf("%s: %v", read.name, err)
		}
		var names []string
		for _, item := range list.Items {
			names = append(names, item.Name)
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != read.want {
			t.Errorf("%s has %q, want %q", read.name, got, read.want)
		}
	}
	hosts := &fleetv1alpha1.HostList{}
	if err := manager.GetClient().List(ctx, hosts); err != nil || len(hosts.Items) != 2 {
		t.Errorf("the cache has %d hosts, want 2: %v", len(hosts.Items), err)
	}
	other := &fleetv1alpha1.Instance{}
	if err := manager.GetClient().Get(ctx, client.ObjectKey{Namespace: "default", Name: "other"}, other); !apierrors.IsNotFound(err) {
		t.Errorf("the cache knows an instance of another host: %v", err)
	}
	// A write with an old resourceVersion is refused.
	stale := mine.DeepCopy()
	stale.ResourceVersion = "1"
	stale.Status.Message = "stale"
	if err := manager.GetClient().Status().Update(ctx, stale); !apierrors.IsConflict(err) {
		t.Errorf("an update of a stale object: %v, want a conflict", err)
	}
}

// agent stands for the agent of a host.
type agent struct {
	client client.Client

	mu   sync.Mutex
	seen map[string]bool
	errs []error
}

// Reconcile reports an instance as running, and ends one that is being deleted.
func (a *agent) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	a.mu.Lock()
	if a.seen == nil {
		a.seen = map[string]bool{}
	}
	a.seen[request.Name] = true
	a.mu.Unlock()
	err := a.reconcile(ctx, request)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return ctrl.Result{}, nil // the cache was behind: a watch event requeues the request
	}
	if err != nil && ctx.Err() == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.errs = append(a.errs, err)
	}
	return ctrl.Result{}, err
}

func (a *agent) reconcile(ctx context.Context, request ctrl.Request) error {
	instance := &fleetv1alpha1.Instance{}
	if err := a.client.Get(ctx, request.NamespacedName, instance); err != nil {
		return err
	}
	if instance.Spec.HostName != host {
		return fmt.Errorf("%s is bound to %q", instance.Name, instance.Spec.HostName)
	}
	if instance.DeletionTimestamp != nil {
		return a.client.Delete(ctx, instance, client.GracePeriodSeconds(0))
	}
	if instance.Status.Phase != fleetv1alpha1.InstancePending {
		return nil
	}
	before := instance.DeepCopy()
	instance.Status.Phase = fleetv1alpha1.InstanceRunning
	instance.Status.ObservedGeneration = instance.Generation
	apimeta.SetStatusCondition(&instance.Status.Conditions, metav1.Condition{
		Type: fleetv1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue, Reason: "Started", ObservedGeneration: instance.Generation,
	})
	return a.client.Status().Patch(ctx, instance, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}

func (a *agent) names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var names []string
	for name := range a.seen {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (a *agent) failures() []error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.errs)
}

// spy records the encodings of responses about instances, and the first requests of the cache.
type spy struct {
	mu    sync.Mutex
	types map[string]int
	reads []string
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func (s *spy) watch(next http.RoundTripper, request *http.Request) (*http.Response, error) {
	response, err := next.RoundTrip(request)
	if err != nil || !strings.Contains(request.URL.Path, "/instances") {
		return response, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.types == nil {
		s.types = map[string]int{}
	}
	// Server-side apply uses JSON in both directions, independent of the encoding.
	if !strings.HasPrefix(request.Header.Get("Content-Type"), "application/apply-patch") {
		mediaType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
		s.types[mediaType]++
	}
	if query := request.URL.Query(); request.Method == http.MethodGet && query.Get("fieldSelector") == "spec.hostName="+host {
		s.reads = append(s.reads, fmt.Sprintf("%d watch=%s stream=%s", response.StatusCode, query.Get("watch"), query.Get("sendInitialEvents")))
	}
	return response, nil
}

// check expects one encoding only, and that the cache fell back to list and watch after a refused stream.
func (s *spy) check(t *testing.T, mediaType string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.types) != 1 || s.types[mediaType] == 0 {
		t.Errorf("the answers came in %v, want %s only", s.types, mediaType)
	}
	want := []string{"422 watch=true stream=true", "200 watch= stream=", "200 watch=true stream="}
	if len(s.reads) < 3 || !slices.Equal(s.reads[:3], want) {
		t.Errorf("the cache began with %q, want %q", s.reads, want)
	}
}
