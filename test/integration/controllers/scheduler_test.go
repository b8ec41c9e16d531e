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

package controllers

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/scheduler"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// runs creates a controller with its informers and runs it until the test ends or the returned
// function is called, which waits for it to stop.
func runs[C interface{ Run(context.Context) }](t *testing.T, config *rest.Config, of func(*rest.Config, externalversions.SharedInformerFactory) (C, error)) (stop func()) {
	t.Helper()
	shared, err := informers.New(config)
	if err != nil {
		t.Fatal(err)
	}
	controller, err := of(config, shared)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { controller.Run(ctx) })
	running.Go(func() { shared.Run(ctx) })
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func oneCore(i *v1alpha1.Instance) {
	i.Spec.Containers[0].Resources.Requests = v1alpha1.ResourceList{v1alpha1.ResourceCPU: resource.MustParse("1")}
}

func TestTheSchedulerFillsHostsAndReportsWhyTheRestWaits(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	core, err := kubernetes.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	runs(t, server.Config, scheduler.New)
	instances := client.FleetV1alpha1().Instances("default")

	client.CreateInstance(t, "first", oneCore)
	waitsBecause := func(name, message string) {
		t.Helper()
		harness.ComesTrue(t, func(ctx context.Context) string {
			instance, err := instances.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			condition := meta.FindStatusCondition(instance.Status.Conditions, v1alpha1.InstanceConditionScheduled)
			if condition == nil || condition.Status != metav1.ConditionFalse || condition.Reason != "Unschedulable" || condition.Message != message {
				return fmt.Sprintf("the condition of %s is %+v", name, condition)
			}
			return ""
		})
	}
	waitsBecause("first", "0/0 hosts are available: there are no hosts")

	for _, name := range []string{"a", "b", "c"} {
		client.CreateReadyHost(t, name, "4")
	}
	const more = 13
	for i := range more {
		client.CreateInstance(t, fmt.Sprintf("web-%d", i), oneCore)
	}
	// Twelve of fourteen fit. No host gets a fifth, and no instance is bound twice.
	harness.ComesTrue(t, func(ctx context.Context) string {
		list, err := instances.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err.Error()
		}
		perHost := map[string]int{}
		for _, instance := range list.Items {
			perHost[instance.Spec.HostName]++
		}
		for _, host := range []string{"a", "b", "c"} {
			if perHost[host] > 4 {
				t.Fatalf("host %s was given %d", host, perHost[host])
			}
		}
		if perHost[""] != 2 {
			return fmt.Sprintf("%v", perHost)
		}
		return ""
	})
	waiting := ""
	harness.ComesTrue(t, func(ctx context.Context) string {
		list, err := instances.List(ctx, metav1.ListOptions{FieldSelector: "spec.hostName="})
		if err != nil || len(list.Items) != 2 {
			return fmt.Sprintf("%d wait (%v)", len(list.Items), err)
		}
		waiting = list.Items[0].Name
		return ""
	})
	waitsBecause(waiting, "0/3 hosts are available: 3 insufficient cpu")

	// An ended instance frees capacity for a pending one, and events report both.
	client.SetPhase(t, "first", v1alpha1.InstanceSucceeded)
	harness.ComesTrue(t, func(ctx context.Context) string {
		list, err := instances.List(ctx, metav1.ListOptions{FieldSelector: "spec.hostName="})
		if err != nil || len(list.Items) != 1 {
			return fmt.Sprintf("%d wait (%v)", len(list.Items), err)
		}
		return ""
	})
	for _, reason := range []string{"Scheduled", "FailedScheduling"} {
		harness.ComesTrue(t, func(ctx context.Context) string {
			list, err := core.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.name=first,reason=" + reason})
			if err != nil || len(list.Items) != 1 {
				return fmt.Sprintf("%d events %s (%v)", len(list.Items), reason, err)
			}
			return ""
		})
	}
}
