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

// Package endedinstances deletes ended instances above a threshold: nothing else does, and they are
// kept for inspection only. The rule is that of Kubernetes' pod garbage collector
// (k8s.io/kubernetes pkg/controller/podgc). Read Excess.
package endedinstances

import (
	"cmp"
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	listers "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "ended-instance-collector"

const (
	// DefaultThreshold is the default number of ended instances to keep: at some 3 kB each, 3 MB in
	// etcd and about three times that in the server's memory, and enough to find the last failures
	// of every app of a fleet of hundreds.
	DefaultThreshold = 1000
	// period is the time between passes over all instances.
	period = 20 * time.Second
	// deletions is the number of concurrent deletions.
	deletions = 4
)

// Controller deletes ended instances beyond the threshold.
type Controller struct {
	client    versioned.Interface
	instances listers.InstanceLister
	synced    cache.InformerSynced
	threshold int
	clock     clock.WithTicker
}

// New returns a controller that writes with the configuration, watches with shared informers, and
// keeps as many ended instances as the threshold. With a threshold of 0 it deletes none.
func New(config *rest.Config, shared externalversions.SharedInformerFactory, threshold int) (*Controller, error) {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	informer := shared.Fleet().V1alpha1().Instances()
	return &Controller{client, informer.Lister(), informer.Informer().HasSynced, threshold, clock.RealClock{}}, nil
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	if c.threshold == 0 || !cache.WaitForCacheSync(ctx.Done(), c.synced) {
		return
	}
	ticker := c.clock.NewTicker(period)
	defer ticker.Stop()
	for {
		c.collect(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
	}
}

// Excess returns the ended instances above the threshold, the oldest first. Those that are being
// deleted do not count.
func Excess(instances []*v1alpha1.Instance, threshold int) []*v1alpha1.Instance {
	var ended []*v1alpha1.Instance
	for _, i := range instances {
		if helper.IsInstanceTerminal(i) && i.DeletionTimestamp == nil {
			ended = append(ended, i)
		}
	}
	if len(ended) <= threshold {
		return nil
	}
	slices.SortFunc(ended, func(a, b *v1alpha1.Instance) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return ended[:len(ended)-threshold]
}

func (c *Controller) collect(ctx context.Context) {
	logger := klog.FromContext(ctx)
	instances, err := c.instances.List(labels.Everything())
	if err != nil {
		logger.Error(err, "Listing instances failed")
		return
	}
	excess := Excess(instances, c.threshold)
	if len(excess) == 0 {
		return
	}
	logger.V(2).Info("Deleting ended instances, the oldest first", "count", len(excess), "threshold", c.threshold)
	workqueue.ParallelizeUntil(ctx, deletions, len(excess), func(at int) {
		i := excess[at]
		err := c.client.FleetV1alpha1().Instances(i.Namespace).Delete(ctx, i.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(i.UID))})
		if err = queue.IgnoreOutdated(err); err != nil && ctx.Err() == nil {
			logger.Error(err, "Deleting an ended instance failed, retrying later", "instance", klog.KObj(i))
		}
	})
}
