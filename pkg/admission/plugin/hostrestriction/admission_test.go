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

package hostrestriction

import (
	"context"
	"errors"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// bound maps namespace/name of instances to their hosts.
type bound map[string]string

func (b bound) Bound(_ context.Context, namespace, name, host string) (bool, error) {
	if name == "silent" {
		return false, errors.New("the server does not answer")
	}
	return b[namespace+"/"+name] == host, nil
}

var (
	edge   = &user.DefaultInfo{Name: "system:host:edge-1", Groups: []string{"system:hosts"}}
	events = schema.GroupVersionResource{Version: "v1", Resource: "events"}
)

// write is a write of a host and the expected refusal; empty if it is accepted.
type write struct {
	name        string
	resource    string
	subresource string
	object, old runtime.Object
	options     runtime.Object
	message     string
}

func (w write) attributes(u user.Info) admission.Attributes {
	operation := admission.Update
	switch {
	case w.object == nil:
		operation = admission.Delete
	case w.old == nil:
		operation = admission.Create
	}
	resource := fleet.SchemeGroupVersion.WithResource(w.resource)
	switch w.resource {
	case "events":
		resource = events
	case "certificatesigningrequests":
		resource = certificatesv1.SchemeGroupVersion.WithResource(w.resource)
	}
	return admission.NewAttributesRecord(w.object, w.old, schema.GroupVersionKind{}, "default", "mine", resource, w.subresource, operation, w.options, false, u)
}

func (w write) check(t *testing.T) {
	t.Helper()
	p := New()
	p.SetBoundInstances(bound{"default/mine": "edge-1", "default/theirs": "edge-2"})
	err := p.Validate(t.Context(), w.attributes(edge), nil)
	switch {
	case w.message == "":
		if err != nil {
			t.Errorf("refused: %v", err)
		}
	case !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), w.message):
		t.Errorf("got %v, want a 403 with %q", err, w.message)
	}
	// Writes of other users are accepted.
	if err := p.Validate(t.Context(), w.attributes(&user.DefaultInfo{Name: "system:host:edge-1"}), nil); err != nil {
		t.Errorf("a user outside of the group was refused: %v", err)
	}
	if err := p.Validate(t.Context(), w.attributes(&user.DefaultInfo{Name: "jane", Groups: edge.Groups}), nil); !apierrors.IsForbidden(err) {
		t.Errorf("a member of the group without a host name got %v", err)
	}
}

func oldHost(change ...func(*fleet.Host)) *fleet.Host {
	h := &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1", Labels: map[string]string{"zone": "a", "host-restriction.gatehouse.dev/secure": "yes"}}}
	for _, f := range change {
		f(h)
	}
	return h
}

func newHost(change ...func(*fleet.Host)) *fleet.Host {
	return oldHost(append([]func(*fleet.Host){func(h *fleet.Host) { h.Labels = map[string]string{"zone": "a"} }}, change...)...)
}

func label(key, value string) func(*fleet.Host) {
	return func(h *fleet.Host) { h.Labels[key] = value }
}

func taint(key string) func(*fleet.Host) {
	return func(h *fleet.Host) {
		h.Spec.Taints = append(h.Spec.Taints, fleet.Taint{Key: key, Effect: fleet.TaintEffectNoSchedule})
	}
}

func TestAHostMayWriteItsHost(t *testing.T) {
	other := func(h *fleet.Host) { h.Name = "edge-2" }
	unschedulable := func(h *fleet.Host) { h.Spec.Unschedulable = true }
	owned := func(h *fleet.Host) { h.OwnerReferences = []metav1.OwnerReference{{Kind: "Host", Name: "edge-2"}} }
	finalized := func(h *fleet.Host) { h.Finalizers = []string{"example.com/x"} }
	for _, w := range []write{
		{name: "it registers itself", object: newHost()},
		{name: "it registers itself as not ready", object: newHost(taint(NotReadyTaint))},
		{name: "it registers itself with labels of its own", object: newHost(label("host.gatehouse.dev/arch", "arm64"), label("x.host.gatehouse.dev/y", ""), label("example.com/gatehouse.dev", "x"))},
		{name: "it registers another", object: newHost(other), message: `may write only its own Host, not "edge-2"`},
		{name: "it registers itself with a taint of an operator's", object: newHost(taint(NotReadyTaint), taint("example.com/gpu")), message: "spec.taints[1].key"},
		{name: "it registers itself as unschedulable", object: newHost(unschedulable), message: "spec.unschedulable"},
		{name: "it registers itself as trusted", object: newHost(label("host-restriction.gatehouse.dev/secure", "yes")), message: "host-restriction.gatehouse.dev/secure"},
		{name: "it takes a label of a domain below the trusted", object: newHost(label("x.host-restriction.gatehouse.dev/secure", "yes")), message: "x.host-restriction.gatehouse.dev/secure"},
		{name: "it takes a label of the whole domain", object: newHost(label("gatehouse.dev/pool", "gpu")), message: "gatehouse.dev/pool"},
		{name: "it registers itself with an owner", object: newHost(owned), message: "metadata.ownerReferences"},
		{name: "it registers itself with a finalizer", object: newHost(finalized), message: "metadata.finalizers"},
		{name: "it changes its labels", object: oldHost(label("zone", "b")), old: oldHost()},
		{name: "it leaves all as it is", object: oldHost(unschedulable, taint("x"), owned, finalized), old: oldHost(unschedulable, taint("x"), owned, finalized)},
		{name: "it takes a trusted label", object: oldHost(label("host-restriction.gatehouse.dev/pci", "yes")), old: oldHost(), message: "host-restriction.gatehouse.dev/pci"},
		{name: "it changes a trusted label", object: oldHost(label("host-restriction.gatehouse.dev/secure", "no")), old: oldHost(), message: "host-restriction.gatehouse.dev/secure"},
		{name: "it drops a trusted label", object: newHost(), old: oldHost(), message: "host-restriction.gatehouse.dev/secure"},
		{name: "it takes a taint off itself", object: oldHost(), old: oldHost(taint(NotReadyTaint)), message: "spec: "},
		{name: "it taints itself", object: oldHost(taint(NotReadyTaint)), old: oldHost(), message: "spec: "},
		{name: "it makes itself schedulable", object: oldHost(), old: oldHost(unschedulable), message: "spec: "},
		{name: "it takes an owner", object: oldHost(owned), old: oldHost(), message: "metadata.ownerReferences"},
		{name: "it drops a finalizer of others", object: oldHost(), old: oldHost(finalized), message: "metadata.finalizers"},
		{name: "it updates another", object: oldHost(other), old: oldHost(other), message: `not "edge-2"`},
		{name: "it deletes itself", old: oldHost(), options: &metav1.DeleteOptions{}, message: "not DELETE it"},
		{name: "it reports its status", subresource: "status", object: oldHost(func(h *fleet.Host) { h.Status.Info.MachineID = "x" }), old: oldHost()},
		{name: "it changes labels with its status", subresource: "status", object: oldHost(label("zone", "b")), old: oldHost(), message: "metadata.labels"},
		{name: "it changes its spec with its status", subresource: "status", object: oldHost(unschedulable), old: oldHost(), message: "spec: "},
	} {
		w.resource = "hosts"
		t.Run(w.name, w.check)
	}
}

func lease(change ...func(*fleet.HostLease)) *fleet.HostLease {
	l := &fleet.HostLease{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}, Spec: fleet.HostLeaseSpec{HolderIdentity: "edge-1"}}
	for _, f := range change {
		f(l)
	}
	return l
}

func TestAHostMayWriteItsLease(t *testing.T) {
	held := func(by string) func(*fleet.HostLease) {
		return func(l *fleet.HostLease) { l.Spec.HolderIdentity = by }
	}
	ownedBy := func(version, kind, name string) func(*fleet.HostLease) {
		return func(l *fleet.HostLease) {
			l.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: name, UID: "1"}}
		}
	}
	own := ownedBy("fleet.gatehouse.dev/v1alpha1", "Host", "edge-1")
	for _, w := range []write{
		{name: "it creates its lease", object: lease()},
		{name: "its lease belongs to its Host", object: lease(own)},
		{name: "its lease comes to belong to its Host", object: lease(own), old: lease()},
		{name: "it renews its lease", object: lease(func(l *fleet.HostLease) { l.Spec.LeaseDurationSeconds = ptr.To[int32](40) }), old: lease()},
		{name: "it takes its lease back", object: lease(), old: lease(held("edge-2"))},
		{name: "it creates the lease of another", object: lease(func(l *fleet.HostLease) { l.Name = "edge-2" }), message: "metadata.name"},
		{name: "another holds its lease", object: lease(held("edge-2")), old: lease(), message: "spec.holderIdentity"},
		{name: "its lease has no holder", object: lease(held("")), message: "spec.holderIdentity"},
		{name: "its lease belongs to another Host", object: lease(ownedBy("fleet.gatehouse.dev/v1alpha1", "Host", "edge-2")), message: "metadata.ownerReferences[0]"},
		{name: "its lease belongs to something else", object: lease(ownedBy("v1", "Namespace", "edge-1")), old: lease(), message: "metadata.ownerReferences[0]"},
		{name: "its lease belongs to a Host of others", object: lease(ownedBy("example.com/v1", "Host", "edge-1")), message: "metadata.ownerReferences[0]"},
		{name: "its lease has a finalizer", object: lease(func(l *fleet.HostLease) { l.Finalizers = []string{"example.com/x"} }), old: lease(), message: "metadata.finalizers"},
		{name: "its lease has a trusted label", object: lease(func(l *fleet.HostLease) { l.Labels = map[string]string{"gatehouse.dev/x": ""} }), message: "gatehouse.dev/x"},
		{name: "it deletes its lease", old: lease(), options: &metav1.DeleteOptions{}, message: "not DELETE it"},
	} {
		w.resource = "hostleases"
		t.Run(w.name, w.check)
	}
}

func instance(change ...func(*fleet.Instance)) *fleet.Instance {
	i := &fleet.Instance{ObjectMeta: metav1.ObjectMeta{Name: "mine", Namespace: "default"}, Spec: fleet.InstanceSpec{HostName: "edge-1"}}
	for _, f := range change {
		f(i)
	}
	return i
}

func TestAHostMayWriteItsInstances(t *testing.T) {
	policy := func(p metav1.DeletionPropagation) *metav1.DeleteOptions {
		return &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), PropagationPolicy: &p}
	}
	token := func(ref *authenticationv1.BoundObjectReference) *authenticationv1.TokenRequest {
		return &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: ref}}
	}
	const group = "fleet.gatehouse.dev/v1alpha1"
	for _, w := range []write{
		{name: "it reports a status", subresource: "status", object: instance(func(i *fleet.Instance) { i.Status.Phase = fleet.InstanceRunning }), old: instance()},
		{name: "managed fields come with a status", subresource: "status", object: instance(func(i *fleet.Instance) { i.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "agent"}} }), old: instance()},
		{name: "labels do not", subresource: "status", object: instance(func(i *fleet.Instance) { i.Labels = map[string]string{"app": "x"} }), old: instance(), message: "metadata.labels"},
		{name: "annotations do not", subresource: "status", object: instance(func(i *fleet.Instance) { i.Annotations = map[string]string{"app": "x"} }), old: instance(), message: "metadata.annotations"},
		{name: "owners do not", subresource: "status", object: instance(func(i *fleet.Instance) { i.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), old: instance(), message: "metadata.ownerReferences"},
		{name: "finalizers do not", subresource: "status", object: instance(func(i *fleet.Instance) { i.Finalizers = []string{"x"} }), old: instance(), message: "metadata.finalizers"},
		{name: "a host does not", subresource: "status", object: instance(func(i *fleet.Instance) { i.Spec.HostName = "edge-2" }), old: instance(), message: "spec: "},
		{name: "it updates an instance", object: instance(), old: instance(), message: "writes only the status"},
		{name: "it creates an instance", object: instance(), message: "writes only the status"},
		{name: "it binds an instance", subresource: "binding", object: &fleet.Binding{}, message: "writes only the status"},
		{name: "it deletes what has stopped", old: instance(), options: &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}},
		{name: "it deletes in the background", old: instance(), options: policy(metav1.DeletePropagationBackground)},
		{name: "it deletes with a grace period", old: instance(), options: &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](30)}, message: "gracePeriodSeconds"},
		{name: "it deletes with the instance's own grace period", old: instance(), options: &metav1.DeleteOptions{}, message: "gracePeriodSeconds"},
		{name: "it deletes without options", old: instance(), message: "gracePeriodSeconds"},
		{name: "it orphans what an instance owns", old: instance(), options: policy(metav1.DeletePropagationOrphan), message: "propagationPolicy"},
		{name: "it waits for what an instance owns", old: instance(), options: policy(metav1.DeletePropagationForeground), message: "propagationPolicy"},
		//lint:ignore SA1019 deprecated, but served as orphan propagation
		{name: "it orphans in the old way", old: instance(), options: &metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), OrphanDependents: ptr.To(true)}, message: "orphanDependents"},
		{name: "it requests a token", subresource: "token", object: token(nil)},
		{name: "it requests a token bound to the instance", subresource: "token", object: token(&authenticationv1.BoundObjectReference{APIVersion: group, Kind: "Instance", Name: "mine"})},
		{name: "it requests a token bound to another instance", subresource: "token", object: token(&authenticationv1.BoundObjectReference{APIVersion: group, Kind: "Instance", Name: "theirs"}), message: "spec.boundObjectRef"},
		{name: "it requests a token bound to a secret", subresource: "token", object: token(&authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Secret", Name: "mine"}), message: "spec.boundObjectRef"},
	} {
		w.resource = "instances"
		t.Run(w.name, w.check)
	}
}

func TestAHostMaySendEventsAboutItselfAndItsInstances(t *testing.T) {
	event := func(kind, namespace, name string, change ...func(*corev1.Event)) *corev1.Event {
		e := &corev1.Event{
			ObjectMeta:     metav1.ObjectMeta{Name: "x", Namespace: "default"},
			InvolvedObject: corev1.ObjectReference{APIVersion: "fleet.gatehouse.dev/v1alpha1", Kind: kind, Namespace: namespace, Name: name},
		}
		for _, f := range change {
			f(e)
		}
		return e
	}
	from := func(host string) func(*corev1.Event) { return func(e *corev1.Event) { e.Source.Host = host } }
	for _, w := range []write{
		{name: "about itself", object: event("Host", "", "edge-1", from("edge-1"))},
		{name: "about its lease", object: event("HostLease", "", "edge-1")},
		{name: "about an instance of its own", object: event("Instance", "default", "mine")},
		{name: "in the newer group", object: &eventsv1.Event{Regarding: event("Instance", "default", "mine").InvolvedObject}},
		{name: "about another host", object: event("Host", "", "edge-2"), message: `not about Host "edge-2"`},
		{name: "about another's instance", object: event("Instance", "default", "theirs"), message: `not about Instance "theirs"`},
		{name: "about another's instance in the newer group", object: &eventsv1.Event{Regarding: event("Instance", "default", "theirs").InvolvedObject}, message: `not about Instance "theirs"`},
		{name: "about an instance of another namespace", object: event("Instance", "other", "mine"), message: "not about"},
		{name: "about an instance that is not known", object: event("Instance", "default", "gone"), message: "not about"},
		{name: "about an instance that cannot be looked up", object: event("Instance", "default", "silent"), message: "does not answer"},
		{name: "about a secret", object: event("Secret", "default", "edge-1"), message: "not about"},
		{name: "about a Host of another group", object: event("Host", "", "edge-1", func(e *corev1.Event) { e.InvolvedObject.APIVersion = "v1" }), message: "not about"},
		{name: "in the name of another", object: event("Host", "", "edge-1", from("edge-2")), message: "the source of the event"},
		{name: "with an owner", object: event("Host", "", "edge-1", func(e *corev1.Event) { e.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), message: "neither owners nor finalizers"},
		{name: "with a finalizer", object: event("Host", "", "edge-1", func(e *corev1.Event) { e.Finalizers = []string{"x"} }), message: "neither owners nor finalizers"},
		{name: "a second time", object: event("Host", "", "edge-1"), old: event("Host", "", "edge-1"), message: "may only create events"},
	} {
		w.resource = "events"
		t.Run(w.name, w.check)
	}
}

func TestItIsNotReadyWithoutBoundInstances(t *testing.T) {
	if err := New().ValidateInitialization(); err == nil {
		t.Error("it claims to be ready")
	}
}

// TestItChangesNothing replaces a test of idempotence: the plugin does not mutate.
func TestItChangesNothing(t *testing.T) {
	if _, ok := any(New()).(admission.MutationInterface); ok {
		t.Error("it mutates: prove with k8s.io/apiserver/pkg/admission/testing that a second run changes nothing")
	}
}
