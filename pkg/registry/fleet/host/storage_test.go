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

package host_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/host"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// newSuite returns the library's suite for a registry, on hosts in a real etcd.
func newSuite(t *testing.T) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewFleetScheme()
	hosts, err := host.NewStorage(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hosts.Host.Destroy)
	return registrytest.NewSuite(t, scheme, hosts.Host)
}

func validHost() *fleet.Host {
	return &fleet.Host{
		ObjectMeta: metav1.ObjectMeta{Name: "edge-1", Generation: 1},
		Spec:       fleet.HostSpec{Taints: []fleet.Taint{{Key: "example.com/dedicated", Value: "batch", Effect: fleet.TaintEffectNoSchedule}}},
	}
}

// with returns a valid host with a change.
func with(change func(*fleet.Host)) *fleet.Host {
	host := validHost()
	change(host)
	return host
}

// update returns a change of a stored host.
func update(change func(*fleet.Host)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*fleet.Host)) }
}

// refused returns a valid host with a change, and the fields that a create refuses.
func refused(change func(*fleet.Host), fields ...string) registrytest.Refused {
	return registrytest.Refused{Object: with(change), Fields: fields}
}

// refusedChange returns a change of a stored host, and the fields that an update refuses.
func refusedChange(change func(*fleet.Host), fields ...string) registrytest.RefusedChange {
	return registrytest.RefusedChange{Change: update(change), Fields: fields}
}

func TestHostsAreCreated(t *testing.T) {
	newSuite(t).Create(validHost(),
		refused(func(h *fleet.Host) { h.Name = "Edge_1" }, "metadata.name"),
		refused(func(h *fleet.Host) { h.Spec.Taints[0].Key = "" }, "spec.taints[0].key"),
		refused(func(h *fleet.Host) { h.Spec.Taints[0].Effect = "PreferNoSchedule" }, "spec.taints[0].effect"),
		refused(func(h *fleet.Host) { h.Spec.Taints = append(h.Spec.Taints, h.Spec.Taints[0]) }, "spec.taints[1]"),
	)
}

func TestHostsAreUpdated(t *testing.T) {
	newSuite(t).Update(validHost(),
		update(func(h *fleet.Host) { h.Spec.Unschedulable = true }),
		refusedChange(func(h *fleet.Host) { h.Spec.Taints[0].Effect = "" }, "spec.taints[0].effect"),
		refusedChange(func(h *fleet.Host) { h.Spec.Taints[0].Value = "not a label value" }, "spec.taints[0].value"),
		refusedChange(func(h *fleet.Host) { h.Labels = map[string]string{"not a key": ""} }, "metadata.labels"),
	)
}

func TestHostsAreDeletedAtOnce(t *testing.T) { newSuite(t).Delete(validHost()) }

func TestHostsAreRead(t *testing.T) { newSuite(t).Get(validHost()) }

func TestHostsAreListed(t *testing.T) { newSuite(t).List(validHost()) }

func TestHostsAreWatched(t *testing.T) {
	newSuite(t).Watch(
		with(func(h *fleet.Host) { h.Labels = map[string]string{"zone": "a"} }),
		[]labels.Set{{"zone": "a"}},
		[]labels.Set{{"zone": "b"}},
		[]fields.Set{{"metadata.name": "edge-1"}},
		[]fields.Set{{"metadata.name": "edge-2"}},
	)
}
