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

package ownerreferences

import (
	"context"
	"errors"
	"fmt"
	"io"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// PluginName is its name in flags and messages, the same as in Kubernetes.
const PluginName = "OwnerReferencesPermissionEnforcement"

// maxBlocking bounds the number of owners that one request may begin to block: each is a call of the
// authorizer, which in a cluster is a request. Controllers set one.
const maxBlocking = 64

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin implements admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
	access authorizer.Authorizer
	kinds  meta.RESTMapper
}

var (
	_ admission.ValidationInterface     = &Plugin{}
	_ admission.InitializationValidator = &Plugin{}
	_ initializer.WantsAuthorizer       = &Plugin{}
	_ initializer.WantsRESTMapper       = &Plugin{}
)

// New returns the plugin.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)} }

// SetAuthorizer implements initializer.WantsAuthorizer.
func (p *Plugin) SetAuthorizer(a authorizer.Authorizer) { p.access = a }

// SetRESTMapper implements initializer.WantsRESTMapper.
func (p *Plugin) SetRESTMapper(m meta.RESTMapper) { p.kinds = m }

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.access == nil || p.kinds == nil {
		return errors.New(PluginName + " needs an authorizer and a RESTMapper")
	}
	return nil
}

// Validate refuses two changes of metadata.ownerReferences. A caller that may not delete an
// object that exists must not change its owners: the garbage collector would delete it for the
// caller. And a reference with blockOwnerDeletion blocks its owner's deletion in the foreground,
// like a finalizer of the owner: it needs the right to update the owner's finalizers. The creator
// of an object may name its owners.
func (p *Plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	// A status endpoint does not write owner references.
	if a.GetSubresource() == "status" {
		return nil
	}
	now, was := ownersOf(a.GetObject()), ownersOf(a.GetOldObject())
	if apiequality.Semantic.DeepEqual(now, was) {
		return nil
	}
	if a.GetOperation() == admission.Update {
		if err := p.mayDelete(ctx, a); err != nil {
			return err
		}
	}
	blocking := newlyBlocking(now, was)
	if len(blocking) > maxBlocking {
		return admission.NewForbidden(a, fmt.Errorf("metadata.ownerReferences: one request may set blockOwnerDeletion on %d references, not on %d: set it on fewer", maxBlocking, len(blocking)))
	}
	for _, ref := range blocking {
		if err := p.mayBlock(ctx, a, ref); err != nil {
			return err
		}
	}
	return nil
}

func (p *Plugin) mayDelete(ctx context.Context, a admission.Attributes) error {
	allowed, reason, err := p.authorize(ctx, a, authorizer.AttributesRecord{
		Verb: "delete", Namespace: a.GetNamespace(), Name: a.GetName(),
		APIGroup: a.GetResource().Group, APIVersion: a.GetResource().Version, Resource: a.GetResource().Resource,
	})
	if err != nil || !allowed {
		return admission.NewForbidden(a, fmt.Errorf("metadata.ownerReferences: the owners of an object can be changed only by users that may delete it: %s", why(reason, err)))
	}
	return nil
}

// mayBlock checks the right for every resource that the owner's kind may map to.
func (p *Plugin) mayBlock(ctx context.Context, a admission.Attributes, ref metav1.OwnerReference) error {
	version, err := schema.ParseGroupVersion(ref.APIVersion)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("metadata.ownerReferences: apiVersion %q of the owner %q cannot be parsed: write it as group/version", ref.APIVersion, ref.Name))
	}
	mappings, err := p.kinds.RESTMappings(schema.GroupKind{Group: version.Group, Kind: ref.Kind}, version.Version)
	if err != nil {
		return admission.NewForbidden(a, fmt.Errorf("metadata.ownerReferences: blockOwnerDeletion cannot be set for the owner %q, because the kind %s of %s is not known: name a kind that is served, or leave blockOwnerDeletion out", ref.Name, ref.Kind, ref.APIVersion))
	}
	for _, mapping := range mappings {
		record := authorizer.AttributesRecord{
			Verb: "update", Name: ref.Name, Subresource: "finalizers",
			APIGroup: mapping.Resource.Group, APIVersion: mapping.Resource.Version, Resource: mapping.Resource.Resource,
		}
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			record.Namespace = a.GetNamespace()
		}
		allowed, reason, err := p.authorize(ctx, a, record)
		if err != nil || !allowed {
			return admission.NewForbidden(a, fmt.Errorf("metadata.ownerReferences: blockOwnerDeletion can be set only by users that may update %s/finalizers of the owner %q: leave it out, or request that right: %s", mapping.Resource.GroupResource(), ref.Name, why(reason, err)))
		}
	}
	return nil
}

func (p *Plugin) authorize(ctx context.Context, a admission.Attributes, record authorizer.AttributesRecord) (allowed bool, reason string, err error) {
	record.User, record.ResourceRequest = a.GetUserInfo(), true
	decision, reason, err := p.access.Authorize(ctx, record)
	return decision == authorizer.DecisionAllow, reason, err
}

func why(reason string, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case reason == "":
		return "the user may not"
	}
	return reason
}

// ownersOf returns the owner references; nil for objects without metadata.
func ownersOf(object runtime.Object) []metav1.OwnerReference {
	if object == nil {
		return nil
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil
	}
	return accessor.GetOwnerReferences()
}

// newlyBlocking returns the references that block their owner and did not before.
func newlyBlocking(now, was []metav1.OwnerReference) []metav1.OwnerReference {
	held := map[metav1.OwnerReference]bool{}
	for _, ref := range was {
		if blocks(ref) {
			held[identityOf(ref)] = true
		}
	}
	var blocking []metav1.OwnerReference
	for _, ref := range now {
		if blocks(ref) && !held[identityOf(ref)] {
			blocking = append(blocking, ref)
		}
	}
	return blocking
}

func blocks(ref metav1.OwnerReference) bool {
	return ref.BlockOwnerDeletion != nil && *ref.BlockOwnerDeletion
}

// identityOf returns the reference without pointers, as a key.
func identityOf(ref metav1.OwnerReference) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: ref.APIVersion, Kind: ref.Kind, Name: ref.Name, UID: ref.UID}
}
