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

package fleet_test

import (
	"context"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/fuzzer"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	fleetregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// Verbs of the endpoints below a resource.
var (
	statusVerbs  = []string{"get", "patch", "update"}
	createVerbs  = []string{"create"}
	connectVerbs = []string{"connect"}
)

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewFleetScheme()
	registrytest.Contract(t, registrytest.Group{
		Name:       fleet.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: registrytest.NewStorage(fleetregistry.StorageProvider{Objects: noObjects{}, Tunnels: tunnel.NewRegistry(), Updates: registrytest.CallerUpdates(t, scheme)}, fleet.GroupName),
		Fuzzer:     fuzzer.Funcs,
		Fixtures:   filepath.Join("..", "..", "apis", "fleet", "testdata", "HEAD"),
		Resources:  []registrytest.Resource{hosts(), hostLeases(), instances(), apps(), releases()},
	})
}

func hosts() registrytest.Resource {
	return registrytest.Resource{
		Name:        "hosts",
		Singular:    "host",
		Kind:        "Host",
		ShortNames:  []string{"ho"},
		Categories:  []string{"fleet"},
		Verbs:       registrytest.StandardVerbs,
		Columns:     []string{"NAME", "STATUS", "AGE", "VERSION"},
		WideColumns: []string{"ADDRESS", "OS", "ARCH", "RUNTIME"},
		Key:         "/registry/fleet.gatehouse.dev/hosts/edge-1",
		Sample:      func() runtime.Object { return sampleHost() },
		InitialStatus: fleet.HostStatus{Conditions: []metav1.Condition{
			initial(fleet.HostConditionReady, metav1.ConditionUnknown, fleet.HostReasonNotReported, "the host's agent has not reported yet"),
		}},
		ChangeSpec:   func(obj runtime.Object) { obj.(*fleet.Host).Spec.Unschedulable = true },
		Subresources: []registrytest.Subresource{{Name: "status", Kind: "Host", Verbs: statusVerbs}, {Name: "tunnel", Kind: "HostTunnelOptions", Verbs: connectVerbs}},
	}
}

func sampleHost() *fleet.Host {
	return &fleet.Host{
		ObjectMeta: metav1.ObjectMeta{Name: "edge-1"},
		Spec:       fleet.HostSpec{Taints: []fleet.Taint{{Key: "example.com/dedicated", Value: "batch", Effect: fleet.TaintEffectNoSchedule}}},
		Status: fleet.HostStatus{
			ObservedGeneration: 1,
			Capacity:           fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("4"), "example.com/gpu": resource.MustParse("1")},
			Allocatable:        fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("3500m")},
			Conditions:         []metav1.Condition{condition(fleet.HostConditionReady)},
			Addresses:          []fleet.HostAddress{{Type: fleet.HostInternalIP, Address: "192.0.2.1"}},
			Info:               fleet.HostInfo{OperatingSystem: "linux", Architecture: "arm64", AgentVersion: "1.0"},
		},
	}
}

func hostLeases() registrytest.Resource {
	return registrytest.Resource{
		Name:       "hostleases",
		Singular:   "hostlease",
		Kind:       "HostLease",
		ShortNames: []string{"hl"},
		Verbs:      registrytest.StandardVerbs,
		Columns:    []string{"NAME", "HOLDER", "RENEWED", "AGE"},
		Key:        "/registry/fleet.gatehouse.dev/hostleases/edge-1",
		Sample: func() runtime.Object {
			renewed := metav1.NewMicroTime(timestamp.Time)
			return &fleet.HostLease{
				ObjectMeta: metav1.ObjectMeta{Name: "edge-1"},
				Spec:       fleet.HostLeaseSpec{RenewTime: &renewed, LeaseDurationSeconds: ptr.To[int32](40), HolderIdentity: "edge-1"},
			}
		},
		ChangeSpec: func(obj runtime.Object) { obj.(*fleet.HostLease).Spec.LeaseDurationSeconds = ptr.To[int32](10) },
	}
}

func instances() registrytest.Resource {
	return registrytest.Resource{
		Name:             "instances",
		Singular:         "instance",
		Kind:             "Instance",
		ShortNames:       []string{"inst"},
		Categories:       []string{"all", "fleet"},
		Namespaced:       true,
		Verbs:            registrytest.StandardVerbs,
		Columns:          []string{"NAME", "READY", "STATUS", "RESTARTS", "AGE"},
		WideColumns:      []string{"IP", "HOST"},
		SelectableFields: []string{"spec.hostName", "spec.serviceAccountName", "spec.restartPolicy", "status.phase"},
		Indexes:          []string{"spec.hostName", "status.phase"},
		WatchIndex:       "spec.hostName",
		Key:              "/registry/fleet.gatehouse.dev/instances/default/web-1",
		Sample:           func() runtime.Object { return sampleInstance() },
		InitialStatus: fleet.InstanceStatus{Phase: fleet.InstancePending, Conditions: []metav1.Condition{
			initial(fleet.InstanceConditionReady, metav1.ConditionFalse, "Pending", "no host has reported the instance yet"),
		}},
		ChangeSpec: func(obj runtime.Object) { obj.(*fleet.Instance).Spec.Containers[0].Image = "web:2" },
		Subresources: []registrytest.Subresource{
			{Name: "status", Kind: "Instance", Verbs: statusVerbs},
			{Name: "binding", Kind: "Binding", Verbs: createVerbs, Body: func() runtime.Object {
				return &fleet.Binding{Target: fleet.BindingTarget{Kind: "Host", Name: sampleHost().Name}}
			}},
			{Name: "configuration", Kind: "InstanceConfiguration", Verbs: []string{"get"}},
			{Name: "log", Kind: "Instance", Options: "InstanceLogOptions", Verbs: []string{"get"}},
			{Name: "exec", Kind: "InstanceExecOptions", Verbs: connectVerbs},
			{Name: "attach", Kind: "InstanceAttachOptions", Verbs: connectVerbs},
			{Name: "portforward", Kind: "InstancePortForwardOptions", Verbs: connectVerbs},
		},
	}
}

// noObjects has nothing to which an instance could refer.
type noObjects struct{}

func (noObjects) ConfigMap(_ context.Context, _, name string) (*corev1.ConfigMap, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), name)
}

func (noObjects) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
}

func sampleInstance() *fleet.Instance {
	return &fleet.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"},
		Spec: fleet.InstanceSpec{
			Containers: []fleet.Container{{
				Name:            "web",
				Image:           "web:1",
				Env:             []fleet.EnvVar{{Name: "LOG_LEVEL", Value: "info"}},
				Ports:           []fleet.ContainerPort{{Name: "http", ContainerPort: 80, Protocol: fleet.ProtocolTCP}},
				Resources:       fleet.ResourceRequirements{Requests: fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("500m")}},
				ImagePullPolicy: fleet.PullIfNotPresent,
			}},
			HostSelector:                  map[string]string{"example.com/zone": "a"},
			Tolerations:                   []fleet.Toleration{{Operator: fleet.TolerationOpExists}},
			RestartPolicy:                 fleet.RestartPolicyAlways,
			ServiceAccountName:            "web",
			TerminationGracePeriodSeconds: ptr.To[int64](30),
		},
		Status: fleet.InstanceStatus{
			ObservedGeneration: 1,
			Phase:              fleet.InstanceRunning,
			Conditions:         []metav1.Condition{condition(fleet.InstanceConditionReady)},
			HostIP:             "192.0.2.1",
			InstanceIP:         "2001:db8::1",
			StartTime:          &timestamp,
			ContainerStatuses: []fleet.ContainerStatus{{
				Name: "web", Ready: true, RestartCount: 1, State: fleet.ContainerState{Running: &fleet.ContainerStateRunning{StartedAt: timestamp}},
			}},
		},
	}
}

func sampleTemplate() fleet.InstanceTemplateSpec {
	spec := sampleInstance().Spec
	return fleet.InstanceTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}, Spec: spec}
}

func apps() registrytest.Resource {
	return registrytest.Resource{
		Name:          "apps",
		Singular:      "app",
		Kind:          "App",
		ShortNames:    []string{"app"},
		Categories:    []string{"all", "fleet"},
		Namespaced:    true,
		Verbs:         registrytest.StandardVerbs,
		Columns:       []string{"NAME", "READY", "UP-TO-DATE", "AVAILABLE", "STATUS", "AGE"},
		WideColumns:   []string{"CONTAINERS", "IMAGES", "SELECTOR"},
		Key:           "/registry/fleet.gatehouse.dev/apps/default/web",
		InitialStatus: fleet.AppStatus{Conditions: awaiting("app controller")},
		Sample: func() runtime.Object {
			share := intstr.FromString("25%")
			return &fleet.App{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
				Spec: fleet.AppSpec{
					Replicas:                ptr.To[int32](3),
					Selector:                &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
					Template:                sampleTemplate(),
					Strategy:                fleet.AppStrategy{Type: fleet.RollingUpdateAppStrategy, RollingUpdate: &fleet.RollingUpdateApp{MaxUnavailable: &share, MaxSurge: &share}},
					RevisionHistoryLimit:    ptr.To[int32](10),
					ProgressDeadlineSeconds: ptr.To[int32](600),
				},
				Status: fleet.AppStatus{ObservedGeneration: 1, Replicas: 3, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 1, UnavailableReplicas: 2, LastProgressTime: &timestamp, Conditions: []metav1.Condition{condition(fleet.AppConditionAvailable)}},
			}
		},
		ChangeSpec: func(obj runtime.Object) { obj.(*fleet.App).Spec.Template.Spec.Containers[0].Image = "web:2" },
		Subresources: []registrytest.Subresource{
			{Name: "status", Kind: "App", Verbs: statusVerbs},
			{Name: "scale", Kind: "Scale", Foreign: true, Verbs: statusVerbs},
			{Name: "rollback", Kind: "AppRollback", Verbs: createVerbs, Body: func() runtime.Object { return &fleet.AppRollback{ToRevision: 1} }},
		},
	}
}

func releases() registrytest.Resource {
	return registrytest.Resource{
		Name:          "releases",
		Singular:      "release",
		Kind:          "Release",
		ShortNames:    []string{"rel"},
		Categories:    []string{"all", "fleet"},
		Namespaced:    true,
		Verbs:         registrytest.StandardVerbs,
		Columns:       []string{"NAME", "DESIRED", "CURRENT", "READY", "STATUS", "AGE"},
		WideColumns:   []string{"CONTAINERS", "IMAGES", "SELECTOR"},
		Key:           "/registry/fleet.gatehouse.dev/releases/default/web-1",
		InitialStatus: fleet.ReleaseStatus{Conditions: awaiting("release controller")},
		Sample: func() runtime.Object {
			return &fleet.Release{
				ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"},
				Spec: fleet.ReleaseSpec{
					Replicas: ptr.To[int32](3),
					Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
					Template: sampleTemplate(),
				},
				Status: fleet.ReleaseStatus{ObservedGeneration: 1, Replicas: 3, ReadyReplicas: 2, AvailableReplicas: 1, Conditions: []metav1.Condition{condition(fleet.ReleaseConditionReplicaFailure)}},
			}
		},
		ChangeSpec: func(obj runtime.Object) { obj.(*fleet.Release).Spec.Replicas = ptr.To[int32](5) },
		Subresources: []registrytest.Subresource{
			{Name: "status", Kind: "Release", Verbs: statusVerbs},
			{Name: "scale", Kind: "Scale", Foreign: true, Verbs: statusVerbs},
		},
	}
}

// timestamp has whole seconds, as on the wire.
var timestamp = metav1.Unix(1_700_000_000, 0)

func condition(kind string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: "Tested", LastTransitionTime: timestamp}
}

// initial returns a condition of a new object.
func initial(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message, ObservedGeneration: 1}
}

// awaiting returns the conditions of a new object that a controller has not reconciled.
func awaiting(controller string) []metav1.Condition {
	message := "the " + controller + " has not reconciled it yet"
	return []metav1.Condition{
		initial(fleet.AppConditionReady, metav1.ConditionFalse, "Created", message),
		initial(fleet.AppConditionReconciling, metav1.ConditionTrue, "Created", message),
		initial(fleet.AppConditionStalled, metav1.ConditionFalse, "AsExpected", ""),
	}
}
