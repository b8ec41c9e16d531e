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
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/queue"
)

// Name is the controller's, and with a prefix its user's.
const Name = "service-account-controller"

// workers is how many namespaces are looked at, at the same time.
const workers = 2

// Controller creates default service accounts.
type Controller struct {
	client     kubernetes.Interface
	factories  []informers.SharedInformerFactory
	namespaces corelisters.NamespaceLister
	accounts   corelisters.ServiceAccountLister
	synced     []cache.InformerSynced
	queue      workqueue.TypedRateLimitingInterface[string]
}

// New makes a controller that reaches the server by the configuration.
func New(config *rest.Config) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	all := informers.NewSharedInformerFactory(client, 0)
	// The others are nobody's business here, and there may be many of them.
	defaults := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, Default).String()
	}))
	namespaces, accounts := all.Core().V1().Namespaces(), defaults.Core().V1().ServiceAccounts()
	c := &Controller{
		client:     client,
		factories:  []informers.SharedInformerFactory{all, defaults},
		namespaces: namespaces.Lister(),
		accounts:   accounts.Lister(),
		synced:     []cache.InformerSynced{namespaces.Informer().HasSynced, accounts.Informer().HasSynced},
		queue:      queue.New[string](Name),
	}
	if _, err := namespaces.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	}); err != nil {
		return nil, err
	}
	_, err = accounts.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: c.enqueueNamespaceOf})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if namespace, ok := obj.(*corev1.Namespace); ok {
		c.queue.Add(namespace.Name)
	}
}

func (c *Controller) enqueueNamespaceOf(obj any) {
	if unknown, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = unknown.Obj
	}
	if account, ok := obj.(*corev1.ServiceAccount); ok {
		c.queue.Add(account.Namespace)
	}
}

// Run works until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	for _, factory := range c.factories {
		factory.StartWithContext(ctx)
		defer factory.Shutdown()
	}
	if cache.WaitForCacheSync(ctx.Done(), c.synced...) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync creates the account where it is missing. A namespace that goes away while it does so
// needs none any more.
func (c *Controller) sync(ctx context.Context, name string) error {
	namespace, err := c.namespaces.Get(name)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	existing, err := c.accounts.ServiceAccounts(name).Get(Default)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	account := missing(namespace, existing)
	if account == nil {
		return nil
	}
	klog.FromContext(ctx).V(2).Info("Creating the default service account", "namespace", name)
	_, err = c.client.CoreV1().ServiceAccounts(name).Create(ctx, account, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil
	}
	return err
}
