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

package instance_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/host"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// newSuite returns the library's suite for a registry, on instances in a real etcd.
func newSuite(t *testing.T) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewFleetScheme()
	options := registrytest.StartEtcd(t).StorageOptions(scheme, codecs)
	hosts, err := host.NewStorage(scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hosts.Host.Destroy)
	instances, err := instance.NewStorage(scheme, options, hosts.Host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(instances.Instance.Destroy)
	return registrytest.NewSuite(t, scheme, instances.Instance)
}

func validInstance() *fleet.Instance {
	return &fleet.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "test", Name: "web-1", Generation: 1},
		Spec: fleet.InstanceSpec{
			Containers:                    []fleet.Container{{Name: "web", Image: "web:1", ImagePullPolicy: fleet.PullIfNotPresent}},
			RestartPolicy:                 fleet.RestartPolicyAlways,
			ServiceAccountName:            "web",
			TerminationGracePeriodSeconds: ptr.To[int64](30),
		},
		Status: fleet.InstanceStatus{Phase: fleet.InstancePending},
	}
}

// with returns a valid instance with a change.
func with(change func(*fleet.Instance)) *fleet.Instance {
	instance := validInstance()
	change(instance)
	return instance
}

// update returns a change of a stored instance.
func update(change func(*fleet.Instance)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*fleet.Instance)) }
}

// refused returns a valid instance with a change, and the fields that a create refuses.
func refused(change func(*fleet.Instance), fields ...string) registrytest.Refused {
	return registrytest.Refused{Object: with(change), Fields: fields}
}

// refusedChange returns a change of a stored instance, and the fields that an update refuses.
func refusedChange(change func(*fleet.Instance), fields ...string) registrytest.RefusedChange {
	return registrytest.RefusedChange{Change: update(change), Fields: fields}
}

func TestInstancesAreCreated(t *testing.T) {
	newSuite(t).Create(validInstance(),
		refused(func(i *fleet.Instance) { i.Name = "Web_1" }, "metadata.name"),
		refused(func(i *fleet.Instance) { i.Spec.HostName = "edge-1" }, "spec.hostName"),
		refused(func(i *fleet.Instance) { i.Spec.Containers = nil }, "spec.containers"),
		refused(func(i *fleet.Instance) { i.Spec.Containers[0].Image = "" }, "spec.containers[0].image"),
		refused(func(i *fleet.Instance) { i.Spec.Containers = append(i.Spec.Containers, i.Spec.Containers[0]) }, "spec.containers[1]"),
		refused(func(i *fleet.Instance) { i.Spec.RestartPolicy = "Sometimes" }, "spec.restartPolicy"),
		refused(func(i *fleet.Instance) { i.Spec.TerminationGracePeriodSeconds = ptr.To[int64](-1) }, "spec.terminationGracePeriodSeconds"),
	)
}

func TestInstancesAreUpdated(t *testing.T) {
	newSuite(t).Update(validInstance(),
		update(func(i *fleet.Instance) { i.Spec.Containers[0].Image = "web:2" }),
		refusedChange(func(i *fleet.Instance) { i.Spec.HostName = "edge-1" }, "spec.hostName"),
		refusedChange(func(i *fleet.Instance) { i.Spec.RestartPolicy = fleet.RestartPolicyNever }, "spec.restartPolicy"),
		refusedChange(func(i *fleet.Instance) { i.Spec.Containers[0].Name = "other" }, "spec.containers[0]"),
		refusedChange(func(i *fleet.Instance) { i.Spec.ActiveDeadlineSeconds = ptr.To[int64](0) }, "spec.activeDeadlineSeconds"),
	)
}

func TestUnboundInstancesAreDeletedAtOnce(t *testing.T) { newSuite(t).Delete(validInstance()) }

func TestBoundInstancesAreDeletedGracefully(t *testing.T) {
	newSuite(t).DeleteGracefully(with(func(i *fleet.Instance) { i.Spec.HostName = "edge-1" }), 30)
}

func TestInstancesThatHaveEndedAreDeletedAtOnce(t *testing.T) {
	for _, phase := range []fleet.InstancePhase{fleet.InstanceSucceeded, fleet.InstanceFailed} {
		t.Run(string(phase), func(t *testing.T) {
			newSuite(t).Delete(with(func(i *fleet.Instance) {
				i.Spec.HostName = "edge-1"
				i.Status.Phase = phase
			}))
		})
	}
}

func TestInstancesAreRead(t *testing.T) { newSuite(t).Get(validInstance()) }

func TestInstancesAreListed(t *testing.T) { newSuite(t).List(validInstance()) }

func TestInstancesAreWatched(t *testing.T) {
	newSuite(t).Watch(
		with(func(i *fleet.Instance) {
			i.Labels = map[string]string{"app": "web"}
			i.Spec.HostName = "edge-1"
		}),
		[]labels.Set{{"app": "web"}},
		[]labels.Set{{"app": "db"}},
		[]fields.Set{
			{"metadata.name": "web-1"},
			{"spec.hostName": "edge-1"},
			{"spec.hostName": "edge-1", "status.phase": "Pending"},
			{"spec.serviceAccountName": "web", "spec.restartPolicy": "Always"},
		},
		[]fields.Set{
			{"metadata.name": "web-2"},
			{"spec.hostName": "edge-2"},
			{"spec.hostName": ""},
			{"spec.hostName": "edge-1", "status.phase": "Running"},
		},
	)
}
