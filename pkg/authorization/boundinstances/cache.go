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

package boundinstances

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	fleetlisters "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

// Cache reports whether an instance is bound to a host. Both modes store instances themselves, so
// the cache reads from this server and never from the cluster.
type Cache struct {
	client    versioned.Interface
	informers externalversions.SharedInformerFactory
	instances fleetlisters.InstanceLister
	changed   broadcaster
}

var _ host.BoundInstances = &Cache{}

// New returns a cache that reads through the server's loopback client and starts its informer when
// the server runs.
func New(generic *genericapiserver.Config) (*Cache, error) {
	config := rest.CopyConfig(generic.LoopbackClientConfig)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.QPS = -1
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// Unbound instances belong to no host. Of the others only spec.hostName is kept: the server
	// would otherwise hold twenty thousand instances twice.
	informers := externalversions.NewSharedInformerFactoryWithOptions(client, 0,
		externalversions.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = fleetv1alpha1.InstanceHostNameField + "!=" }),
		externalversions.WithTransform(onlyHost),
	)
	// Lister also registers the informer, which Start would otherwise not start.
	c := &Cache{client: client, informers: informers, instances: informers.Fleet().V1alpha1().Instances().Lister()}
	if _, err := informers.Fleet().V1alpha1().Instances().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { c.changed.broadcast() },
		UpdateFunc: func(any, any) { c.changed.broadcast() },
	}); err != nil {
		return nil, err
	}
	return c, generic.AddPostStartHook("follow-bindings", func(hook genericapiserver.PostStartHookContext) error {
		c.informers.Start(hook.Done())
		return nil
	})
}

func onlyHost(obj any) (any, error) {
	instance, ok := obj.(*fleetv1alpha1.Instance)
	if !ok {
		return obj, nil
	}
	return &fleetv1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       instance.Namespace,
			Name:            instance.Name,
			UID:             instance.UID,
			ResourceVersion: instance.ResourceVersion,
		},
		Spec: fleetv1alpha1.InstanceSpec{HostName: instance.Spec.HostName},
	}, nil
}

// lag is the time that Bound waits for the cache before it reads from the storage. A host that has just
// received a binding by its own watch is often ahead of this cache by some milliseconds, which
// cost less than a read from etcd.
const lag = 100 * time.Millisecond

// Bound implements host.BoundInstances. The binding of an instance is immutable, so a cached binding is
// always right. A missing one may be due to a stale cache and is confirmed by a read.
func (c *Cache) Bound(ctx context.Context, namespace, name, host string) (bool, error) {
	bounded, cancel := context.WithTimeout(ctx, lag)
	defer cancel()
	if c.changed.waitFor(bounded, func() bool {
		cached, err := c.instances.Instances(namespace).Get(name)
		return err == nil && cached.Spec.HostName == host
	}) {
		return true, nil
	}
	instance, err := c.client.FleetV1alpha1().Instances(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the instance: %w", err)
	}
	return instance.Spec.HostName == host, nil
}
