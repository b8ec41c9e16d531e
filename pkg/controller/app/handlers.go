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

package app

import (
	"maps"

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
	// byOwner indexes objects by the UID of their controller.
	byOwner = Name + "/owner"
	// orphans indexes objects without a controller by namespace.
	orphans = Name + "/orphans"
)

func ownerOf(obj any) ([]string, error) {
	if object, ok := obj.(metav1.Object); ok {
		if owner := metav1.GetControllerOfNoCopy(object); owner != nil {
			return []string{string(owner.UID)}, nil
		}
	}
	return nil, nil
}

func namespaceOfOrphan(obj any) ([]string, error) {
	if object, ok := obj.(metav1.Object); ok && metav1.GetControllerOfNoCopy(object) == nil {
		return []string{object.GetNamespace()}, nil
	}
	return nil, nil
}

// find returns the objects of an index value.
func find[T any](indexer cache.Indexer, index, value string) ([]T, error) {
	found, err := indexer.ByIndex(index, value)
	if err != nil {
		return nil, err
	}
	objects := make([]T, 0, len(found))
	for _, object := range found {
		if typed, ok := object.(T); ok {
			objects = append(objects, typed)
		}
	}
	return objects, nil
}

// instancesOf returns the instances that a release controls.
func (c *Controller) instancesOf(release types.UID) []*v1alpha1.Instance {
	// New has added the index.
	instances, _ := find[*v1alpha1.Instance](c.instances, byOwner, string(release))
	return instances
}

func (c *Controller) enqueue(app *v1alpha1.App) {
	c.queue.Add(types.NamespacedName{Namespace: app.Namespace, Name: app.Name})
}

func (c *Controller) appHandler() cache.ResourceEventHandler {
	enqueue := func(obj any) {
		if app, ok := obj.(*v1alpha1.App); ok {
			c.enqueue(app)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, now any) { enqueue(now) },
		DeleteFunc: func(obj any) {
			if app, ok := tombstone.Object[*v1alpha1.App](obj); ok {
				c.marks.forget(app.UID)
				c.writes.forget(app.UID)
			}
		},
	}
}

// releaseHandler enqueues the current and the former owner of a release and, if it has none, the
// apps that may adopt it.
func (c *Controller) releaseHandler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if release, ok := obj.(*v1alpha1.Release); ok && !c.enqueueOwner(release) {
				c.enqueueAdopters(release)
			}
		},
		UpdateFunc: func(was, now any) {
			old, wasRelease := was.(*v1alpha1.Release)
			release, ok := now.(*v1alpha1.Release)
			if !wasRelease || !ok {
				return
			}
			before, after := metav1.GetControllerOfNoCopy(old), metav1.GetControllerOfNoCopy(release)
			sameOwner := ptr.Equal(uidOf(before), uidOf(after))
			if !sameOwner {
				c.enqueueOwner(old)
			}
			if !c.enqueueOwner(release) && (!sameOwner || !maps.Equal(old.Labels, release.Labels)) {
				c.enqueueAdopters(release)
			}
		},
		DeleteFunc: func(obj any) {
			if release, ok := tombstone.Object[*v1alpha1.Release](obj); ok {
				c.enqueueOwner(release)
			}
		},
	}
}

func uidOf(owner *metav1.OwnerReference) *types.UID {
	if owner == nil {
		return nil
	}
	return &owner.UID
}

// instanceHandler enqueues apps that wait until old instances have ended. Only instance events show
// that, because their release has stopped counting them before.
func (c *Controller) instanceHandler() cache.ResourceEventHandler {
	ended := func(obj any) {
		i, ok := tombstone.Object[*v1alpha1.Instance](obj)
		if !ok {
			return
		}
		if app := c.appOfInstance(i); app != nil && app.Spec.Strategy.Type == v1alpha1.RecreateAppStrategy {
			c.enqueue(app)
		}
	}
	return cache.ResourceEventHandlerFuncs{
		UpdateFunc: func(was, now any) {
			old, wasInstance := was.(*v1alpha1.Instance)
			i, ok := now.(*v1alpha1.Instance)
			if wasInstance && ok && helper.IsInstanceTerminal(i) && !helper.IsInstanceTerminal(old) {
				ended(i)
			}
		},
		DeleteFunc: ended,
	}
}

// enqueueOwner enqueues the app of a release, and reports whether the release has a controller.
func (c *Controller) enqueueOwner(release *v1alpha1.Release) bool {
	owner := metav1.GetControllerOfNoCopy(release)
	if app := c.appOf(release.Namespace, owner); app != nil {
		c.enqueue(app)
	}
	return owner != nil
}

// enqueueAdopters enqueues the apps that select a release without a controller. It checks all apps
// of the namespace, because such releases are rare.
func (c *Controller) enqueueAdopters(release *v1alpha1.Release) {
	apps, err := c.apps.Apps(release.Namespace).List(labels.Everything())
	if err != nil || release.DeletionTimestamp != nil {
		return
	}
	for _, app := range apps {
		selector, err := metav1.LabelSelectorAsSelector(app.Spec.Selector)
		if err == nil && !selector.Empty() && selector.Matches(labels.Set(release.Labels)) {
			c.enqueue(app)
		}
	}
}

// appOf returns the app that a reference names; nil if it names another kind, or an earlier app of
// the same name.
func (c *Controller) appOf(namespace string, owner *metav1.OwnerReference) *v1alpha1.App {
	if owner == nil || !refersTo(owner, "App") {
		return nil
	}
	app, err := c.apps.Apps(namespace).Get(owner.Name)
	if err != nil || app.UID != owner.UID {
		return nil
	}
	return app
}

func (c *Controller) appOfInstance(i *v1alpha1.Instance) *v1alpha1.App {
	owner := metav1.GetControllerOfNoCopy(i)
	if owner == nil || !refersTo(owner, "Release") {
		return nil
	}
	obj, found, err := c.releases.GetByKey(i.Namespace + "/" + owner.Name)
	release, ok := obj.(*v1alpha1.Release)
	if err != nil || !found || !ok || release.UID != owner.UID {
		return nil
	}
	return c.appOf(release.Namespace, metav1.GetControllerOfNoCopy(release))
}

// refersTo reports whether a reference is to a kind of the fleet group, in any version.
func refersTo(owner *metav1.OwnerReference, kind string) bool {
	version, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && version.Group == v1alpha1.GroupName && owner.Kind == kind
}
