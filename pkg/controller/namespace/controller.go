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

package namespace

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"

	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "namespace-controller"

// workers is the number of namespaces that are emptied concurrently. Each waits for the server most
// of the time.
const workers = 5

// requestTimeout bounds one request, so that a resource that hangs blocks a namespace and not the
// worker. The server's own timeout is a minute.
const requestTimeout = time.Minute

// pageSize bounds the objects in one response.
const pageSize = 500

// Controller empties and finalizes namespaces.
type Controller struct {
	client    kubernetes.Interface
	metadata  metadata.Interface
	discovery discovery.DiscoveryInterfaceWithContext

	namespaces corelisters.NamespaceLister
	synced     cache.InformerSynced
	queue      workqueue.TypedRateLimitingInterface[string]
	clock      clock.PassiveClock
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	bounded := rest.CopyConfig(config)
	bounded.Timeout = requestTimeout
	content, err := metadata.NewForConfig(bounded)
	if err != nil {
		return nil, err
	}
	discoverer, err := discovery.NewDiscoveryClientForConfig(bounded)
	if err != nil {
		return nil, err
	}
	namespaces := shared.Namespaces()
	c := &Controller{
		client:     client,
		metadata:   content,
		discovery:  discoverer,
		namespaces: namespaces.Lister(),
		synced:     namespaces.Informer().HasSynced,
		queue:      queue.New[string](Name),
		clock:      clock.RealClock{},
	}
	_, err = namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	})
	return c, err
}

// enqueue enqueues namespaces that are being deleted. A namespace that is backing off is not enqueued
// by the controller's own status update.
func (c *Controller) enqueue(obj any) {
	namespace, ok := obj.(*corev1.Namespace)
	if ok && namespace.DeletionTimestamp != nil && c.queue.NumRequeues(namespace.Name) == 0 {
		c.queue.Add(namespace.Name)
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))

	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync empties one namespace as far as possible, reports in its status what is left, and removes the
// finalizer when nothing is.
func (c *Controller) sync(ctx context.Context, name string) error {
	namespace, err := c.namespaces.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if namespace.DeletionTimestamp == nil || !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return nil
	}
	verdict := judge(namespace, c.empty(ctx, name), metav1.NewTime(c.clock.Now()))
	if verdict.changed {
		klog.FromContext(ctx).V(2).Info("Emptying namespace", "namespace", name, "waitsFor", verdict.waits)
		if namespace, err = c.client.CoreV1().Namespaces().UpdateStatus(ctx, verdict.namespace, metav1.UpdateOptions{}); err != nil {
			return queue.Retry(err)
		}
	}
	if verdict.waits != "" {
		return queue.Requeue{Reason: verdict.waits}
	}
	klog.FromContext(ctx).V(2).Info("Finalizing empty namespace", "namespace", name)
	_, err = c.client.CoreV1().Namespaces().Finalize(ctx, withoutFinalizer(namespace), metav1.UpdateOptions{})
	return queue.Retry(err)
}

// empty deletes the content of the namespace and returns what is left. A group or resource that
// fails does not stop the others.
func (c *Controller) empty(ctx context.Context, namespace string) outcome {
	lists, err := c.discovery.ServerPreferredNamespacedResourcesWithContext(ctx)
	found, invalid := contents(lists)
	result := outcome{discovery: err, versions: invalid}
	if err == nil && len(found) == 0 {
		result.discovery = errors.New("discovery lists no namespaced resources")
	}
	for _, resource := range found {
		left, err := c.emptyResource(ctx, namespace, resource)
		if err != nil {
			result.failures = append(result.failures, fmt.Errorf("%s: %w", resource.GroupResource(), err))
		}
		if len(left) > 0 {
			result.left = append(result.left, remainder{resource: resource.GroupResource(), objects: left})
		}
	}
	return result
}

// emptyResource deletes the objects of one resource: all of them in one request if the resource
// supports that. Objects with a grace period stay, and are not deleted again: the agent that stops
// them removes them.
func (c *Controller) emptyResource(ctx context.Context, namespace string, resource content) ([]metav1.PartialObjectMetadata, error) {
	objects := c.metadata.Resource(resource.GroupVersionResource).Namespace(namespace)
	left, err := list(ctx, objects)
	if err != nil || !slices.ContainsFunc(left, undeleted) {
		return left, err
	}
	background := metav1.DeletePropagationBackground
	options := metav1.DeleteOptions{PropagationPolicy: &background}
	if resource.collection {
		err = objects.DeleteCollection(ctx, options, metav1.ListOptions{})
	}
	if !resource.collection || apierrors.IsMethodNotSupported(err) {
		err = deleteEach(ctx, objects, left, options)
	}
	if err != nil {
		return left, err
	}
	return list(ctx, objects)
}

// undeleted reports whether an object has not been deleted yet.
func undeleted(object metav1.PartialObjectMetadata) bool { return object.DeletionTimestamp == nil }

func deleteEach(ctx context.Context, objects metadata.ResourceInterface, left []metav1.PartialObjectMetadata, options metav1.DeleteOptions) error {
	var errs []error
	for _, object := range left {
		if !undeleted(object) {
			continue
		}
		if err := objects.Delete(ctx, object.Name, options); err != nil && !apierrors.IsNotFound(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// list returns the current objects: without a resource version the server reads from etcd.
func list(ctx context.Context, objects metadata.ResourceInterface) ([]metav1.PartialObjectMetadata, error) {
	var all []metav1.PartialObjectMetadata
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := objects.List(ctx, options)
		if err != nil {
			return all, err
		}
		all = append(all, page.Items...)
		if options.Continue = page.Continue; options.Continue == "" {
			return all, nil
		}
	}
}

// content is a resource that may have objects in a namespace.
type content struct {
	schema.GroupVersionResource
	// collection is set if all objects can be deleted in one request.
	collection bool
}
