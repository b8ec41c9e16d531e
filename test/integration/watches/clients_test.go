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
	"slices"
	"strings"
	"sync"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	metav1apply "k8s.io/client-go/applyconfigurations/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	fleetapply "github.com/gatehouse-dev/gatehouse/pkg/generated/applyconfiguration/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// exchange is a request and its response, as they crossed the wire.
type exchange struct {
	verb, query   string
	sent, got     string // content types; empty without a body
	accept        string
	code          int
	sentSomething bool
}

// wire records the requests of a client and their responses.
type wire struct {
	mu        sync.Mutex
	exchanges []exchange
}

// wiretap returns a clientset and the wire that records its requests.
func wiretap(config *rest.Config) (versioned.Interface, *wire) {
	w := &wire{}
	config = rest.CopyConfig(config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return tap{w, next} })
	return versioned.NewForConfigOrDie(config), w
}

type tap struct {
	wire *wire
	next http.RoundTripper
}

func (t tap) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	t.wire.mu.Lock()
	defer t.wire.mu.Unlock()
	t.wire.exchanges = append(t.wire.exchanges, exchange{
		verb:          request.Method + " " + request.URL.Path,
		query:         request.URL.RawQuery,
		sent:          request.Header.Get("Content-Type"),
		got:           response.Header.Get("Content-Type"),
		accept:        request.Header.Get("Accept"),
		code:          response.StatusCode,
		sentSomething: request.ContentLength != 0,
	})
	return response, nil
}

// take returns what was recorded since the last call.
func (w *wire) take() []exchange {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.exchanges
	w.exchanges = nil
	return taken
}

// only returns the one exchange since the last call.
func (w *wire) only(t *testing.T) exchange {
	t.Helper()
	all := w.take()
	if len(all) != 1 {
		t.Fatalf("%d requests were made, want one: %+v", len(all), all)
	}
	return all[0]
}

// protobufWatch is the media type of a stream of events.
const protobufWatch = harness.ProtobufBody + ";stream=watch"

func TestTheGeneratedClientsetSpeaksProtobufInBothDirections(t *testing.T) {
	client, wire := wiretap(servertesting.Start(t).Config)
	ctx := t.Context()
	hosts, leases, instances := client.FleetV1alpha1().Hosts(), client.FleetV1alpha1().HostLeases(), client.FleetV1alpha1().Instances("default")
	named := metav1.ObjectMeta{Name: "edge-1"}
	var host *fleetv1alpha1.Host
	var instance *fleetv1alpha1.Instance
	for _, call := range []struct {
		name string
		do   func() error
		// sent and got are the expected content types.
		sent, got string
		code      int
	}{
		{"create a host", func() (err error) {
			host, err = hosts.Create(ctx, &fleetv1alpha1.Host{ObjectMeta: named}, metav1.CreateOptions{})
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 201},
		{"update a host", func() (err error) {
			host.Spec.Unschedulable = true
			host, err = hosts.Update(ctx, host, metav1.UpdateOptions{})
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 200},
		{"update a host's status", func() (err error) {
			host.Status.Info.Architecture = "arm64"
			host, err = hosts.UpdateStatus(ctx, host, metav1.UpdateOptions{})
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 200},
		{"create a lease", func() error {
			_, err := leases.Create(ctx, &fleetv1alpha1.HostLease{ObjectMeta: named}, metav1.CreateOptions{})
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 201},
		{"create an instance", func() (err error) {
			instance, err = instances.Create(ctx, harness.SmallInstance("web"), metav1.CreateOptions{})
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 201},
		{"update an instance's status", func() (err error) {
			instance.Status.Phase = fleetv1alpha1.InstanceRunning
			instance, err = instances.UpdateStatus(ctx, instance, metav1.UpdateOptions{})
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 200},
		{"bind", func() error {
			status, err := instances.Bind(ctx, "web", &fleetv1alpha1.Binding{Target: fleetv1alpha1.BindingTarget{Name: "edge-1"}}, metav1.CreateOptions{})
			if err == nil && status.Status != metav1.StatusSuccess {
				return fmt.Errorf("answered %+v", status)
			}
			return err
		}, harness.ProtobufBody, harness.ProtobufBody, 201},
		{"get", func() (err error) {
			instance, err = instances.Get(ctx, "web", metav1.GetOptions{})
			return err
		}, "", harness.ProtobufBody, 200},
		{"list", func() error {
			list, err := instances.List(ctx, metav1.ListOptions{})
			if err == nil && (len(list.Items) != 1 || !apiequality.Semantic.DeepEqual(list.Items[0], *instance)) {
				return fmt.Errorf("the list is %+v, want only %+v", list.Items, instance)
			}
			return err
		}, "", harness.ProtobufBody, 200},
		{"patch", func() error {
			_, err := instances.Patch(ctx, "web", types.MergePatchType, []byte(`{"metadata":{"labels":{"tier":"a"}}}`), metav1.PatchOptions{})
			return err
		}, harness.MergePatch, harness.ProtobufBody, 200},
		{"watch", func() error {
			watcher, err := instances.Watch(ctx, metav1.ListOptions{ResourceVersion: instance.ResourceVersion})
			if err != nil {
				return err
			}
			defer watcher.Stop()
			event := <-watcher.ResultChan()
			if seen, ok := event.Object.(*fleetv1alpha1.Instance); !ok || event.Type != watch.Modified || seen.Labels["tier"] != "a" {
				return fmt.Errorf("unexpected event %v", event)
			}
			return nil
		}, "", protobufWatch, 200},
		{"delete", func() error { return leases.Delete(ctx, "edge-1", metav1.DeleteOptions{}) }, harness.ProtobufBody, harness.ProtobufBody, 200},
		{"get what is not there", func() error {
			if _, err := instances.Get(ctx, "nobody", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				return fmt.Errorf("got %w", err)
			}
			return nil
		}, "", harness.ProtobufBody, 404},
	} {
		if err := call.do(); err != nil {
			t.Fatalf("%s: %v", call.name, err)
		}
		got := wire.only(t)
		if got.code != call.code || got.got != call.got || (got.sentSomething && got.sent != call.sent) || got.sentSomething != (call.sent != "") {
			t.Errorf("%s: sent %q, got %d and %q, want %q, %d and %q", call.name, got.sent, got.code, got.got, call.sent, call.code, call.got)
		}
		if !strings.HasPrefix(got.accept, harness.ProtobufBody) {
			t.Errorf("%s: accepts %q", call.name, got.accept)
		}
	}
}

// TestInformersStreamTheirFirstListAndListersReadIt uses WatchList, which is client-go's
// default: one watch that begins with the existing objects, and no list.
func TestInformersStreamTheirFirstListAndListersReadIt(t *testing.T) {
	server := servertesting.Start(t)
	ctx := t.Context()
	writer := versioned.NewForConfigOrDie(server.Config).FleetV1alpha1()
	for _, name := range []string{"one", "two"} {
		instance := harness.SmallInstance(name)
		instance.Labels = map[string]string{"name": name}
		if _, err := writer.Instances("default").Create(ctx, instance, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	client, wire := wiretap(server.Config)
	factory := externalversions.NewSharedInformerFactory(client, 0)
	instances := factory.Fleet().V1alpha1().Instances()
	var added, updated, deleted harness.Gauge
	if _, err := instances.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { added.Add() },
		UpdateFunc: func(any, any) { updated.Add() },
		DeleteFunc: func(any) { deleted.Add() },
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, kit.Patience)
	defer cancel()
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	defer cancel()
	for kind, ok := range factory.WaitForCacheSync(ctx.Done()) {
		if !ok {
			t.Fatalf("the informer of %v has not synchronized", kind)
		}
	}
	// One request: a watch that sends the existing objects first, in protobuf.
	first := wire.only(t)
	for _, want := range []string{"watch=true", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan", "allowWatchBookmarks=true"} {
		if !slices.Contains(strings.Split(first.query, "&"), want) {
			t.Errorf("the first request asks for %q, which has no %s", first.query, want)
		}
	}
	if first.code != http.StatusOK || first.got != protobufWatch {
		t.Errorf("the first request was answered with %d and %q", first.code, first.got)
	}

	found, err := instances.Lister().Instances("default").List(labels.SelectorFromSet(labels.Set{"name": "two"}))
	if err != nil || len(found) != 1 || found[0].Name != "two" {
		t.Errorf("the lister finds %v: %v", found, err)
	}
	if _, err := instances.Lister().Instances("other").Get("one"); !apierrors.IsNotFound(err) {
		t.Errorf("the lister looks into the wrong namespace: %v", err)
	}
	if _, err := writer.Instances("default").Create(ctx, harness.SmallInstance("three"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Instances("default").Patch(ctx, "one", types.MergePatchType, []byte(`{"status":{"phase":"Running"}}`), metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	if err := writer.Instances("default").Delete(ctx, "two", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []struct {
		gauge *harness.Gauge
		n     int
	}{{&added, 3}, {&updated, 1}, {&deleted, 1}} {
		if err := wait.gauge.Wait(ctx, wait.n); err != nil {
			t.Fatal(err)
		}
	}
	if one, err := instances.Lister().Instances("default").Get("one"); err != nil || one.Status.Phase != fleetv1alpha1.InstanceRunning {
		t.Errorf("the lister has %v: %v", one, err)
	}
	if more := wire.take(); len(more) != 0 {
		t.Errorf("the informer made more requests than one: %+v", more)
	}
}

func TestApplyConfigurationsAreAppliedAndExtracted(t *testing.T) {
	client, wire := wiretap(servertesting.Start(t).Config)
	ctx := t.Context()
	instances := client.FleetV1alpha1().Instances("default")
	deployer := metav1.ApplyOptions{FieldManager: "deployer"}
	agent := metav1.ApplyOptions{FieldManager: "agent"}

	created, err := instances.Apply(ctx, fleetapply.Instance("web", "default").
		WithLabels(map[string]string{"tier": "a"}).
		WithSpec(fleetapply.InstanceSpec().WithContainers(fleetapply.Container().WithName("main").WithImage("registry.example/web:1"))), deployer)
	if err != nil {
		t.Fatal(err)
	}
	if got := wire.only(t); got.sent != harness.ApplyPatch || got.got != harness.ProtobufBody || got.code != http.StatusCreated {
		t.Errorf("apply: %+v", got)
	}
	if created.Spec.RestartPolicy != fleetv1alpha1.RestartPolicyAlways || created.Status.Phase != fleetv1alpha1.InstancePending {
		t.Errorf("created was %+v", created)
	}
	applied, err := instances.ApplyStatus(ctx, fleetapply.Instance("web", "default").
		WithStatus(fleetapply.InstanceStatus().WithPhase(fleetv1alpha1.InstanceRunning).WithConditions(
			metav1apply.Condition().WithType("Ready").WithStatus(metav1.ConditionTrue).WithReason("Started").WithMessage("").WithLastTransitionTime(metav1.Now()))), agent)
	if err != nil {
		t.Fatal(err)
	}
	if applied.Status.Phase != fleetv1alpha1.InstanceRunning || !apimeta.IsStatusConditionTrue(applied.Status.Conditions, "Ready") {
		t.Errorf("the status is %+v", applied.Status)
	}

	// Each manager extracts the fields that it owns, and no others.
	extracted, err := fleetapply.ExtractInstance(applied, "deployer")
	if err != nil {
		t.Fatal(err)
	}
	if extracted.Status != nil || extracted.Labels["tier"] != "a" || len(extracted.Spec.Containers) != 1 || *extracted.Spec.Containers[0].Image != "registry.example/web:1" || extracted.Spec.RestartPolicy != nil {
		t.Errorf("the deployer's own is %+v %+v", extracted, extracted.Spec)
	}
	reported, err := fleetapply.ExtractInstanceStatus(applied, "agent")
	if err != nil {
		t.Fatal(err)
	}
	if reported.Spec != nil || *reported.Status.Phase != fleetv1alpha1.InstanceRunning || len(reported.Status.Conditions) != 1 {
		t.Errorf("the agent's own is %+v", reported)
	}

	// A field that an extracted configuration no longer contains is removed.
	delete(extracted.Labels, "tier")
	extracted.Spec.Containers[0].WithImage("registry.example/web:2")
	if applied, err = instances.Apply(ctx, extracted, deployer); err != nil {
		t.Fatal(err)
	}
	if _, ok := applied.Labels["tier"]; ok || applied.Spec.Containers[0].Image != "registry.example/web:2" || applied.Status.Phase != fleetv1alpha1.InstanceRunning {
		t.Errorf("after the second apply it is %+v", applied)
	}

	// Another manager gets a conflict that names the owner, and may force the apply.
	mine := fleetapply.Instance("web", "default").WithSpec(fleetapply.InstanceSpec().
		WithContainers(fleetapply.Container().WithName("main").WithImage("registry.example/web:3")))
	if _, err := instances.Apply(ctx, mine, metav1.ApplyOptions{FieldManager: "intruder"}); !apierrors.IsConflict(err) || !strings.Contains(err.Error(), `"deployer"`) {
		t.Errorf("two managers of one field: %v, want a conflict with deployer", err)
	}
	if applied, err = instances.Apply(ctx, mine, metav1.ApplyOptions{FieldManager: "intruder", Force: true}); err != nil || applied.Spec.Containers[0].Image != "registry.example/web:3" {
		t.Errorf("forced: %v %v", applied, err)
	}
}

func TestBindIsAtomicThroughTheGeneratedClientset(t *testing.T) {
	client := versioned.NewForConfigOrDie(servertesting.Start(t).Config)
	ctx := t.Context()
	const hosts = 8
	for i := range hosts {
		if _, err := client.FleetV1alpha1().Hosts().Create(ctx, &fleetv1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("edge-%d", i)}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	instances := client.FleetV1alpha1().Instances("default")
	for round := range 10 {
		name := fmt.Sprintf("web-%d", round)
		if _, err := instances.Create(ctx, harness.SmallInstance(name), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		results := make([]error, hosts)
		var group sync.WaitGroup
		for i := range hosts {
			group.Go(func() {
				binding := &fleetv1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: fleetv1alpha1.BindingTarget{Kind: "Host", Name: fmt.Sprintf("edge-%d", i)}}
				_, results[i] = instances.Bind(ctx, name, binding, metav1.CreateOptions{})
			})
		}
		group.Wait()
		winner := ""
		for i, err := range results {
			switch {
			case err == nil && winner == "":
				winner = fmt.Sprintf("edge-%d", i)
			case err == nil:
				t.Errorf("%s: edge-%d and %s have both bound it", name, i, winner)
			case !apierrors.IsConflict(err):
				t.Errorf("%s: edge-%d: %v, want a conflict", name, i, err)
			}
		}
		bound, err := instances.Get(ctx, name, metav1.GetOptions{})
		if err != nil || winner == "" || bound.Spec.HostName != winner {
			t.Errorf("%s: bound to %q, but %q got the success: %v", name, bound.Spec.HostName, winner, err)
		}
		if !apimeta.IsStatusConditionTrue(bound.Status.Conditions, fleetv1alpha1.InstanceConditionScheduled) {
			t.Errorf("%s: the conditions are %+v", name, bound.Status.Conditions)
		}
	}
}
