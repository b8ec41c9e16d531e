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

package harness

import (
	"context"
	"fmt"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// FleetClient is the generated clientset with helpers that tests of instances share.
type FleetClient struct {
	versioned.Interface
}

// NewFleetClient returns a client of the fleet group.
func NewFleetClient(t *testing.T, config *rest.Config) FleetClient {
	t.Helper()
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return FleetClient{client}
}

// CreateHost stores a host.
func (c FleetClient) CreateHost(t *testing.T, name string) *v1alpha1.Host {
	t.Helper()
	host, err := c.FleetV1alpha1().Hosts().Create(t.Context(), &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// CreateInstance stores an instance of one container in the namespace default.
func (c FleetClient) CreateInstance(t *testing.T, name string, change ...func(*v1alpha1.Instance)) *v1alpha1.Instance {
	t.Helper()
	instance := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
	}
	for _, f := range change {
		f(instance)
	}
	created, err := c.FleetV1alpha1().Instances("default").Create(t.Context(), instance, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// GetInstance returns an instance of the namespace default.
func (c FleetClient) GetInstance(t *testing.T, name string) *v1alpha1.Instance {
	t.Helper()
	instance, err := c.FleetV1alpha1().Instances("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return instance
}

// Bind binds an instance, with the metadata of the binding if it is set.
func (c FleetClient) Bind(ctx context.Context, instance, host string, meta metav1.ObjectMeta, dryRun ...string) (*metav1.Status, error) {
	return c.FleetV1alpha1().Instances("default").Bind(ctx, instance, &v1alpha1.Binding{
		ObjectMeta: meta,
		Target:     v1alpha1.BindingTarget{Kind: "Host", Name: host},
	}, metav1.CreateOptions{DryRun: dryRun})
}

// MustBind binds an instance to a host, and fails the test on an error.
func (c FleetClient) MustBind(t *testing.T, instance, host string) {
	t.Helper()
	if _, err := c.Bind(t.Context(), instance, host, metav1.ObjectMeta{}); err != nil {
		t.Fatal(err)
	}
}

// IsGone reports whether the instance is no longer stored.
func (c FleetClient) IsGone(t *testing.T, name string) bool {
	t.Helper()
	_, err := c.FleetV1alpha1().Instances("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	return err != nil
}

// Delete deletes an instance, with a grace period unless that is negative.
func (c FleetClient) Delete(t *testing.T, name string, grace int64) {
	t.Helper()
	options := metav1.DeleteOptions{}
	if grace >= 0 {
		options.GracePeriodSeconds = &grace
	}
	if err := c.FleetV1alpha1().Instances("default").Delete(t.Context(), name, options); err != nil {
		t.Fatal(err)
	}
}

// SetPhase reports a phase as an agent does.
func (c FleetClient) SetPhase(t *testing.T, name string, phase v1alpha1.InstancePhase) *v1alpha1.Instance {
	t.Helper()
	instance := c.GetInstance(t, name)
	instance.Status.Phase = phase
	updated, err := c.FleetV1alpha1().Instances("default").UpdateStatus(t.Context(), instance, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return updated
}

// WantTerminating fails the test unless the instance is stored and terminating with the grace period.
func (c FleetClient) WantTerminating(t *testing.T, name string, grace int64) *v1alpha1.Instance {
	t.Helper()
	instance := c.GetInstance(t, name)
	if instance.DeletionTimestamp == nil {
		t.Fatalf("%s is not being deleted", name)
	}
	if got := ptr.Deref(instance.DeletionGracePeriodSeconds, -1); got != grace {
		t.Errorf("%s is being deleted with grace period %d, not %d", name, got, grace)
	}
	return instance
}

// GraceOfSpec stands for the grace period of the instance's spec in Delete.
const GraceOfSpec = -1

// HostBecomes waits until a host has a condition Ready of the status and exactly these taints.
func (c FleetClient) HostBecomes(t *testing.T, name string, ready metav1.ConditionStatus, taints ...v1alpha1.Taint) {
	t.Helper()
	ComesTrue(t, func(ctx context.Context) string {
		host, err := c.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err.Error()
		}
		condition := apimeta.FindStatusCondition(host.Status.Conditions, v1alpha1.HostConditionReady)
		if condition == nil || condition.Status != ready || !slices.Equal(host.Spec.Taints, taints) {
			return fmt.Sprintf("host %s: %+v, taints %+v", name, condition, host.Spec.Taints)
		}
		return ""
	})
}

// InstanceBecomes waits until is returns nothing for the instance, which is nil once it is gone.
func (c FleetClient) InstanceBecomes(t *testing.T, name string, is func(*v1alpha1.Instance) string) {
	t.Helper()
	ComesTrue(t, func(ctx context.Context) string {
		list, err := c.FleetV1alpha1().Instances("default").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + name})
		if err != nil {
			return err.Error()
		}
		if len(list.Items) == 0 {
			return is(nil)
		}
		return is(&list.Items[0])
	})
}

// App returns an app of the namespace default.
func (c FleetClient) App(t *testing.T, name string) *v1alpha1.App {
	t.Helper()
	app, err := c.FleetV1alpha1().Apps("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return app
}

// Create stores an instance in the namespace default, and returns the error of the create.
func (c FleetClient) Create(t *testing.T, i *v1alpha1.Instance) error {
	t.Helper()
	_, err := c.FleetV1alpha1().Instances("default").Create(t.Context(), i, metav1.CreateOptions{})
	return err
}

// CreateReadyHost stores a host with this many cores, as its agent reports it when ready.
func (c FleetClient) CreateReadyHost(t *testing.T, name, cpu string) *v1alpha1.Host {
	t.Helper()
	host := c.CreateHost(t, name)
	host.Status.Allocatable = v1alpha1.ResourceList{
		v1alpha1.ResourceCPU: resource.MustParse(cpu), v1alpha1.ResourceMemory: resource.MustParse("8Gi"), v1alpha1.ResourceInstances: resource.MustParse("20"),
	}
	apimeta.SetStatusCondition(&host.Status.Conditions, metav1.Condition{Type: v1alpha1.HostConditionReady, Status: metav1.ConditionTrue, Reason: "AgentReady"})
	ready, err := c.FleetV1alpha1().Hosts().UpdateStatus(t.Context(), host, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ready
}

// WaitReady returns the Host once its agent has reported it ready.
func (c FleetClient) WaitReady(t *testing.T, name string) (host *v1alpha1.Host) {
	t.Helper()
	kit.Eventually(t, name+" is ready", func(ctx context.Context) bool {
		var err error
		host, err = c.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
		return err == nil && apimeta.IsStatusConditionTrue(host.Status.Conditions, v1alpha1.HostConditionReady)
	})
	return host
}

// WaitInstance returns the instance once wanted returns true.
func (c FleetClient) WaitInstance(t *testing.T, name, what string, wanted func(*v1alpha1.Instance, *v1alpha1.ContainerStatus) bool) (instance *v1alpha1.Instance) {
	t.Helper()
	kit.Eventually(t, name+" "+what, func(ctx context.Context) bool {
		var err error
		instance, err = c.FleetV1alpha1().Instances("default").Get(ctx, name, metav1.GetOptions{})
		return err == nil && len(instance.Status.ContainerStatuses) == 1 && wanted(instance, &instance.Status.ContainerStatuses[0])
	})
	return instance
}
