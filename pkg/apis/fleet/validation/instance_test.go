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

package validation

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func validInstance() *fleet.Instance {
	return &fleet.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-1"},
		Spec: fleet.InstanceSpec{
			Containers: []fleet.Container{
				{
					Name:  "web",
					Image: "registry.example.com:5000/web:1.2",
					Env:   []fleet.EnvVar{{Name: "LOG_LEVEL", Value: "info"}},
					Ports: []fleet.ContainerPort{{Name: "http", ContainerPort: 80, HostPort: 8080, Protocol: fleet.ProtocolTCP}},
					Resources: fleet.ResourceRequirements{
						Limits:   fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("1"), "example.com/gpu": resource.MustParse("1")},
						Requests: fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("500m"), "example.com/gpu": resource.MustParse("1")},
					},
					ImagePullPolicy: fleet.PullIfNotPresent,
				},
				{Name: "log", Image: "log", ImagePullPolicy: fleet.PullAlways},
			},
			HostSelector:                  map[string]string{"example.com/zone": "a"},
			Tolerations:                   []fleet.Toleration{{Key: "example.com/dedicated", Operator: fleet.TolerationOpEqual, Value: "batch", Effect: fleet.TaintEffectNoSchedule}},
			RestartPolicy:                 fleet.RestartPolicyAlways,
			ServiceAccountName:            "web",
			TerminationGracePeriodSeconds: ptr.To[int64](30),
			ActiveDeadlineSeconds:         ptr.To[int64](600),
		},
	}
}

// instanceTest is a row: a change of a valid instance, and what has to be said about it.
type instanceTest struct {
	name   string
	change func(*fleet.Instance)
	want   []want
}

// container changes the first container.
func container(change func(*fleet.Container)) func(*fleet.Instance) {
	return func(i *fleet.Instance) { change(&i.Spec.Containers[0]) }
}

// spec changes the spec.
func spec(change func(*fleet.InstanceSpec)) func(*fleet.Instance) {
	return func(i *fleet.Instance) { change(&i.Spec) }
}

// status changes the status.
func status(change func(*fleet.InstanceStatus)) func(*fleet.Instance) {
	return func(i *fleet.Instance) { change(&i.Status) }
}

func toleration(value fleet.Toleration) func(*fleet.Instance) {
	return spec(func(s *fleet.InstanceSpec) { s.Tolerations = []fleet.Toleration{value} })
}

func requirements(limits, requests fleet.ResourceList) func(*fleet.Instance) {
	return container(func(c *fleet.Container) {
		c.Resources = fleet.ResourceRequirements{Limits: limits, Requests: requests}
	})
}

func amounts(name fleet.ResourceName, amount string) fleet.ResourceList {
	return fleet.ResourceList{name: resource.MustParse(amount)}
}

func run(t *testing.T, tests []instanceTest, validate func(*fleet.Instance) field.ErrorList) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			instance := validInstance()
			if test.change != nil {
				test.change(instance)
			}
			check(t, validate(instance), test.want)
		})
	}
}

func TestANewInstanceIsChecked(t *testing.T) {
	run(t, []instanceTest{
		{name: "a whole instance is valid"},
		{name: "an instance lives in a namespace", change: func(i *fleet.Instance) { i.Namespace = "" }, want: []want{{required, "metadata.namespace"}}},
		{name: "a name is required", change: func(i *fleet.Instance) { i.Name = "" }, want: []want{{required, "metadata.name"}}},
		{name: "a name is a DNS name", change: func(i *fleet.Instance) { i.Name = "web_1" }, want: []want{{invalid, "metadata.name"}}},
		{name: "a bound instance cannot be created", change: spec(func(s *fleet.InstanceSpec) { s.HostName = "edge-1" }), want: []want{{forbidden, "spec.hostName"}}},
		{name: "no containers are for the declarative rule to refuse", change: spec(func(s *fleet.InstanceSpec) { s.Containers = nil })},

		{name: "an image does not begin with white space", change: container(func(c *fleet.Container) { c.Image = " web" }), want: []want{{invalid, "spec.containers[0].image"}}},
		{name: "an image does not end with white space", change: container(func(c *fleet.Container) { c.Image = "web\n" }), want: []want{{invalid, "spec.containers[0].image"}}},
		{name: "a variable's name may have dots", change: container(func(c *fleet.Container) { c.Env[0].Name = "log.level" })},
		{name: "a variable's name has no equals sign", change: container(func(c *fleet.Container) { c.Env[0].Name = "A=B" }), want: []want{{invalid, "spec.containers[0].env[0].name"}}},
		{name: "a variable without a name is for the declarative rule to refuse", change: container(func(c *fleet.Container) { c.Env[0].Name = "" })},

		{name: "a port needs no name", change: container(func(c *fleet.Container) { c.Ports[0].Name = "" })},
		{name: "a port's name is a service name", change: container(func(c *fleet.Container) { c.Ports[0].Name = "web_site" }), want: []want{{invalid, "spec.containers[0].ports[0].name"}}},
		{name: "a port's name is at most 15 long", change: container(func(c *fleet.Container) { c.Ports[0].Name = "a234567890123456" }), want: []want{{invalid, "spec.containers[0].ports[0].name"}}},
		{name: "two ports of a container have two names", change: container(func(c *fleet.Container) {
			c.Ports = append(c.Ports, fleet.ContainerPort{Name: "http", ContainerPort: 81})
		}), want: []want{{duplicate, "spec.containers[0].ports[1].name"}}},
		{name: "two containers may name a port alike", change: spec(func(s *fleet.InstanceSpec) {
			s.Containers[1].Ports = []fleet.ContainerPort{{Name: "http", ContainerPort: 80, Protocol: fleet.ProtocolTCP}}
		})},
		{name: "two containers cannot have one host port", change: spec(func(s *fleet.InstanceSpec) {
			s.Containers[1].Ports = []fleet.ContainerPort{{ContainerPort: 81, HostPort: 8080, Protocol: fleet.ProtocolTCP}}
		}), want: []want{{duplicate, "spec.containers[1].ports[0].hostPort"}}},
		{name: "a host port of TCP and one of UDP are two", change: spec(func(s *fleet.InstanceSpec) {
			s.Containers[1].Ports = []fleet.ContainerPort{{ContainerPort: 81, HostPort: 8080, Protocol: fleet.ProtocolUDP}}
		})},
		{name: "a host port without a protocol is of TCP", change: spec(func(s *fleet.InstanceSpec) {
			s.Containers[1].Ports = []fleet.ContainerPort{{ContainerPort: 81, HostPort: 8080}}
		}), want: []want{{duplicate, "spec.containers[1].ports[0].hostPort"}}},
		{name: "a port without a protocol is of TCP", change: container(func(c *fleet.Container) {
			c.Ports = append(c.Ports, fleet.ContainerPort{ContainerPort: 80})
		}), want: []want{{duplicate, "spec.containers[0].ports[1]"}}},
		{name: "a port has a protocol that there is", change: container(func(c *fleet.Container) { c.Ports[0].Protocol = "ICMP" }), want: []want{{notSupported, "spec.containers[0].ports[0].protocol"}}},

		{name: "a container may request memory alone", change: requirements(nil, amounts(fleet.ResourceMemory, "1Gi"))},
		{name: "a container may request its limit", change: requirements(amounts(fleet.ResourceCPU, "1"), amounts(fleet.ResourceCPU, "1000m"))},
		{name: "a container cannot request more than its limit", change: requirements(amounts(fleet.ResourceCPU, "1"), amounts(fleet.ResourceCPU, "1001m")), want: []want{{invalid, "spec.containers[0].resources.requests[cpu]"}}},
		{name: "a container cannot request slots of instances", change: requirements(amounts(fleet.ResourceInstances, "1"), nil), want: []want{{notSupported, "spec.containers[0].resources.limits[instances]"}}},
		{name: "a limit is not negative", change: requirements(amounts(fleet.ResourceCPU, "-1"), nil), want: []want{{invalid, "spec.containers[0].resources.limits[cpu]"}}},
		{name: "a request is not negative", change: requirements(nil, amounts(fleet.ResourceCPU, "-1")), want: []want{{invalid, "spec.containers[0].resources.requests[cpu]"}}},
		{name: "an extended resource comes in whole numbers", change: requirements(amounts("example.com/gpu", "1500m"), nil), want: []want{{invalid, "spec.containers[0].resources.limits[example.com/gpu]"}}},
		{name: "an extended resource needs a limit", change: requirements(nil, amounts("example.com/gpu", "1")), want: []want{{invalid, "spec.containers[0].resources.requests[example.com/gpu]"}}},
		{name: "an extended resource is not overcommitted", change: requirements(amounts("example.com/gpu", "2"), amounts("example.com/gpu", "1")), want: []want{{invalid, "spec.containers[0].resources.requests[example.com/gpu]"}}},

		{name: "a host selector selects by labels", change: spec(func(s *fleet.InstanceSpec) { s.HostSelector = map[string]string{"a b": "c"} }), want: []want{{invalid, "spec.hostSelector"}}},
		{name: "a toleration of everything is valid", change: toleration(fleet.Toleration{Operator: fleet.TolerationOpExists})},
		{name: "a toleration of every key must have the operator Exists", change: toleration(fleet.Toleration{Operator: fleet.TolerationOpEqual, Value: "v"}), want: []want{{invalid, "spec.tolerations[0].operator"}}},
		{name: "no operator means Equal and needs a key", change: toleration(fleet.Toleration{}), want: []want{{invalid, "spec.tolerations[0].operator"}}},
		{name: "a toleration with Exists has no value", change: toleration(fleet.Toleration{Key: "k", Operator: fleet.TolerationOpExists, Value: "v"}), want: []want{{invalid, "spec.tolerations[0].value"}}},
		{name: "a toleration for a time is of NoExecute", change: toleration(fleet.Toleration{Key: "k", Effect: fleet.TaintEffectNoSchedule, TolerationSeconds: ptr.To[int64](1)}), want: []want{{invalid, "spec.tolerations[0].effect"}}},
		{name: "a toleration of no time at all is valid", change: toleration(fleet.Toleration{Key: "k", Effect: fleet.TaintEffectNoExecute, TolerationSeconds: ptr.To[int64](-1)})},
		{name: "every error is reported, not the first", change: spec(func(s *fleet.InstanceSpec) {
			s.HostName = "edge-1"
			s.Containers[0].Image += " "
			s.Containers[1].Image += " "
		}), want: []want{{forbidden, "spec.hostName"}, {invalid, "spec.containers[0].image"}, {invalid, "spec.containers[1].image"}}},
	}, ValidateInstance)
}

func TestAWriteToAnInstanceIsChecked(t *testing.T) {
	run(t, []instanceTest{
		{name: "no change is valid"},
		{name: "an image may change", change: container(func(c *fleet.Container) { c.Image = "web:2" })},
		{name: "a deadline may become shorter", change: spec(func(s *fleet.InstanceSpec) { s.ActiveDeadlineSeconds = ptr.To[int64](1) })},
		{name: "a toleration may be added", change: spec(func(s *fleet.InstanceSpec) {
			s.Tolerations = append(s.Tolerations, fleet.Toleration{Operator: fleet.TolerationOpExists})
		})},
		{name: "tolerations may change places", change: spec(func(s *fleet.InstanceSpec) {
			s.Tolerations = append([]fleet.Toleration{{Operator: fleet.TolerationOpExists}}, s.Tolerations...)
		})},
		{name: "the rules of a create hold for what may change", change: container(func(c *fleet.Container) { c.Image = " web" }), want: []want{{invalid, "spec.containers[0].image"}}},

		{name: "the host is not set by a write", change: spec(func(s *fleet.InstanceSpec) { s.HostName = "edge-1" }), want: []want{{forbidden, "spec.hostName"}}},
		{name: "no container is added", change: spec(func(s *fleet.InstanceSpec) {
			s.Containers = append(s.Containers, fleet.Container{Name: "more", Image: "more"})
		}), want: []want{{forbidden, "spec.containers"}}},
		{name: "no container is removed", change: spec(func(s *fleet.InstanceSpec) { s.Containers = s.Containers[:1] }), want: []want{{forbidden, "spec.containers"}}},
		{name: "containers do not change places", change: spec(func(s *fleet.InstanceSpec) {
			s.Containers[0], s.Containers[1] = s.Containers[1], s.Containers[0]
		}), want: []want{{forbidden, "spec.containers[0]"}, {forbidden, "spec.containers[1]"}}},
		{name: "a container keeps its name", change: container(func(c *fleet.Container) { c.Name = "other" }), want: []want{{forbidden, "spec.containers[0]"}}},
		{name: "a container keeps its command", change: container(func(c *fleet.Container) { c.Command = []string{"sh"} }), want: []want{{forbidden, "spec.containers[0]"}}},
		{name: "a container keeps its environment", change: container(func(c *fleet.Container) { c.Env[0].Value = "debug" }), want: []want{{forbidden, "spec.containers[0]"}}},
		{name: "a container keeps its resources", change: container(func(c *fleet.Container) {
			c.Resources.Requests[fleet.ResourceCPU] = resource.MustParse("400m")
		}), want: []want{{forbidden, "spec.containers[0]"}}},
		{name: "an amount written in another way is the same", change: container(func(c *fleet.Container) {
			c.Resources.Requests[fleet.ResourceCPU] = resource.MustParse("0.5")
		})},
		{name: "a port that leaves TCP out is the same", change: container(func(c *fleet.Container) { c.Ports[0].Protocol = "" })},
		{name: "a port keeps its protocol", change: container(func(c *fleet.Container) { c.Ports[0].Protocol = fleet.ProtocolUDP }), want: []want{{forbidden, "spec.containers[0]"}}},
		{name: "a deadline does not become longer", change: spec(func(s *fleet.InstanceSpec) { s.ActiveDeadlineSeconds = ptr.To[int64](601) }), want: []want{{invalid, "spec.activeDeadlineSeconds"}}},
		{name: "a deadline is not removed", change: spec(func(s *fleet.InstanceSpec) { s.ActiveDeadlineSeconds = nil }), want: []want{{forbidden, "spec.activeDeadlineSeconds"}}},
		{name: "a toleration is not removed", change: spec(func(s *fleet.InstanceSpec) { s.Tolerations = nil }), want: []want{{forbidden, "spec.tolerations"}}},
		{name: "a toleration does not change", change: spec(func(s *fleet.InstanceSpec) { s.Tolerations[0].Value = "other" }), want: []want{{forbidden, "spec.tolerations"}}},
		{name: "the host selector stays", change: spec(func(s *fleet.InstanceSpec) { s.HostSelector = nil }), want: []want{{invalid, "spec.hostSelector"}}},
		{name: "the restart policy stays", change: spec(func(s *fleet.InstanceSpec) { s.RestartPolicy = fleet.RestartPolicyNever }), want: []want{{invalid, "spec.restartPolicy"}}},
		{name: "the service account stays", change: spec(func(s *fleet.InstanceSpec) { s.ServiceAccountName = "other" }), want: []want{{invalid, "spec.serviceAccountName"}}},
		{name: "the grace period stays", change: spec(func(s *fleet.InstanceSpec) { s.TerminationGracePeriodSeconds = ptr.To[int64](31) }), want: []want{{invalid, "spec.terminationGracePeriodSeconds"}}},
	}, func(instance *fleet.Instance) field.ErrorList {
		return ValidateInstanceUpdate(instance, validInstance())
	})
}

func TestABoundInstanceStaysWhereItIs(t *testing.T) {
	bound := validInstance()
	bound.Spec.HostName = "edge-1"
	check(t, ValidateInstanceUpdate(bound, bound), nil)
	for _, hostName := range []string{"", "edge-2"} {
		moved := bound.DeepCopy()
		moved.Spec.HostName = hostName
		check(t, ValidateInstanceUpdate(moved, bound), []want{{forbidden, "spec.hostName"}})
	}
}

func TestADeadlineMayBeSetLater(t *testing.T) {
	old := validInstance()
	old.Spec.ActiveDeadlineSeconds = nil
	check(t, ValidateInstanceUpdate(validInstance(), old), nil)
}

func TestTheStatusOfAnInstanceIsChecked(t *testing.T) {
	state := func(value fleet.ContainerState) func(*fleet.Instance) {
		return status(func(s *fleet.InstanceStatus) {
			s.ContainerStatuses = []fleet.ContainerStatus{{Name: "web", State: value}}
		})
	}
	run(t, []instanceTest{
		{name: "an empty status is valid"},
		{name: "a whole status is valid", change: status(func(s *fleet.InstanceStatus) {
			s.Phase = fleet.InstanceRunning
			s.HostIP, s.InstanceIP = "192.0.2.1", "2001:db8::1"
			s.Conditions = []metav1.Condition{condition(fleet.InstanceConditionReady)}
			s.ContainerStatuses = []fleet.ContainerStatus{{Name: "web", State: fleet.ContainerState{Running: &fleet.ContainerStateRunning{}}}}
		})},
		{name: "a condition needs a reason", change: status(func(s *fleet.InstanceStatus) {
			s.Conditions = []metav1.Condition{condition(fleet.InstanceConditionReady)}
			s.Conditions[0].Reason = ""
		}), want: []want{{required, "status.conditions[0].reason"}}},
		{name: "the host's IP is an IP address", change: status(func(s *fleet.InstanceStatus) { s.HostIP = "edge-1" }), want: []want{{invalid, "status.hostIP"}}},
		{name: "the instance's IP is an IP address", change: status(func(s *fleet.InstanceStatus) { s.InstanceIP = "192.0.2.01" }), want: []want{{invalid, "status.instanceIP"}}},
		{name: "a container is in one state", change: state(fleet.ContainerState{Waiting: &fleet.ContainerStateWaiting{}, Running: &fleet.ContainerStateRunning{}}), want: []want{{forbidden, "status.containerStatuses[0].state"}}},
		{name: "a container was in one state before", change: status(func(s *fleet.InstanceStatus) {
			s.ContainerStatuses = []fleet.ContainerStatus{{Name: "web"}, {Name: "log", LastState: fleet.ContainerState{Running: &fleet.ContainerStateRunning{}, Terminated: &fleet.ContainerStateTerminated{}}}}
		}), want: []want{{forbidden, "status.containerStatuses[1].lastState"}}},
		{name: "the rules of a write hold, too", change: spec(func(s *fleet.InstanceSpec) { s.HostName = "edge-1" }), want: []want{{forbidden, "spec.hostName"}}},
	}, func(instance *fleet.Instance) field.ErrorList {
		return ValidateInstanceStatusUpdate(instance, validInstance())
	})
}

func TestABindingIsChecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		target fleet.BindingTarget
		want   []want
	}{
		{name: "a binding to a host is valid", target: fleet.BindingTarget{Kind: "Host", Name: "edge-1"}},
		{name: "a target is a host", target: fleet.BindingTarget{Kind: "Node", Name: "edge-1"}, want: []want{{notSupported, "target.kind"}}},
		{name: "a target has a name", target: fleet.BindingTarget{Kind: "Host"}, want: []want{{required, "target.name"}}},
		{name: "a target's name is a host's", target: fleet.BindingTarget{Kind: "Host", Name: "Edge/1"}, want: []want{{invalid, "target.name"}}},
		{name: "both may be wrong", want: []want{{notSupported, "target.kind"}, {required, "target.name"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			check(t, ValidateBinding(&fleet.Binding{Target: test.target}), test.want)
		})
	}
}
