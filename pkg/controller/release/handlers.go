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
)

const (
	// byRelease finds the instances of a release, and those that are nobody's.
	byRelease = Name + "/release"
	// byApp finds the releases of an app.
	byApp = Name + "/app"
)

// releaseKey is where the index has a release's instances. With the namespace, because an
// owner is always of the same one, whatever a reference says.
func releaseKey(namespace string, release types.UID) string { return namespace + "/" + string(release) }

// orphansKey is where the index has the instances of a namespace that have no controller.
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

// releaseOf is the release that an instance belongs to; orphan, when it belongs to nobody.
// Neither, when its controller is something else.
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
	// pausePerReplica and longestPause are how long a release is given until its instances are
	// counted anew. All that change meanwhile are counted with one write, where each would be
	// one, and one of the app's: a release of a few is not held up noticeably, and one of
	// hundreds, that all start at the same time, is written once in a second.
	pausePerReplica = 5 * time.Millisecond
	longestPause    = time.Second
)

// Pause is how long a release of that many replicas waits for more to count.
func Pause(replicas int32) time.Duration {
	return min(time.Duration(replicas)*pausePerReplica, longestPause)
}

// enqueueSoon has a release looked at for its status alone. It does not put off what is in the
// queue for sooner.
func (c *Controller) enqueueSoon(namespace, name string) {
	release, err := c.releases.Releases(namespace).Get(name)
	if err != nil {
		return // it comes itself when it is seen
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
			if release, ok := known(obj).(*v1alpha1.Release); ok {
				c.releaseGone(release)
			}
		},
	}
}

// known is the last that was known of what is gone.
func known(obj any) any {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return unknown.Obj
	}
	return obj
}

func (c *Controller) releaseGone(release *v1alpha1.Release) {
	c.expectations.Forget(release.UID)
	c.losses.forget(release.UID)
	c.freshness.forget(release.UID)
	// Whoever has the same selector may want what it leaves behind; that shows as a change of
	// the instances, when the garbage collector has made orphans of them.
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
			if i, ok := known(obj).(*v1alpha1.Instance); ok {
				c.readiness.forget(i)
				c.losses.deleted(i.UID)
				c.instanceGone(i)
			}
		},
	}
}

// note remembers of an instance what its release cannot tell later: when it was seen to become
// ready, and that it has ended. old is nil for one that is seen for the first time.
func (c *Controller) note(old, i *v1alpha1.Instance) {
	c.readiness.observe(old, i)
	if !helper.IsInstanceTerminal(i) || old != nil && helper.IsInstanceTerminal(old) || i.DeletionTimestamp != nil {
		return
	}
	switch release, orphan := releaseOf(i); {
	case release != nil:
		c.losses.ended(release.UID, i)
	case orphan && old != nil:
		// A release counts an orphan until it has adopted it, and replaces it when it ends. One
		// that is first seen when it has ended was never counted.
		for _, release := range c.choosing(i) {
			c.losses.ended(release.UID, i)
		}
	}
}

func (c *Controller) instanceAdded(i *v1alpha1.Instance) {
	if i.DeletionTimestamp != nil {
		// After a restart it may be on its way out when it is first seen.
		c.instanceGone(i)
		return
	}
	switch release, orphan := releaseOf(i); {
	case orphan:
		c.wakeMatching(i)
	case release != nil:
		c.expectations.Seen(release.UID, i.UID)
		if c.expectations.Satisfied(release.UID) {
			c.enqueue(i.Namespace, release.Name)
			return
		}
		// More are on their way, and only the last of them lets anything be done but count.
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
		// It is replaced now, not when its host has let go of it.
		c.instanceGone(i)
	case release != nil && !moved && helper.IsInstanceActive(old) == helper.IsInstanceActive(i) && maps.Equal(old.Labels, i.Labels):
		// As many count as before; what has changed is for the status.
		c.enqueueSoon(i.Namespace, release.Name)
	case release != nil:
		c.enqueue(i.Namespace, release.Name)
	case orphan && (moved || !maps.Equal(old.Labels, i.Labels)):
		c.wakeMatching(i)
	case orphan:
		c.wakeCounting(i)
	}
}

func sameRelease(a, b *metav1.OwnerReference) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.UID == b.UID
}

// instanceGone has its release look again: the instance counts no longer. An orphan may have been
// counted by each release that chooses it, and been deleted by one of them.
func (c *Controller) instanceGone(i *v1alpha1.Instance) {
	switch release, orphan := releaseOf(i); {
	case release != nil:
		c.expectations.Gone(release.UID, i.UID)
		c.enqueue(i.Namespace, release.Name)
	case orphan:
		for _, release := range c.choosing(i) {
			c.expectations.Gone(release.UID, i.UID)
			if c.countsOrphans(release) {
				c.enqueue(release.Namespace, release.Name)
			}
		}
	}
}

// wakeMatching has all releases look again that may want to adopt an instance.
func (c *Controller) wakeMatching(i *v1alpha1.Instance) {
	for _, release := range c.choosing(i) {
		// It may be one that the release made and that lost its owner at admission.
		c.expectations.Seen(release.UID, i.UID)
		c.enqueue(release.Namespace, release.Name)
	}
}

// wakeCounting has the releases look again that count an orphan which has changed.
func (c *Controller) wakeCounting(i *v1alpha1.Instance) {
	for _, release := range c.choosing(i) {
		if c.countsOrphans(release) {
			c.enqueueSoon(release.Namespace, release.Name)
		}
	}
}

// countsOrphans reports whether a release counts orphans that it chooses as its own, because its
// adoptions come back changed from the server. Events about them are the release's then.
func (c *Controller) countsOrphans(release *v1alpha1.Release) bool {
	_, known := c.vain.Left(attempt{release.UID, adopting})
	return known
}

// choosing returns the releases whose selector chooses an instance.
func (c *Controller) choosing(i *v1alpha1.Instance) []*v1alpha1.Release {
	releases, err := c.releases.Releases(i.Namespace).List(labels.Everything())
	if err != nil {
		return nil
	}
	var choosing []*v1alpha1.Release
	for _, release := range releases {
		selector, err := metav1.LabelSelectorAsSelector(release.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(i.Labels)) {
			choosing = append(choosing, release)
		}
	}
	return choosing
}
