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

package rootca

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/transform"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "root-ca-cert-publisher"

// workers is the number of namespaces that are reconciled concurrently.
const workers = 2

// Controller publishes the bundle.
type Controller struct {
	client     kubernetes.Interface
	bundle     string
	namespaces corelisters.NamespaceLister
	published  cache.SharedIndexInformer
	synced     []cache.InformerSynced
	queue      workqueue.TypedRateLimitingInterface[string]
}

// New returns a controller that publishes a bundle of certificates in PEM. It writes with the
// configuration and reads namespaces from shared informers.
func New(config *rest.Config, shared *informers.Shared, bundle []byte) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// The shared informers have only metadata of config maps. This watch is limited to the one name,
	// which is also all that the role of the controller permits.
	published := coreinformers.NewFilteredConfigMapInformer(client, metav1.NamespaceAll, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, ConfigMap).String()
	})
	if err := published.SetTransform(transform.WithoutManagedFields); err != nil {
		return nil, err
	}
	namespaces := shared.Namespaces()
	c := &Controller{
		client:     client,
		bundle:     string(bundle),
		namespaces: namespaces.Lister(),
		published:  published,
		synced:     []cache.InformerSynced{namespaces.Informer().HasSynced, published.HasSynced},
		queue:      queue.New[string](Name),
	}
	if _, err := namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	}); err != nil {
		return nil, err
	}
	_, err = published.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueueNamespaceOf,
		UpdateFunc: func(_, now any) { c.enqueueNamespaceOf(now) },
		DeleteFunc: c.enqueueNamespaceOf,
	})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok {
		c.queue.Add(namespace.Name)
	}
}

func (c *Controller) enqueueNamespaceOf(obj any) {
	if object, ok := tombstone.Object[*corev1.ConfigMap](obj); ok {
		c.queue.Add(object.Namespace)
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { c.published.RunWithContext(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync publishes the bundle in one namespace. What a quota or a policy of users refuses is retried,
// and is no error of the server.
func (c *Controller) sync(ctx context.Context, name string) error {
	namespace, err := c.namespaces.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	found, exists, err := c.published.GetStore().GetByKey(name + "/" + ConfigMap)
	if err != nil {
		return err
	}
	var stored *corev1.ConfigMap
	if exists {
		stored = found.(*corev1.ConfigMap)
	}
	create, update := publish(namespace, stored, c.bundle)
	logger, configMaps := klog.FromContext(ctx), c.client.CoreV1().ConfigMaps(name)
	switch {
	case create != nil:
		logger.V(2).Info("Publishing root certificates", "namespace", name)
		_, err = configMaps.Create(ctx, create, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // its watch event follows
		}
	case update != nil:
		logger.V(2).Info("Correcting published root certificates", "namespace", name)
		_, err = configMaps.Update(ctx, update, metav1.UpdateOptions{})
	}
	return queue.Refusal(queue.Retry(err))
}
