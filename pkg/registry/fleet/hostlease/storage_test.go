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

package hostlease_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/hostlease"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// newSuite returns the library's suite for a registry, on host leases in a real etcd.
func newSuite(t *testing.T) *registrytest.Suite {
	t.Helper()
	scheme, codecs := apiserver.NewFleetScheme()
	leases, err := hostlease.NewStorage(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leases.HostLease.Destroy)
	return registrytest.NewSuite(t, scheme, leases.HostLease)
}

func validLease() *fleet.HostLease {
	renewed := metav1.NewMicroTime(metav1.Unix(1_700_000_000, 123_456_000).Time)
	return &fleet.HostLease{
		ObjectMeta: metav1.ObjectMeta{Name: "edge-1", Generation: 1},
		Spec:       fleet.HostLeaseSpec{RenewTime: &renewed, LeaseDurationSeconds: ptr.To[int32](40), HolderIdentity: "edge-1"},
	}
}

// with returns a valid lease with a change.
func with(change func(*fleet.HostLease)) *fleet.HostLease {
	lease := validLease()
	change(lease)
	return lease
}

// update returns a change of a stored lease.
func update(change func(*fleet.HostLease)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*fleet.HostLease)) }
}

// refused returns a valid lease with a change, and the fields that a create refuses.
func refused(change func(*fleet.HostLease), fields ...string) registrytest.Refused {
	return registrytest.Refused{Object: with(change), Fields: fields}
}

// refusedChange returns a change of a stored lease, and the fields that an update refuses.
func refusedChange(change func(*fleet.HostLease), fields ...string) registrytest.RefusedChange {
	return registrytest.RefusedChange{Change: update(change), Fields: fields}
}

func TestHostLeasesAreCreated(t *testing.T) {
	newSuite(t).Create(validLease(),
		refused(func(l *fleet.HostLease) { l.Name = "Edge_1" }, "metadata.name"),
		refused(func(l *fleet.HostLease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](0) }, "spec.leaseDurationSeconds"),
	)
}

func TestHostLeasesAreRenewed(t *testing.T) {
	newSuite(t).Update(validLease(),
		update(func(l *fleet.HostLease) {
			l.Spec.RenewTime = &metav1.MicroTime{Time: l.Spec.RenewTime.Add(10_000_000_000)}
		}),
		refusedChange(func(l *fleet.HostLease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](-1) }, "spec.leaseDurationSeconds"),
	)
}

func TestHostLeasesAreDeletedAtOnce(t *testing.T) { newSuite(t).Delete(validLease()) }

func TestHostLeasesAreRead(t *testing.T) { newSuite(t).Get(validLease()) }

func TestHostLeasesAreListed(t *testing.T) { newSuite(t).List(validLease()) }

func TestHostLeasesAreWatched(t *testing.T) {
	newSuite(t).Watch(
		with(func(l *fleet.HostLease) { l.Labels = map[string]string{"zone": "a"} }),
		[]labels.Set{{"zone": "a"}},
		[]labels.Set{{"zone": "b"}},
		[]fields.Set{{"metadata.name": "edge-1"}},
		[]fields.Set{{"metadata.name": "edge-2"}},
	)
}
