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

package clusterroleaggregation

import (
	"context"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/queue"
)

// Name is the controller's, and with a prefix its user's.
const Name = "clusterrole-aggregation-controller"

// Controller writes the rules of aggregated cluster roles.
type Controller struct {
	client  kubernetes.Interface
	factory informers.SharedInformerFactory
	roles   rbaclisters.ClusterRoleLister
	synced  cache.InformerSynced
	queue   workqueue.TypedRateLimitingInterface[string]
}

// New makes a controller that reaches the server by the configuration.
func New(config *rest.Config) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	roles := factory.Rbac().V1().ClusterRoles()
	c := &Controller{client: client, factory: factory, roles: roles.Lister(), synced: roles.Informer().HasSynced, queue: queue.New[string](Name)}
	_, err = roles.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.enqueueAggregated() },
		UpdateFunc: func(any, any) { c.enqueueAggregated() },
		DeleteFunc: func(any) { c.enqueueAggregated() },
	})
	return c, err
}

// enqueueAggregated has every role that gathers others looked at: there are few, and any
// change may be one of what they gather.
func (c *Controller) enqueueAggregated() {
	all, err := c.roles.List(labels.Everything())
	if err != nil {
		klog.ErrorS(err, "Cluster roles cannot be listed", "controller", Name)
		return
	}
	for _, role := range all {
		if role.AggregationRule != nil {
			c.queue.Add(role.Name)
		}
	}
}

// Run works until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	c.factory.StartWithContext(ctx)
	defer c.factory.Shutdown()
	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		// One worker: aggregated roles gather each other.
		queue.Run(ctx, c.queue, 1, c.sync)
	}
}

func (c *Controller) sync(ctx context.Context, name string) error {
	role, err := c.roles.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := c.roles.List(labels.Everything())
	if err != nil {
		return err
	}
	rules, asItShouldBe, err := gather(role, all)
	if err != nil {
		// Nothing but a change of the role can cure it, and that is heard of.
		klog.FromContext(ctx).Error(err, "A cluster role has a selector that cannot be read", "clusterRole", name)
		return nil
	}
	if asItShouldBe {
		return nil
	}
	klog.FromContext(ctx).V(2).Info("Gathering the rules of an aggregated role", "clusterRole", name, "rules", len(rules))
	changed := role.DeepCopy()
	changed.Rules = rules
	return ignoreOutdated(c.update(ctx, changed))
}

func (c *Controller) update(ctx context.Context, role *rbacv1.ClusterRole) error {
	_, err := c.client.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
	return err
}

// ignoreOutdated forgets about roles that have changed or are gone: the informer will say so.
func ignoreOutdated(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
