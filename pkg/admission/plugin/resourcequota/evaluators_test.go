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

package resourcequota

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	upstream "k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	quotav1 "k8s.io/apiserver/pkg/quota/v1"
	"k8s.io/apiserver/pkg/quota/v1/generic"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

const countInstances = "count/instances.fleet.gatehouse.dev"

func container(name, requestedCPU, requestedMemory string) fleet.Container {
	requests := fleet.ResourceList{}
	if requestedCPU != "" {
		requests[fleet.ResourceCPU] = resource.MustParse(requestedCPU)
	}
	if requestedMemory != "" {
		requests[fleet.ResourceMemory] = resource.MustParse(requestedMemory)
	}
	return fleet.Container{Name: name, Resources: fleet.ResourceRequirements{Requests: requests}}
}

func instance(phase fleet.InstancePhase, containers ...fleet.Container) *fleet.Instance {
	return &fleet.Instance{Spec: fleet.InstanceSpec{Containers: containers}, Status: fleet.InstanceStatus{Phase: phase}}
}

func evaluatorOf(t *testing.T, resource schema.GroupResource) quotav1.Evaluator {
	t.Helper()
	evaluator := generic.NewRegistry(evaluators()).Get(resource)
	if evaluator == nil {
		t.Fatalf("no evaluator of %s", resource)
	}
	return evaluator
}

// amounts parses a list of resources.
func amounts(list map[string]string) corev1.ResourceList {
	amounts := corev1.ResourceList{}
	for name, amount := range list {
		amounts[corev1.ResourceName(name)] = resource.MustParse(amount)
	}
	return amounts
}

func TestAnInstanceUsesTheRequestsOfItsContainersUntilItEnds(t *testing.T) {
	sums := func(cpu, memory string) map[string]string {
		return map[string]string{countInstances: "1", string(quota.RequestsMilliCPU): cpu, string(quota.RequestsMemory): memory, string(quota.LimitsMilliCPU): "0", string(quota.LimitsMemory): "0"}
	}
	for _, tc := range []struct {
		name string
		item runtime.Object
		want map[string]string
	}{
		{"a new one", instance(fleet.InstancePending, container("a", "100m", "1Ki"), container("b", "1", "")), sums("1100", "1024")},
		{"one that runs", instance(fleet.InstanceRunning, container("a", "1", "1")), sums("1000", "1")},
		{"an instance of an unreachable host", instance(fleet.InstanceUnknown, container("a", "1", "1")), sums("1000", "1")},
		{"one that has ended well is only counted", instance(fleet.InstanceSucceeded, container("a", "1", "1")), map[string]string{countInstances: "1"}},
		{"one that has failed is only counted", instance(fleet.InstanceFailed, container("a", "1", "1")), map[string]string{countInstances: "1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := evaluatorOf(t, fleet.Resource("instances")).Usage(tc.item)
			if err != nil {
				t.Fatal(err)
			}
			if !quotav1.Equals(got, amounts(tc.want)) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestEveryContainerMustSetTheResourcesThatAQuotaLimits(t *testing.T) {
	for _, tc := range []struct {
		name    string
		limited []corev1.ResourceName
		item    *fleet.Instance
		want    string
	}{
		{"all containers set it", []corev1.ResourceName{quota.RequestsMilliCPU, quota.RequestsMemory}, instance("", container("a", "1", "1"), container("b", "0", "1")), ""},
		{"only the number of instances is limited", []corev1.ResourceName{countInstances}, instance("", container("a", "", "")), ""},
		{"one container does not set a limited resource", []corev1.ResourceName{quota.RequestsMilliCPU}, instance("", container("a", "1", ""), container("b", "", "1")), "must specify resources.requests.cpu for: b"},
		{"several things are missing", []corev1.ResourceName{quota.LimitsMemory, quota.RequestsMilliCPU}, instance("", container("a", "", ""), container("b", "", "")),
			"must specify resources.requests.cpu for: a,b; resources.limits.memory for: a,b"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			if err := evaluatorOf(t, fleet.Resource("instances")).Constraints(tc.limited, tc.item); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestRequestsAreChargedOrRefused runs the library's check with the evaluators.
func TestRequestsAreChargedOrRefused(t *testing.T) {
	const none = ""
	for _, tc := range []struct {
		name        string
		hard, used  map[string]string
		scopes      []corev1.ResourceQuotaScope
		resource    schema.GroupResource
		subresource string
		operation   admission.Operation
		object, old runtime.Object
		charged     map[string]string
		refused     string
	}{
		{name: "an instance is charged to counts and sums", hard: map[string]string{countInstances: "3", string(quota.RequestsMilliCPU): "2000"}, used: map[string]string{countInstances: "2", string(quota.RequestsMilliCPU): "700"},
			object: instance(fleet.InstancePending, container("a", "1300m", "")), charged: map[string]string{countInstances: "3", string(quota.RequestsMilliCPU): "2000"}},
		{name: "one too many is refused with the numbers", hard: map[string]string{countInstances: "3"}, used: map[string]string{countInstances: "3"}, object: instance(fleet.InstancePending),
			refused: "exceeded quota: few, requested: count/instances.fleet.gatehouse.dev=1, used: count/instances.fleet.gatehouse.dev=3, limited: count/instances.fleet.gatehouse.dev=3"},
		{name: "one with too high requests is refused", hard: map[string]string{string(quota.RequestsMilliCPU): "1000"}, used: map[string]string{string(quota.RequestsMilliCPU): "999"}, object: instance(fleet.InstancePending, container("a", "2m", "")),
			refused: "exceeded quota: few, requested: fleet.gatehouse.dev/requests.millicpu=2, used: fleet.gatehouse.dev/requests.millicpu=999, limited: fleet.gatehouse.dev/requests.millicpu=1k"},
		{name: "one without requests is refused", hard: map[string]string{string(quota.RequestsMilliCPU): "1000"}, used: map[string]string{string(quota.RequestsMilliCPU): "0"}, object: instance(fleet.InstancePending, container("a", "", "1")),
			refused: "failed quota: few: must specify resources.requests.cpu for: a"},
		{name: "nothing is admitted before the controller has counted", hard: map[string]string{countInstances: "3"}, object: instance(fleet.InstancePending),
			refused: "status unknown for quota: few, resources: count/instances.fleet.gatehouse.dev"},
		{name: "a quota with a scope is about nothing of ours", hard: map[string]string{countInstances: "0"}, used: map[string]string{countInstances: "0"}, scopes: []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotTerminating},
			object: instance(fleet.InstancePending), charged: map[string]string{countInstances: "0"}},
		{name: "a report that an instance has ended is charged nothing", hard: map[string]string{countInstances: "0", string(quota.RequestsMilliCPU): "0"}, used: map[string]string{countInstances: "1", string(quota.RequestsMilliCPU): "1000"},
			operation: admission.Update, subresource: "status", object: instance(fleet.InstanceFailed, container("a", "1", "")), old: instance(fleet.InstanceRunning, container("a", "1", "")),
			charged: map[string]string{countInstances: "1", string(quota.RequestsMilliCPU): "1000"}},
		{name: "a binding is charged nothing", hard: map[string]string{countInstances: "0"}, used: map[string]string{countInstances: "1"}, subresource: "binding", object: &fleet.Binding{}, charged: map[string]string{countInstances: "1"}},
		{name: "apps are counted", hard: map[string]string{"count/apps.fleet.gatehouse.dev": "1"}, used: map[string]string{"count/apps.fleet.gatehouse.dev": "0"}, resource: fleet.Resource("apps"), object: &fleet.App{}, charged: map[string]string{"count/apps.fleet.gatehouse.dev": "1"}},
		{name: "secrets are counted under both names", hard: map[string]string{"secrets": "5", "count/secrets": "5"}, used: map[string]string{"secrets": "1", "count/secrets": "1"}, resource: corev1.Resource("secrets"), object: &corev1.Secret{}, charged: map[string]string{"secrets": "2", "count/secrets": "2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.resource.Resource == none {
				tc.resource = fleet.Resource("instances")
			}
			if tc.operation == "" {
				tc.operation = admission.Create
			}
			q := corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Scopes: tc.scopes}, Status: corev1.ResourceQuotaStatus{Hard: amounts(tc.hard), Used: amounts(tc.used)}}
			q.Name = "few"
			attributes := admission.NewAttributesRecord(tc.object, tc.old, schema.GroupVersionKind{}, "team", "name", tc.resource.WithVersion("v1"), tc.subresource, tc.operation, nil, false, nil)
			quotas, err := upstream.CheckRequest([]corev1.ResourceQuota{q}, attributes, evaluatorOf(t, tc.resource), nil)
			if tc.refused != "" {
				if err == nil || !strings.Contains(err.Error(), tc.refused) {
					t.Fatalf("got %v, want %q", err, tc.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := quotas[0].Status.Used; !quotav1.Equals(got, amounts(tc.charged)) {
				t.Errorf("used %v, want %v", got, tc.charged)
			}
		})
	}
}

func TestCountsHaveTheNamesOfTheLibrary(t *testing.T) {
	for _, kind := range quota.Kinds() {
		if diff := cmp.Diff(generic.ObjectCountQuotaResourceNameFor(kind.Resource.GroupResource()), quota.CountName(kind.Resource.GroupResource())); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWhatTheServerPublishesIsNotCharged(t *testing.T) {
	for _, tc := range []struct {
		name     string
		resource schema.GroupResource
		object   runtime.Object
		charged  bool
	}{
		{"the published root certificates", corev1.Resource("configmaps"), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}}, false},
		{"another ConfigMap", corev1.Resource("configmaps"), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}}, true},
		{"a Secret of the name of the root certificates", corev1.Resource("secrets"), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "kube-root-ca.crt"}}, true},
		{"a review without an object", corev1.Resource("configmaps"), nil, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			attributes := admission.NewAttributesRecord(tc.object, nil, schema.GroupVersionKind{}, "team", "", tc.resource.WithVersion("v1"), "", admission.Create, nil, false, nil)
			if got := evaluatorOf(t, tc.resource).Handles(attributes); got != tc.charged {
				t.Errorf("it is charged: %v", got)
			}
		})
	}
}
