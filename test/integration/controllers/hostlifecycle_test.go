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
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func isGone(i *v1alpha1.Instance) string {
	if i != nil {
		return fmt.Sprintf("%s is still there: %+v", i.Name, i.ObjectMeta)
	}
	return ""
}

func TestAHostThatFallsSilentIsTaintedEvictedAndBuried(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	hosts, instances := client.FleetV1alpha1().Hosts(), client.FleetV1alpha1().Instances("default")
	// The leases of the others are not renewed, and their duration is longer than the test.
	for name, seconds := range map[string]int32{"a": 1, "b": 3600, "c": 3600} {
		client.CreateReadyHost(t, name, "4")
		lease := &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.HostLeaseSpec{RenewTime: ptr.To(metav1.NowMicro()), LeaseDurationSeconds: &seconds}}
		if _, err := client.FleetV1alpha1().HostLeases().Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	tolerant := func(i *v1alpha1.Instance) {
		i.Spec.Tolerations = []v1alpha1.Toleration{{Operator: v1alpha1.TolerationOpExists}}
	}
	client.CreateInstance(t, "evicted")
	client.CreateInstance(t, "stays", tolerant)
	client.CreateInstance(t, "elsewhere")
	for name, host := range map[string]string{"evicted": "a", "stays": "a", "elsewhere": "b"} {
		client.MustBind(t, name, host)
		running := client.GetInstance(t, name)
		running.Status.Phase = v1alpha1.InstanceRunning
		meta.SetStatusCondition(&running.Status.Conditions, metav1.Condition{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionTrue, Reason: "Running"})
		if _, err := instances.UpdateStatus(t.Context(), running, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}

	options := hostlifecycle.DefaultOptions()
	options.Grace = time.Hour // the lease of a requests one second
	options.MonitorPeriod, options.Toleration, options.Quarantine, options.EvictionRate = 50*time.Millisecond, 0, 100*time.Millisecond, 100
	runs(t, server.Config, func(config *rest.Config, shared externalversions.SharedInformerFactory) (*hostlifecycle.Controller, error) {
		return hostlifecycle.New(config, shared, options)
	})

	unreachable := v1alpha1.Taint{Key: v1alpha1.TaintHostUnreachable, Effect: v1alpha1.TaintEffectNoSchedule}
	unreachableNow := v1alpha1.Taint{Key: v1alpha1.TaintHostUnreachable, Effect: v1alpha1.TaintEffectNoExecute}
	client.HostBecomes(t, "a", metav1.ConditionUnknown, unreachable, unreachableNow)
	for _, name := range []string{"evicted", "stays"} {
		client.InstanceBecomes(t, name, func(i *v1alpha1.Instance) string {
			if i == nil || !meta.IsStatusConditionFalse(i.Status.Conditions, v1alpha1.InstanceConditionReady) {
				return fmt.Sprintf("%s is not marked: %+v", name, i)
			}
			return ""
		})
	}
	// If the agent comes back, it has the grace period to end the instance.
	client.InstanceBecomes(t, "evicted", func(i *v1alpha1.Instance) string {
		if i == nil || i.DeletionTimestamp == nil || *i.DeletionGracePeriodSeconds != 30 {
			return fmt.Sprintf("not evicted: %+v", i)
		}
		return ""
	})
	if client.GetInstance(t, "stays").DeletionTimestamp != nil {
		t.Error("an instance that tolerates everything was evicted")
	}

	// The host comes back: its agent reports ready and renews its lease.
	host, err := hosts.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	renewed, err := client.FleetV1alpha1().HostLeases().Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	renewed.Spec.RenewTime, renewed.Spec.LeaseDurationSeconds = ptr.To(metav1.NowMicro()), ptr.To[int32](3600)
	if _, err := client.FleetV1alpha1().HostLeases().Update(t.Context(), renewed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	meta.SetStatusCondition(&host.Status.Conditions, metav1.Condition{Type: v1alpha1.HostConditionReady, Status: metav1.ConditionTrue, Reason: "AgentReady"})
	if _, err := hosts.UpdateStatus(t.Context(), host, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	client.HostBecomes(t, "a", metav1.ConditionTrue)

	// The host is deleted: no agent will ever end its instances.
	if err := hosts.Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	client.InstanceBecomes(t, "evicted", isGone)
	client.InstanceBecomes(t, "stays", isGone)
	if i := client.GetInstance(t, "elsewhere"); i.DeletionTimestamp != nil || !meta.IsStatusConditionTrue(i.Status.Conditions, v1alpha1.InstanceConditionReady) {
		t.Errorf("an instance of a host that is well was touched: %+v", i)
	}
}
