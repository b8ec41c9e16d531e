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

package v1alpha1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return scheme
}

func amounts(pairs ...string) v1alpha1.ResourceList {
	list := v1alpha1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		list[v1alpha1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return list
}

func TestDefaultsFillInWhatIsNotSaid(t *testing.T) {
	for _, test := range []struct {
		name        string
		given, want runtime.Object
	}{
		{
			name:  "a host gets nothing",
			given: &v1alpha1.Host{},
			want:  &v1alpha1.Host{},
		},
		{
			name:  "capacity stands for allocatable",
			given: &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2")}},
			want:  &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2"), Allocatable: amounts("cpu", "2")}},
		},
		{
			name:  "capacity stands for an empty allocatable, which storage would lose",
			given: &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2"), Allocatable: amounts()}},
			want:  &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2"), Allocatable: amounts("cpu", "2")}},
		},
		{
			name:  "allocatable is left as it is, whatever it lacks",
			given: &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2", "memory", "1Gi"), Allocatable: amounts("cpu", "1")}},
			want:  &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2", "memory", "1Gi"), Allocatable: amounts("cpu", "1")}},
		},
		{
			name:  "a lease lasts 40 seconds",
			given: &v1alpha1.HostLease{},
			want:  &v1alpha1.HostLease{Spec: v1alpha1.HostLeaseSpec{LeaseDurationSeconds: ptr.To[int32](40)}},
		},
		{
			name:  "a lease of no time at all is left for validation to refuse",
			given: &v1alpha1.HostLease{Spec: v1alpha1.HostLeaseSpec{LeaseDurationSeconds: ptr.To[int32](0)}},
			want:  &v1alpha1.HostLease{Spec: v1alpha1.HostLeaseSpec{LeaseDurationSeconds: ptr.To[int32](0)}},
		},
		{
			name:  "a binding is to a host",
			given: &v1alpha1.Binding{},
			want:  &v1alpha1.Binding{Target: v1alpha1.BindingTarget{Kind: "Host"}},
		},
		{
			name:  "an instance restarts always and has 30 seconds to end",
			given: &v1alpha1.Instance{},
			want: &v1alpha1.Instance{Spec: v1alpha1.InstanceSpec{
				RestartPolicy:                 v1alpha1.RestartPolicyAlways,
				TerminationGracePeriodSeconds: ptr.To[int64](30),
			}},
		},
		{
			name: "an instance keeps its values",
			given: &v1alpha1.Instance{Spec: v1alpha1.InstanceSpec{
				RestartPolicy:                 v1alpha1.RestartPolicyNever,
				TerminationGracePeriodSeconds: ptr.To[int64](0),
				Containers:                    []v1alpha1.Container{{ImagePullPolicy: v1alpha1.PullNever, Ports: []v1alpha1.ContainerPort{{Protocol: v1alpha1.ProtocolSCTP}}}},
			}},
			want: &v1alpha1.Instance{Spec: v1alpha1.InstanceSpec{
				RestartPolicy:                 v1alpha1.RestartPolicyNever,
				TerminationGracePeriodSeconds: ptr.To[int64](0),
				Containers:                    []v1alpha1.Container{{ImagePullPolicy: v1alpha1.PullNever, Ports: []v1alpha1.ContainerPort{{Protocol: v1alpha1.ProtocolSCTP}}}},
			}},
		},
		{
			name: "a port without a protocol stays without, in every container of every item of a list",
			given: &v1alpha1.InstanceList{Items: []v1alpha1.Instance{{}, {Spec: v1alpha1.InstanceSpec{
				RestartPolicy:                 v1alpha1.RestartPolicyNever,
				TerminationGracePeriodSeconds: ptr.To[int64](1),
				Containers:                    []v1alpha1.Container{{ImagePullPolicy: v1alpha1.PullNever, Ports: make([]v1alpha1.ContainerPort, 2)}},
			}}}},
			want: &v1alpha1.InstanceList{Items: []v1alpha1.Instance{
				{Spec: v1alpha1.InstanceSpec{RestartPolicy: v1alpha1.RestartPolicyAlways, TerminationGracePeriodSeconds: ptr.To[int64](30)}},
				{Spec: v1alpha1.InstanceSpec{
					RestartPolicy:                 v1alpha1.RestartPolicyNever,
					TerminationGracePeriodSeconds: ptr.To[int64](1),
					Containers:                    []v1alpha1.Container{{ImagePullPolicy: v1alpha1.PullNever, Ports: make([]v1alpha1.ContainerPort, 2)}},
				}},
			}},
		},
		{
			name: "a limit stands for a request that is not given, and only for that",
			given: &v1alpha1.Instance{Spec: v1alpha1.InstanceSpec{
				RestartPolicy:                 v1alpha1.RestartPolicyAlways,
				TerminationGracePeriodSeconds: ptr.To[int64](30),
				Containers: []v1alpha1.Container{
					{ImagePullPolicy: v1alpha1.PullNever, Resources: v1alpha1.ResourceRequirements{Limits: amounts("cpu", "2", "memory", "1Gi"), Requests: amounts("cpu", "1")}},
					{ImagePullPolicy: v1alpha1.PullNever, Resources: v1alpha1.ResourceRequirements{Limits: amounts("cpu", "2")}},
					{ImagePullPolicy: v1alpha1.PullNever, Resources: v1alpha1.ResourceRequirements{Requests: amounts("cpu", "1")}},
				},
			}},
			want: &v1alpha1.Instance{Spec: v1alpha1.InstanceSpec{
				RestartPolicy:                 v1alpha1.RestartPolicyAlways,
				TerminationGracePeriodSeconds: ptr.To[int64](30),
				Containers: []v1alpha1.Container{
					{ImagePullPolicy: v1alpha1.PullNever, Resources: v1alpha1.ResourceRequirements{Limits: amounts("cpu", "2", "memory", "1Gi"), Requests: amounts("cpu", "1", "memory", "1Gi")}},
					{ImagePullPolicy: v1alpha1.PullNever, Resources: v1alpha1.ResourceRequirements{Limits: amounts("cpu", "2"), Requests: amounts("cpu", "2")}},
					{ImagePullPolicy: v1alpha1.PullNever, Resources: v1alpha1.ResourceRequirements{Requests: amounts("cpu", "1")}},
				},
			}},
		},
		{
			name:  "an app runs one instance, and replaces a quarter at a time",
			given: &v1alpha1.App{},
			want:  &v1alpha1.App{Spec: appDefaults(&v1alpha1.RollingUpdateApp{MaxUnavailable: share("25%"), MaxSurge: share("25%")})},
		},
		{
			name:  "the values of a rolling update are kept, and the rest is defaulted",
			given: &v1alpha1.App{Spec: v1alpha1.AppSpec{Strategy: v1alpha1.AppStrategy{RollingUpdate: &v1alpha1.RollingUpdateApp{MaxSurge: share("0%")}}}},
			want:  &v1alpha1.App{Spec: appDefaults(&v1alpha1.RollingUpdateApp{MaxUnavailable: share("25%"), MaxSurge: share("0%")})},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			newScheme(t).Default(test.given)
			if diff := cmp.Diff(test.want, test.given); diff != "" {
				t.Errorf("defaulted otherwise (-want +got):\n%s", diff)
			}
		})
	}
}

func share(percent string) *intstr.IntOrString {
	value := intstr.FromString(percent)
	return &value
}

// appDefaults is the spec of an app of which nothing was said but how it rolls.
func appDefaults(rolling *v1alpha1.RollingUpdateApp) v1alpha1.AppSpec {
	return v1alpha1.AppSpec{
		Replicas:                ptr.To[int32](1),
		RevisionHistoryLimit:    ptr.To[int32](10),
		ProgressDeadlineSeconds: ptr.To[int32](600),
		Strategy:                v1alpha1.AppStrategy{Type: v1alpha1.RollingUpdateAppStrategy, RollingUpdate: rolling},
		Template: v1alpha1.InstanceTemplateSpec{Spec: v1alpha1.InstanceSpec{
			RestartPolicy:                 v1alpha1.RestartPolicyAlways,
			TerminationGracePeriodSeconds: ptr.To[int64](30),
		}},
	}
}

func TestAnAppThatIsRecreatedRollsNothing(t *testing.T) {
	app := &v1alpha1.App{Spec: v1alpha1.AppSpec{Strategy: v1alpha1.AppStrategy{Type: v1alpha1.RecreateAppStrategy}}}
	newScheme(t).Default(app)
	if app.Spec.Strategy.RollingUpdate != nil {
		t.Errorf("got %v, which validation refuses with Recreate", app.Spec.Strategy.RollingUpdate)
	}
}

func TestADefaultSharesNothingWithWhatItWasTakenFrom(t *testing.T) {
	host := &v1alpha1.Host{Status: v1alpha1.HostStatus{Capacity: amounts("cpu", "2")}}
	newScheme(t).Default(host)
	host.Status.Allocatable["cpu"] = resource.MustParse("1")
	if cpu := host.Status.Capacity["cpu"]; cpu.String() != "2" {
		t.Errorf("a change of allocatable changed capacity to %v", &cpu)
	}
}

func TestTheImageDecidesWhetherItIsPulledAlways(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]v1alpha1.PullPolicy{
		"web":                                v1alpha1.PullAlways,
		"web:latest":                         v1alpha1.PullAlways,
		"example.com/team/web":               v1alpha1.PullAlways,
		"example.com:5000/web":               v1alpha1.PullAlways,
		"example.com:5000/web:latest":        v1alpha1.PullAlways,
		"":                                   v1alpha1.PullAlways,
		"web:1.2":                            v1alpha1.PullIfNotPresent,
		"web:latest-1":                       v1alpha1.PullIfNotPresent,
		"example.com:5000/web:1.2":           v1alpha1.PullIfNotPresent,
		"web" + digest:                       v1alpha1.PullIfNotPresent,
		"web:latest" + digest:                v1alpha1.PullIfNotPresent,
		"example.com:5000/team/web" + digest: v1alpha1.PullIfNotPresent,
	} {
		t.Run("of "+image, func(t *testing.T) {
			container := v1alpha1.Container{Image: image}
			v1alpha1.SetDefaults_Container(&container)
			if container.ImagePullPolicy != want {
				t.Errorf("got %s, want %s", container.ImagePullPolicy, want)
			}
		})
	}
}
