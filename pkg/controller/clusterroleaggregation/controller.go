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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"k8s.io/client-go/kubernetes"
	rbaclisters "k8s.io/client-go/listers/rbac/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "clusterrole-aggregation-controller"

// Controller writes the rules of aggregated cluster roles.
type Controller struct {
	client kubernetes.Interface

	roles  rbaclisters.ClusterRoleLister
	synced cache.InformerSynced
	queue  workqueue.TypedRateLimitingInterface[string]
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	roles := shared.ClusterRoles()
	c := &Controller{client: client, roles: roles.Lister(), synced: roles.Informer().HasSynced, queue: queue.New[string](Name)}
	_, err = roles.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.enqueueAggregated() },
		UpdateFunc: func(any, any) { c.enqueueAggregated() },
		DeleteFunc: func(any) { c.enqueueAggregated() },
	})
	return c, err
}

// enqueueAggregated enqueues all aggregated roles: there are few, and any role may be aggregated.
func (c *Controller) enqueueAggregated() {
	all, err := c.roles.List(labels.Everything())
	if err != nil {
		klog.ErrorS(err, "Listing cluster roles failed", "controller", Name)
		return
	}
	for _, role := range all {
		if role.AggregationRule != nil {
			c.queue.Add(role.Name)
		}
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))

	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		// One worker: aggregated roles aggregate each other.
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
	rules, upToDate, err := aggregate(role, all)
	if err != nil {
		// Only a change of the role cures it, and that event enqueues it.
		klog.FromContext(ctx).Error(err, "Aggregation failed: a selector is invalid", "clusterRole", name)
		return nil
	}
	if upToDate {
		return nil
	}
	klog.FromContext(ctx).V(2).Info("Updating the rules of an aggregated role", "clusterRole", name, "rules", len(rules))
	changed := role.DeepCopy()
	changed.Rules = rules
	_, err = c.client.RbacV1().ClusterRoles().Update(ctx, changed, metav1.UpdateOptions{})
	return queue.IgnoreOutdated(err)
}
