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

package release

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
)

const (
	// byRelease indexes instances by release, and those without a controller.
	byRelease = Name + "/release"
	// byApp indexes releases by app.
	byApp = Name + "/app"
)

// releaseKey returns the index key of a release's instances. It has the namespace, because an owner
// is always in the same one, whatever a reference claims.
func releaseKey(namespace string, release types.UID) string { return namespace + "/" + string(release) }

// orphansKey returns the index key of the instances of a namespace without a controller.
func orphansKey(namespace string) string { return releaseKey(namespace, "") }

func indexByRelease(obj any) ([]string, error) {
	i, ok := obj.(*v1alpha1.Instance)
	if !ok {
		return nil, nil
	}
	switch release, orphan := releaseOf(i); {
	case orphan:
		return []string{orphansKey(i.Namespace)}, nil
	case release != nil:
		return []string{releaseKey(i.Namespace, release.UID)}, nil
	}
	return nil, nil
}

func indexByApp(obj any) ([]string, error) {
	if release, ok := obj.(*v1alpha1.Release); ok {
		if app := metav1.GetControllerOfNoCopy(release); app != nil {
			return []string{releaseKey(release.Namespace, app.UID)}, nil
		}
	}
	return nil, nil
}

// releaseOf returns the release that controls an instance; orphan is set if it has no controller,
// and neither if its controller is of another kind.
func releaseOf(i *v1alpha1.Instance) (release *metav1.OwnerReference, orphan bool) {
	controller := metav1.GetControllerOfNoCopy(i)
	if controller == nil {
		return nil, true
	}
	group, err := schema.ParseGroupVersion(controller.APIVersion)
	if err != nil || (schema.GroupKind{Group: group.Group, Kind: controller.Kind}) != kind().GroupKind() {
		return nil, false
	}
	return controller, false
}

func (c *Controller) enqueue(namespace, name string) {
	c.queue.Add(types.NamespacedName{Namespace: namespace, Name: name})
}

const (
	// pausePerReplica and longestPause delay the next count of a release's instances. All changes
	// meanwhile are counted with one write, instead of one each, and one of the app's: a
	// release of a few is not delayed noticeably, and one of hundreds that start together is
	// written once per second.
	pausePerReplica = 5 * time.Millisecond
	longestPause    = time.Second
)

// Pause returns the delay of the next count for a number of replicas.
func Pause(replicas int32) time.Duration {
	return min(time.Duration(replicas)*pausePerReplica, longestPause)
}

// enqueueSoon enqueues a release after a pause, because only its status may change. It does not delay
// a key that is queued for sooner.
func (c *Controller) enqueueSoon(namespace, name string) {
	release, err := c.releases.Releases(namespace).Get(name)
	if err != nil {
		return // its add event enqueues it
	}
	c.queue.AddAfter(types.NamespacedName{Namespace: namespace, Name: name}, Pause(ptr.Deref(release.Spec.Replicas, 1)))
}

func (c *Controller) releaseHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if release, ok := obj.(*v1alpha1.Release); ok {
				c.enqueue(release.Namespace, release.Name)
			}
		},
		UpdateFunc: func(was, now any) {
			old, ok := was.(*v1alpha1.Release)
			release, otherOK := now.(*v1alpha1.Release)
			if !ok || !otherOK {
				return
			}
			if old.UID != release.UID {
				c.releaseGone(old)
			}
			c.enqueue(release.Namespace, release.Name)
		},
		DeleteFunc: func(obj any) {
			if release, ok := tombstone.Object[*v1alpha1.Release](obj); ok {
				c.releaseGone(release)
			}
		},
	}
}

func (c *Controller) releaseGone(release *v1alpha1.Release) {
	c.expectations.Forget(release.UID)
	c.losses.forget(release.UID)
	c.freshness.forget(release.UID)
	// Releases with the same selector may adopt its instances; the update events of these enqueue
	// them when the garbage collector has removed their owner.
}

func (c *Controller) instanceHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if i, ok := obj.(*v1alpha1.Instance); ok {
				c.note(nil, i)
				c.instanceAdded(i)
			}
		},
		UpdateFunc: func(was, now any) {
			old, ok := was.(*v1alpha1.Instance)
			i, otherOK := now.(*v1alpha1.Instance)
			switch {
			case !ok || !otherOK || old.ResourceVersion == i.ResourceVersion:
			case old.UID != i.UID:
				c.readiness.forget(old)
				c.losses.deleted(old.UID)
				c.note(nil, i)
				c.instanceGone(old)
				c.instanceAdded(i)
			default:
				c.note(old, i)
				c.instanceChanged(old, i)
			}
		},
		DeleteFunc: func(obj any) {
			if i, ok := tombstone.Object[*v1alpha1.Instance](obj); ok {
				c.readiness.forget(i)
				c.losses.deleted(i.UID)
				c.instanceGone(i)
			}
		},
	}
}

// note records what cannot be read from an instance later: when it became ready by this process's
// clock, and that it has ended. old is nil for an instance that is seen for the first time.
func (c *Controller) note(old, i *v1alpha1.Instance) {
	c.readiness.observe(old, i)
	if !helper.IsInstanceTerminal(i) || old != nil && helper.IsInstanceTerminal(old) || i.DeletionTimestamp != nil {
		return
	}
	switch release, orphan := releaseOf(i); {
	case release != nil:
		c.noteEndedOf(release.Name, release.UID, i)
	case orphan && old != nil:
		// A release counts an orphan before it has adopted it, and replaces it when it ends. An
		// orphan that had ended when it was first seen was never counted.
		for _, release := range c.selecting(i) {
			c.noteEndedOf(release.Name, release.UID, i)
		}
	}
}

// noteEndedOf records that an instance of a release has ended. The instance may be gone from the cache
// already: then its delete event follows.
func (c *Controller) noteEndedOf(name string, uid types.UID, i *v1alpha1.Instance) {
	c.losses.ended(uid, i, func() bool { return c.hasRelease(i.Namespace, name, uid) })
}

func (c *Controller) instanceAdded(i *v1alpha1.Instance) {
	if i.DeletionTimestamp != nil {
		// After a restart it may be terminating when it is first seen.
		c.instanceGone(i)
		return
	}
	switch release, orphan := releaseOf(i); {
	case orphan:
		c.enqueueMatching(i)
	case release != nil:
		c.expectations.Seen(release.UID, i.UID)
		if c.expectations.Satisfied(release.UID) {
			c.enqueue(i.Namespace, release.Name)
			return
		}
		// More are expected, and only the last of them allows more than counting.
		c.enqueueSoon(i.Namespace, release.Name)
	}
}

func (c *Controller) instanceChanged(old, i *v1alpha1.Instance) {
	before, _ := releaseOf(old)
	release, orphan := releaseOf(i)
	moved := !sameRelease(before, release)
	if moved && before != nil {
		c.instanceGone(old)
	}
	switch {
	case i.DeletionTimestamp != nil:
		// It is replaced now, and not when its host has stopped it.
		c.instanceGone(i)
	case release != nil && !moved && helper.IsInstanceActive(old) == helper.IsInstanceActive(i) && maps.Equal(old.Labels, i.Labels):
		// As many count as before: only the status may change.
		c.enqueueSoon(i.Namespace, release.Name)
	case release != nil:
		c.enqueue(i.Namespace, release.Name)
	case orphan && (moved || !maps.Equal(old.Labels, i.Labels)):
		c.enqueueMatching(i)
	case orphan:
		c.enqueueCounting(i)
	}
}

func sameRelease(a, b *metav1.OwnerReference) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID
}

// instanceGone enqueues the release of an instance that no longer counts. An orphan may have been
// counted by each release that selects it, and deleted by one of them.
func (c *Controller) instanceGone(i *v1alpha1.Instance) {
	switch release, orphan := releaseOf(i); {
	case release != nil:
		c.expectations.Gone(release.UID, i.UID)
		c.enqueue(i.Namespace, release.Name)
	case orphan:
		for _, release := range c.selecting(i) {
			c.expectations.Gone(release.UID, i.UID)
			if c.countsOrphans(release) {
				c.enqueue(release.Namespace, release.Name)
			}
		}
	}
}

// enqueueMatching enqueues all releases that may adopt an instance.
func (c *Controller) enqueueMatching(i *v1alpha1.Instance) {
	for _, release := range c.selecting(i) {
		// The release may have created it, and admission may have removed its owner.
		c.expectations.Seen(release.UID, i.UID)
		c.enqueue(release.Namespace, release.Name)
	}
}

// enqueueCounting enqueues the releases that count an orphan which has changed.
func (c *Controller) enqueueCounting(i *v1alpha1.Instance) {
	for _, release := range c.selecting(i) {
		if c.countsOrphans(release) {
			c.enqueueSoon(release.Namespace, release.Name)
		}
	}
}

// countsOrphans reports whether a release counts the orphans that it selects as its own, because
// its adoptions are changed at admission.
func (c *Controller) countsOrphans(release *v1alpha1.Release) bool {
	_, known := c.rewrites.Left(attempt{release.UID, adopting})
	return known
}

// selecting returns the releases that select an instance.
func (c *Controller) selecting(i *v1alpha1.Instance) []*v1alpha1.Release {
	releases, err := c.releases.Releases(i.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	var selecting []*v1alpha1.Release
	for _, release := range releases {
		selector, err := metav1.LabelSelectorAsSelector(release.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(i.Labels)) {
			selecting = append(selecting, release)
		}
	}
	return selecting
}
