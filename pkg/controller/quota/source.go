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
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetinformers "github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/quota"
)

// source follows the objects of one kind, from the moment that a quota limits any of what it
// counts: a server without quotas pays nothing for them.
type source struct {
	names    []corev1.ResourceName
	informer cache.SharedIndexInformer
	synced   cache.InformerSynced
	start    sync.Once
}

// counts is what is in a namespace; nil for no such object.
type counts func(object metav1.Object) amounts

// sink is told of each change.
type sink func(namespace string, before, now amounts, isNew bool)

// instanceSource follows instances, of which all or only the sums are counted.
func instanceSource(client versioned.Interface, names []corev1.ResourceName, to sink) (*source, error) {
	informer := fleetinformers.NewInstanceInformer(client, metav1.NamespaceAll, 0, cache.Indexers{})
	count := amounts{}
	for _, name := range names {
		count[name] = 1
	}
	for _, measure := range quota.Measures() {
		delete(count, measure.Name)
	}
	return newSource(informer, names, onlyUsage, func(object metav1.Object) amounts {
		i, ok := object.(*v1alpha1.Instance)
		if !ok {
			return nil
		}
		return usage(i, count)
	}, to)
}

// usage is what an instance uses: one of each count, and until it ends what it asks for.
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

// onlyUsage keeps of an instance what is counted.
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

// countSource follows objects that are only counted.
func countSource(client metadata.Interface, kind quota.Kind, to sink) (*source, error) {
	informer := metadatainformer.NewFilteredMetadataInformer(client, kind.Resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
	one := amounts{}
	for _, name := range kind.Names() {
		one[name] = 1
	}
	return newSource(informer, kind.Names(), func(obj any) (any, error) {
		if object, ok := obj.(*metav1.PartialObjectMetadata); ok {
			return &metav1.PartialObjectMetadata{TypeMeta: object.TypeMeta, ObjectMeta: onlyIdentity(object)}, nil
		}
		return obj, nil
	}, func(metav1.Object) amounts { return one }, to)
}

func newSource(informer cache.SharedIndexInformer, names []corev1.ResourceName, keep cache.TransformFunc, of counts, to sink) (*source, error) {
	if err := informer.SetTransform(keep); err != nil {
		return nil, err
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			if object, ok := obj.(metav1.Object); ok {
				to(object.GetNamespace(), nil, of(object), !initial)
			}
		},
		UpdateFunc: func(was, now any) {
			before, ok := was.(metav1.Object)
			object, also := now.(metav1.Object)
			if ok && also {
				to(object.GetNamespace(), of(before), of(object), true)
			}
		},
		DeleteFunc: func(obj any) {
			if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = unknown.Obj
			}
			if object, ok := obj.(metav1.Object); ok {
				to(object.GetNamespace(), of(object), nil, true)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return &source{names: names, informer: informer, synced: registration.HasSynced}, nil
}

// follow starts the source once, and says whether all that there is has been counted.
func (s *source) follow(ctx context.Context, wg *sync.WaitGroup) bool {
	s.start.Do(func() { wg.Go(func() { s.informer.RunWithContext(ctx) }) })
	return s.synced()
}
