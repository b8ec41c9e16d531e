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

// An example of a controller for Gatehouse: it labels hosts with the operating system and the
// architecture that their agents report, so that instances can select hosts by these labels. A
// selector cannot use the status.
//
// docs/controllers.md explains it step by step. Read run, then sync, then missing in labels.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	listers "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

func main() {
	kubeconfig := flag.String("kubeconfig", os.Getenv("KUBECONFIG"), "How to reach the API; inside of a cluster it is known without.")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err == nil {
		err = run(ctx, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "host-labeler:", err)
		os.Exit(1)
	}
}

// labeler is the controller: a cache to read from, a client to write with, and a
// queue of the hosts to reconcile.
type labeler struct {
	client versioned.Interface
	hosts  listers.HostLister
	queue  workqueue.TypedRateLimitingInterface[string]
}

// run runs the controller until the context ends.
func run(ctx context.Context, config *rest.Config) error {
	config.UserAgent = "host-labeler"
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := externalversions.NewSharedInformerFactory(client, 0)
	hosts := factory.Fleet().V1alpha1().Hosts()
	l := &labeler{
		client: client,
		hosts:  hosts.Lister(),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
	}
	registration, err := hosts.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    l.enqueue,
		UpdateFunc: func(_, now any) { l.enqueue(now) },
		// A deleted host needs no labels.
	})
	if err != nil {
		return err
	}
	factory.StartWithContext(ctx)
	defer factory.Shutdown()
	// No decision is made on a partial cache: the first list must be in the cache and in the queue.
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil // stopped before it began
	}
	fmt.Println("host-labeler: at work")
	defer context.AfterFunc(ctx, l.queue.ShutDown)()
	for l.next(ctx) {
	}
	return nil
}

// enqueue adds a host to the queue. A name that is in the queue already is not added
// again, so a thousand changes in a row cause one reconciliation.
func (l *labeler) enqueue(obj any) {
	if host, ok := obj.(*v1alpha1.Host); ok {
		l.queue.Add(host.Name)
	}
}

// next reconciles one host, and requeues it with exponential backoff after a failure.
func (l *labeler) next(ctx context.Context) bool {
	name, shutdown := l.queue.Get()
	if shutdown {
		return false
	}
	defer l.queue.Done(name)
	if err := l.sync(ctx, name); err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "host-labeler: %s, again later: %v\n", name, err)
		l.queue.AddRateLimited(name)
		return true
	}
	l.queue.Forget(name)
	return true
}

// sync reconciles one host. It reads the current state from the cache, and not from the event,
// so that missed events have no effect.
func (l *labeler) sync(ctx context.Context, name string) error {
	host, err := l.hosts.Get(name)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	patch, err := missing(host)
	if err != nil || patch == nil {
		return err
	}
	_, err = l.client.FleetV1alpha1().Hosts().Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	// The host is gone or was recreated: a watch event enqueues it.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
