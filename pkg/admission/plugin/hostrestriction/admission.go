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
	"fmt"
	"io"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
)

// PluginName is its name in flags and messages.
const PluginName = "HostRestriction"

// NotReadyTaint is the key of the only taint with which a host may register itself.
const NotReadyTaint = v1alpha1.TaintHostNotReady

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// WantsBoundInstances is implemented by plugins that need the lookup of the hosts to which instances are
// bound.
type WantsBoundInstances interface {
	SetBoundInstances(host.BoundInstances)
}

// Plugin implements admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
	bound host.BoundInstances
}

var (
	_ admission.ValidationInterface     = &Plugin{}
	_ admission.InitializationValidator = &Plugin{}
	_ WantsBoundInstances               = &Plugin{}
)

// New returns the plugin, which needs its lookup of bound instances before it can be used. They need no ready
// function: they read from storage what is not cached.
func New() *Plugin {
	return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update, admission.Delete)}
}

// SetBoundInstances implements WantsBoundInstances.
func (p *Plugin) SetBoundInstances(bound host.BoundInstances) { p.bound = bound }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.bound == nil {
		return fmt.Errorf("%s needs a lookup of bound instances", PluginName)
	}
	return nil
}

// Validate refuses what a host may not write, with the reason. It checks the object as it would be
// stored: the status endpoints have already restored the fields that they do not write.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	name, isHost := host.NameOf(a.GetUserInfo())
	if !isHost {
		return nil
	}
	err := errors.New("the caller has no name of a host")
	if name != "" {
		err = p.check(ctx, name, a)
	}
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}

func (p *Plugin) check(ctx context.Context, name string, a admission.Attributes) error {
	switch resource := a.GetResource().GroupResource(); resource {
	case fleet.Resource("hosts"):
		return checkHost(name, a)
	case fleet.Resource("hostleases"):
		return checkLease(name, a)
	case fleet.Resource("instances"):
		return checkInstance(a)
	case schema.GroupResource{Resource: "events"}, schema.GroupResource{Group: eventsv1.GroupName, Resource: "events"}:
		return p.checkEvent(ctx, name, a)
	case certificates.Resource("certificatesigningrequests"):
		return checkRequest(name, a)
	}
	return nil // the authorizer allows no write of other stored resources
}

// checkHost lets a host register itself and write the fields of its Host that others do not have to trust.
func checkHost(name string, a admission.Attributes) error {
	object, ok := a.GetObject().(*fleet.Host)
	if !ok {
		return fmt.Errorf("host %q may create and update its Host, not %s it", name, a.GetOperation())
	}
	if object.Name != name {
		return fmt.Errorf("metadata.name: host %q may write only its own Host, not %q", name, object.Name)
	}
	if a.GetOperation() == admission.Create {
		if err := checkRegistration(name, object); err != nil {
			return err
		}
		return checkMetadata(name, object, &fleet.Host{})
	}
	old, ok := a.GetOldObject().(*fleet.Host)
	if !ok {
		return fmt.Errorf("the old object is no Host: %T", a.GetOldObject())
	}
	if !apiequality.Semantic.DeepEqual(object.Spec, old.Spec) {
		return fmt.Errorf("spec: host %q may not change it; only operators and controllers set its taints and unschedulable", name)
	}
	if a.GetSubresource() == "status" {
		return unchangedMetadata(object, old)
	}
	return checkMetadata(name, object, old)
}

func checkRegistration(name string, object *fleet.Host) error {
	if object.Spec.Unschedulable {
		return fmt.Errorf("spec.unschedulable: host %q may not set it", name)
	}
	for i, taint := range object.Spec.Taints {
		if taint.Key != NotReadyTaint {
			return fmt.Errorf("spec.taints[%d].key: host %q may register itself only with the taint %s, not %s", i, name, NotReadyTaint, taint.Key)
		}
	}
	return nil
}

// checkLease lets a host renew its own lease. The lease may have the Host as its owner, so that both
// are deleted together.
func checkLease(name string, a admission.Attributes) error {
	lease, ok := a.GetObject().(*fleet.HostLease)
	if !ok {
		return fmt.Errorf("host %q may create and update its HostLease, not %s it", name, a.GetOperation())
	}
	if lease.Name != name {
		return fmt.Errorf("metadata.name: host %q may write only its own HostLease, not %q", name, lease.Name)
	}
	if lease.Spec.HolderIdentity != name {
		return fmt.Errorf("spec.holderIdentity: host %q holds its lease itself: it must be %q, not %q", name, name, lease.Spec.HolderIdentity)
	}
	// A lease may have an owner, so owner references are checked apart from the other metadata.
	for i, owner := range lease.OwnerReferences {
		if owner.Kind != "Host" || owner.Name != name || schema.FromAPIVersionAndKind(owner.APIVersion, "").Group != fleet.GroupName {
			return fmt.Errorf("metadata.ownerReferences[%d]: the HostLease of host %q can belong only to its Host", i, name)
		}
	}
	old := &fleet.HostLease{}
	if a.GetOperation() == admission.Update {
		if old, ok = a.GetOldObject().(*fleet.HostLease); !ok {
			return fmt.Errorf("the old object is no HostLease: %T", a.GetOldObject())
		}
	}
	old = old.DeepCopy()
	old.OwnerReferences = lease.OwnerReferences
	return checkMetadata(name, lease, old)
}

// checkInstance accepts an agent's status reports, deletes of stopped instances and requests for
// their tokens.
func checkInstance(a admission.Attributes) error {
	switch operation := a.GetOperation(); {
	case operation == admission.Delete && a.GetSubresource() == "":
		return checkDelete(a)
	case operation == admission.Create && a.GetSubresource() == "token":
		return checkToken(a)
	case operation == admission.Update && a.GetSubresource() == "status":
	default:
		return errors.New("a host writes only the status of instances, deletes them, and creates their tokens")
	}
	object, ok := a.GetObject().(*fleet.Instance)
	old, oldOK := a.GetOldObject().(*fleet.Instance)
	if !ok || !oldOK {
		return fmt.Errorf("no Instance: %T instead of %T", a.GetObject(), a.GetOldObject())
	}
	if !apiequality.Semantic.DeepEqual(object.Spec, old.Spec) {
		return errors.New("spec: a write to the status of an instance may not change it")
	}
	return unchangedMetadata(object, old)
}

// checkDelete accepts the end and not the beginning of a deletion: an agent deletes stopped
// instances, and must not choose what happens to their dependents.
func checkDelete(a admission.Attributes) error {
	options, ok := a.GetOperationOptions().(*metav1.DeleteOptions)
	if !ok || options.GracePeriodSeconds == nil || *options.GracePeriodSeconds != 0 {
		return errors.New("gracePeriodSeconds: a host deletes an instance when it has stopped, and so with 0")
	}
	//lint:ignore SA1019 deprecated, but served as a propagation policy
	if options.OrphanDependents != nil {
		return errors.New("orphanDependents: a host may not determine the deletion of dependents of the instance")
	}
	if policy := options.PropagationPolicy; policy != nil && *policy != metav1.DeletePropagationBackground {
		return fmt.Errorf("propagationPolicy: a host may not determine the deletion of dependents of the instance: leave it out, not %s", *policy)
	}
	return nil
}

// checkToken refuses tokens that are bound to another object than the instance; the endpoint binds
// the token if the request does not.
func checkToken(a admission.Attributes) error {
	request, ok := a.GetObject().(*authenticationv1.TokenRequest)
	if !ok {
		return fmt.Errorf("no TokenRequest: %T", a.GetObject())
	}
	bound := request.Spec.BoundObjectRef
	if bound == nil {
		return nil
	}
	if bound.Kind != "Instance" || bound.Name != a.GetName() || schema.FromAPIVersionAndKind(bound.APIVersion, "").Group != fleet.GroupName {
		return fmt.Errorf("spec.boundObjectRef: the token of instance %q can be bound only to it: leave this out", a.GetName())
	}
	return nil
}

// checkEvent accepts events of a host about itself and the instances that are bound to it.
func (p *Plugin) checkEvent(ctx context.Context, name string, a admission.Attributes) error {
	var about corev1.ObjectReference
	var source string
	switch event := a.GetObject().(type) {
	case *corev1.Event:
		about, source = event.InvolvedObject, event.Source.Host
	case *eventsv1.Event:
		about, source = event.Regarding, event.DeprecatedSource.Host
	default:
		return fmt.Errorf("host %q may create events, not %s them", name, a.GetOperation())
	}
	if a.GetOperation() != admission.Create {
		return fmt.Errorf("host %q may only create events", name)
	}
	if source != "" && source != name {
		return fmt.Errorf("the source of the event is host %q, but host %q sends it", source, name)
	}
	metadata, err := apimeta.Accessor(a.GetObject())
	if err != nil {
		return err
	}
	if len(metadata.GetOwnerReferences()) > 0 || len(metadata.GetFinalizers()) > 0 {
		return errors.New("metadata: an event of a host has neither owners nor finalizers")
	}
	refused := fmt.Errorf("host %q may create events only about its Host and the instances bound to it, not about %s %q", name, about.Kind, about.Name)
	if schema.FromAPIVersionAndKind(about.APIVersion, "").Group != fleet.GroupName {
		return refused
	}
	switch about.Kind {
	case "Host", "HostLease":
		if about.Name == name {
			return nil
		}
	case "Instance":
		if about.Namespace != a.GetNamespace() || about.Name == "" {
			return refused
		}
		bound, err := p.bound.Bound(ctx, about.Namespace, about.Name, name)
		if err != nil {
			return fmt.Errorf("the binding of instance %s/%s to host %q cannot be determined: %w", about.Namespace, about.Name, name, err)
		}
		if bound {
			return nil
		}
	}
	return refused
}
