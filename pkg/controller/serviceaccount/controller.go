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

package serviceaccount

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/tombstone"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "service-account-controller"

// workers is the number of namespaces that are reconciled concurrently.
const workers = 2

// Controller creates default service accounts.
type Controller struct {
	client     kubernetes.Interface
	namespaces corelisters.NamespaceLister
	accounts   cache.Indexer
	synced     []cache.InformerSynced
	queue      workqueue.TypedRateLimitingInterface[string]
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// Metadata is enough of the accounts: the garbage collector watches it anyway.
	namespaces, accounts := shared.Namespaces(), shared.ResourceInformer(corev1.SchemeGroupVersion.WithResource("serviceaccounts"))
	c := &Controller{
		client:     client,
		namespaces: namespaces.Lister(),
		accounts:   accounts.GetIndexer(),
		synced:     []cache.InformerSynced{namespaces.Informer().HasSynced, accounts.HasSynced},
		queue:      queue.New[string](Name),
	}
	if _, err := namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	}); err != nil {
		return nil, err
	}
	_, err = accounts.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: c.enqueueNamespaceOf})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok {
		c.queue.Add(namespace.Name)
	}
}

func (c *Controller) enqueueNamespaceOf(obj any) {
	if account, ok := tombstone.Object[metav1.Object](obj); ok && account.GetName() == Default {
		c.queue.Add(account.GetNamespace())
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))

	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync creates the account if it is missing. A namespace that is deleted meanwhile needs none.
func (c *Controller) sync(ctx context.Context, name string) error {
	namespace, err := c.namespaces.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	_, exists, err := c.accounts.GetByKey(name + "/" + Default)
	if err != nil {
		return err
	}
	account := missing(namespace, exists)
	if account == nil {
		return nil
	}
	klog.FromContext(ctx).V(2).Info("Creating default service account", "namespace", name)
	_, err = c.client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
