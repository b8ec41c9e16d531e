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

package quota

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetinformers "github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

// source counts the objects of one kind, from the moment that a quota limits any of its names: a
// server without quotas has no cost.
type source struct {
	names []corev1.ResourceName
	// informer returns the informer of the objects, and start runs it.
	informer func() cache.SharedIndexInformer
	start    func(ctx context.Context, running *sync.WaitGroup)
	uses     func(object metav1.Object) amounts
	changed  sink

	once   sync.Once
	synced cache.InformerSynced // nil until the informer is started
}

// sink is called with what an object used before and uses now; nil if it does not exist.
type sink func(object metav1.Object, before, now amounts, isNew bool)

// instanceSource returns a source of instances. names are the counts, and the sums over what
// instances request.
func instanceSource(client versioned.Interface, names []corev1.ResourceName, changed sink) (*source, error) {
	informer := fleetinformers.NewInstanceInformer(client, metav1.NamespaceAll, 0, cache.Indexers{})
	if err := informer.SetTransform(onlyUsage); err != nil {
		return nil, err
	}
	count := amounts{}
	for _, name := range names {
		count[name] = 1
	}
	for _, measure := range quota.Measures() {
		delete(count, measure.Name)
	}
	return &source{
		names:    names,
		informer: func() cache.SharedIndexInformer { return informer },
		start: func(ctx context.Context, running *sync.WaitGroup) {
			running.Go(func() { informer.RunWithContext(ctx) })
		},
		uses: func(object metav1.Object) amounts {
			i, ok := object.(*v1alpha1.Instance)
			if !ok {
				return nil
			}
			return usage(i, count)
		},
		changed: changed,
	}, nil
}

// usage returns what an instance uses: one of each count and, until it ends, what it requests.
func usage(i *v1alpha1.Instance, count amounts) amounts {
	var sums quota.Usage
	if !helper.IsInstanceTerminal(i) {
		for n := range i.Spec.Containers {
			resources := &i.Spec.Containers[n].Resources
			quota.Add(&sums, resources.Requests, resources.Limits)
		}
	}
	used := amounts(sums.Amounts())
	for name, one := range count {
		used[name] = one
	}
	return used
}

// onlyUsage is a cache.TransformFunc that keeps only the counted fields of an instance.
func onlyUsage(obj any) (any, error) {
	i, ok := obj.(*v1alpha1.Instance)
	if !ok {
		return obj, nil
	}
	kept := &v1alpha1.Instance{ObjectMeta: onlyIdentity(i), Status: v1alpha1.InstanceStatus{Phase: i.Status.Phase}}
	for _, c := range i.Spec.Containers {
		kept.Spec.Containers = append(kept.Spec.Containers, v1alpha1.Container{Resources: c.Resources})
	}
	return kept, nil
}

func onlyIdentity(object metav1.Object) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: object.GetNamespace(), Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion()}
}

// countSource returns a source of objects that are only counted. It uses the shared informer of
// the resource.
func countSource(shared *informers.Shared, kind quota.Kind, changed sink) *source {
	one := amounts{}
	for _, name := range kind.Names() {
		one[name] = 1
	}
	return &source{
		names:    kind.Names(),
		informer: func() cache.SharedIndexInformer { return shared.ResourceInformer(kind.Resource) },
		start:    func(ctx context.Context, _ *sync.WaitGroup) { shared.StartWithContext(ctx) },
		uses:     func(metav1.Object) amounts { return one },
		changed:  changed,
	}
}

func (s *source) handler() cache.ResourceEventHandler {
	return cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			if object, ok := obj.(metav1.Object); ok {
				s.changed(object, nil, s.uses(object), !initial)
			}
		},
		UpdateFunc: func(was, now any) {
			before, ok := was.(metav1.Object)
			object, also := now.(metav1.Object)
			if ok && also {
				s.changed(object, s.uses(before), s.uses(object), true)
			}
		},
		DeleteFunc: func(obj any) {
			if object, ok := tombstone.Object[metav1.Object](obj); ok {
				s.changed(object, s.uses(object), nil, true)
			}
		},
	}
}

// follow starts the source on the first call, and reports whether all existing objects have been
// counted.
func (s *source) follow(ctx context.Context, running *sync.WaitGroup) bool {
	s.once.Do(func() {
		registration, err := s.informer().AddEventHandler(s.handler())
		if err != nil { // the informer was stopped: the controller is stopping too
			klog.FromContext(ctx).Error(err, "Counting failed to start", "resources", s.names)
			return
		}
		s.synced = registration.HasSynced
		s.start(ctx, running)
	})
	return s.synced != nil && s.synced()
}
