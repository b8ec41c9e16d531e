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

package garbagecollector

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// sync reconciles one object. The graph is enough to leave it alone; before any write the object
// is read from the server, and its owners are looked up by that.
func (c *Controller) sync(ctx context.Context, k key) error {
	known := c.graph.object(k.uid)
	if known == nil {
		return nil // the delete event has enqueued its owners and dependents
	}
	claims, unseen, err := c.claims(ctx, k, known.object.OwnerReferences)
	if err != nil {
		return err
	}
	if c.plan(known.object, k, claims).act != leave {
		live, err := c.objects(k).Get(ctx, k.name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && live.UID != k.uid {
			return nil
		}
		if err != nil {
			return err
		}
		if claims, unseen, err = c.claims(ctx, k, live.OwnerReferences); err != nil {
			return err
		}
		if err := c.execute(ctx, k, live, c.plan(live, k, claims)); err != nil {
			return queue.Retry(err)
		}
	}
	if unseen {
		// The owner could be deleted before its watch shows it, and no event would enqueue
		// the dependent.
		return queue.Requeue{Reason: "an owner exists that is not in the graph yet"}
	}
	return nil
}

func (c *Controller) plan(object *metav1.PartialObjectMetadata, k key, claims []claim) plan {
	var dependents []*metav1.PartialObjectMetadata
	for _, dependent := range c.graph.dependents(k) {
		dependents = append(dependents, dependent.object)
	}
	p := decide(&object.ObjectMeta, claims, dependents)
	if p.act == enqueueDependents && blocksAny(object) && c.graph.inRing(k) {
		return plan{act: unblockOwners}
	}
	return p
}

func (c *Controller) objects(k key) metadata.ResourceInterface {
	return c.metadata.Resource(k.GroupVersionResource).Namespace(k.namespace)
}

// goneKey identifies an absent owner: by UID everywhere, or by UID and name in a namespace.
type goneKey struct {
	uid             types.UID
	namespace, name string
	schema.GroupKind
}

// claims looks up every owner. unseen reports whether one exists that is not in the graph yet.
func (c *Controller) claims(ctx context.Context, k key, refs []metav1.OwnerReference) (found []claim, unseen bool, err error) {
	for _, ref := range refs {
		state, notSeen, err := c.owner(ctx, k, ref)
		if err != nil {
			return nil, false, err
		}
		unseen = unseen || notSeen
		found = append(found, claim{ref: ref, state: state})
	}
	return found, unseen, nil
}

// owner looks up one owner: first in the graph, then on the server.
func (c *Controller) owner(ctx context.Context, k key, ref metav1.OwnerReference) (state ownerState, unseen bool, err error) {
	named := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
	group := named.GroupKind()
	kind, ok := c.kinds[group]
	if !ok || !slices.Contains(kind.versions, named.Version) {
		// An owner of a kind or version that is not served cannot be found to be absent.
		// Upstream's collector keeps the dependents of both, too.
		klog.FromContext(ctx).V(2).Info("Keeping object: the kind of its owner is not served in this version", "resource", k.GroupVersionResource, "namespace", k.namespace, "name", k.name, "owner", named)
		return solid, false, nil
	}
	if kind.namespaced && k.namespace == "" {
		c.warn(k, "OwnerRefInvalidNamespace", "a cluster-scoped object cannot have a namespaced owner: owner "+ref.Kind+" "+ref.Name)
		return solid, false, nil
	}
	namespace := ""
	if kind.namespaced {
		namespace = k.namespace
	}
	if seen := c.graph.object(ref.UID); seen != nil {
		if seen.GroupVersionResource == kind.GroupVersionResource && seen.name == ref.Name && seen.namespace == namespace {
			if goesInForeground(seen.object) {
				return waiting, false, nil
			}
			return solid, false, nil
		}
		if kind.namespaced && seen.namespace != namespace {
			c.warn(k, "OwnerRefInvalidNamespace", "owner "+ref.Kind+" "+ref.Name+" is in another namespace, and so does not exist for this object")
		}
	}
	remembered := goneKey{uid: ref.UID, namespace: namespace, name: ref.Name, GroupKind: group}
	for _, gone := range []goneKey{{uid: ref.UID}, remembered} {
		if _, ok := c.gone.Get(gone); ok {
			return absent, false, nil
		}
	}
	live, err := c.metadata.Resource(kind.GroupVersionResource).Namespace(namespace).Get(ctx, ref.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err), err == nil && live.UID != ref.UID:
		c.gone.Add(remembered, true)
		return absent, false, nil
	case err != nil:
		return solid, false, err
	case goesInForeground(live):
		return waiting, kind.watched, nil
	}
	return solid, kind.watched, nil
}

// warn records an event about invalid owner references of an object.
func (c *Controller) warn(k key, reason, message string) {
	kind := ""
	for group, r := range c.kinds {
		if r.GroupVersionResource == k.GroupVersionResource {
			kind = group.Kind
		}
	}
	c.recorder.Event(&corev1.ObjectReference{
		APIVersion: k.GroupVersion().String(), Kind: kind, Namespace: k.namespace, Name: k.name, UID: k.uid,
	}, corev1.EventTypeWarning, reason, message)
}

// execute carries out the plan, on no other version of the object.
func (c *Controller) execute(ctx context.Context, k key, live *metav1.PartialObjectMetadata, p plan) error {
	if p.act != leave {
		klog.FromContext(ctx).V(2).Info("Collecting object", "action", string(p.act), "policy", p.policy, "resource", k.GroupVersionResource, "namespace", k.namespace, "name", k.name)
	}
	switch p.act {
	case leave:
		return nil
	case enqueueDependents:
		for _, dependent := range c.graph.dependents(k) {
			if dependent.object.DeletionTimestamp == nil {
				c.queue.Add(dependent.key)
			}
		}
		return nil
	case unblockOwners:
		return c.patch(ctx, k, live, "ownerReferences", unblocked(live.OwnerReferences))
	case orphanDependents:
		if err := c.orphan(ctx, k); err != nil {
			return err
		}
		return c.removeFinalizer(ctx, k, live, metav1.FinalizerOrphanDependents)
	case finish:
		return c.removeFinalizer(ctx, k, live, metav1.FinalizerDeleteDependents)
	case dropOwners:
		return c.patch(ctx, k, live, "ownerReferences", withoutOwners(live.OwnerReferences, p.drop...))
	case remove:
		if p.unblock {
			return c.unblock(ctx, k, live, p.policy)
		}
		return c.remove(ctx, k, live.ResourceVersion, p.policy)
	}
	return nil
}

// unblock breaks a ring of owners that wait for each other, and then deletes the object.
func (c *Controller) unblock(ctx context.Context, k key, live *metav1.PartialObjectMetadata, policy metav1.DeletionPropagation) error {
	if err := c.patch(ctx, k, live, "ownerReferences", unblocked(live.OwnerReferences)); err != nil {
		return err
	}
	return c.remove(ctx, k, "", policy)
}

// remove deletes the object in the version that was decided on. An object that has another owner
// by now has another version, and is requeued.
func (c *Controller) remove(ctx context.Context, k key, version string, policy metav1.DeletionPropagation) error {
	preconditions := &metav1.Preconditions{UID: &k.uid}
	if version != "" {
		preconditions.ResourceVersion = &version
	}
	return c.objects(k).Delete(ctx, k.name, metav1.DeleteOptions{PropagationPolicy: &policy, Preconditions: preconditions})
}

// orphan removes an owner from all its dependents. A failure keeps the owner, and does not stop
// the others from being orphaned.
func (c *Controller) orphan(ctx context.Context, owner key) error {
	var errs []error
	for _, dependent := range c.graph.dependents(owner) {
		object, err := c.objects(dependent.key).Get(ctx, dependent.name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err), err == nil && object.UID != dependent.uid:
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		}
		left := withoutOwners(object.OwnerReferences, owner.uid)
		if len(left) == len(object.OwnerReferences) {
			continue
		}
		if err := c.patch(ctx, dependent.key, object, "ownerReferences", left); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Controller) removeFinalizer(ctx context.Context, k key, live *metav1.PartialObjectMetadata, finalizer string) error {
	left := slices.DeleteFunc(slices.Clone(live.Finalizers), func(f string) bool { return f == finalizer })
	if left == nil {
		left = []string{}
	}
	return c.patch(ctx, k, live, "finalizers", left)
}

// patch replaces a list in an object's metadata. UID and resource version make the write conflict
// if the object has changed.
func (c *Controller) patch(ctx context.Context, k key, live *metav1.PartialObjectMetadata, list string, value any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": live.UID, "resourceVersion": live.ResourceVersion, list: value,
	}})
	if err != nil {
		return err
	}
	_, err = c.objects(k).Patch(ctx, k.name, types.MergePatchType, body, metav1.PatchOptions{})
	return err
}
