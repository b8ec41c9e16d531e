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

package app

import (
	"context"
	"fmt"
	"sync"
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

// bindings tells whether an instance is bound to a host. Both modes store instances
// themselves, so both ask their own front door and never the cluster.
type bindings struct {
	client    versioned.Interface
	informers externalversions.SharedInformerFactory
	instances fleetlisters.InstanceLister
	news      news
}

var _ host.Bindings = &bindings{}

// newBindings reads through the server's own loopback client, and begins to follow
// instances when the server runs.
func newBindings(generic *genericapiserver.Config) (*bindings, error) {
	config := rest.CopyConfig(generic.LoopbackClientConfig)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.QPS = -1
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	// What is not bound is nobody's, and of the rest only the host is remembered: twenty
	// thousand instances would else be held a second time.
	informers := externalversions.NewSharedInformerFactoryWithOptions(client, 0,
		externalversions.WithTweakListOptions(func(o *metav1.ListOptions) { o.FieldSelector = fleetv1alpha1.InstanceHostNameField + "!=" }),
		externalversions.WithTransform(onlyHost),
	)
	// Asking for the lister also registers the informer, which Start would else not know.
	b := &bindings{client: client, informers: informers, instances: informers.Fleet().V1alpha1().Instances().Lister()}
	if _, err := informers.Fleet().V1alpha1().Instances().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { b.news.tell() },
		UpdateFunc: func(any, any) { b.news.tell() },
	}); err != nil {
		return nil, err
	}
	return b, generic.AddPostStartHook("follow-bindings", func(hook genericapiserver.PostStartHookContext) error {
		b.informers.Start(hook.Done())
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

// lag is how long a no of the cache is given to become a yes. A host that has just heard of a
// binding by its own watch is often ahead of ours, by no more than some milliseconds; a read
// from etcd costs more than they do.
const lag = 100 * time.Millisecond

// Bound implements host.Bindings. A binding does not change while an instance exists, so a
// yes of the cache is a yes. A no may be one that is too old, and costs a read.
func (b *bindings) Bound(ctx context.Context, namespace, name, host string) (bool, error) {
	late, cancel := context.WithTimeout(ctx, lag)
	defer cancel()
	if b.news.until(late, func() bool {
		cached, err := b.instances.Instances(namespace).Get(name)
		return err == nil && cached.Spec.HostName == host
	}) {
		return true, nil
	}
	instance, err := b.client.FleetV1alpha1().Instances(namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("reading the instance: %w", err)
	}
	return instance.Spec.HostName == host, nil
}

// news tells all who wait that there is something new. The zero value is ready.
type news struct {
	mu sync.Mutex
	// next is closed when there is; nil where nobody waits.
	next chan struct{}
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

func (n *news) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

// until asks now and with all news, until the answer is yes or the context ends.
func (n *news) until(ctx context.Context, yes func() bool) bool {
	for {
		// First the channel: what is new after the question is heard of.
		next := n.wait()
		if yes() {
			return true
		}
		select {
		case <-next:
		case <-ctx.Done():
			return false
		}
	}
}
