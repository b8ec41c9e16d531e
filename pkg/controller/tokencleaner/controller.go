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

package tokencleaner

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecrets "k8s.io/cluster-bootstrap/util/secrets"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/transform"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "token-cleaner"

// Namespace is where bootstrap tokens are.
const Namespace = metav1.NamespaceSystem

// Controller deletes expired tokens.
type Controller struct {
	client kubernetes.Interface
	tokens cache.SharedIndexInformer
	queue  workqueue.TypedRateLimitingInterface[string]
	clock  clock.PassiveClock
}

// New returns a controller that reads and writes with the configuration. The shared informers have
// no secrets, and its role permits those of one namespace only.
func New(config *rest.Config, _ *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return newController(client, clock.RealClock{})
}

func newController(client kubernetes.Interface, clock clock.PassiveClock) (*Controller, error) {
	tokens := coreinformers.NewFilteredSecretInformer(client, Namespace, 0, cache.Indexers{}, func(options *metav1.ListOptions) {
		options.FieldSelector = fields.OneTermEqualSelector("type", string(bootstrapapi.SecretTypeBootstrapToken)).String()
	})
	if err := tokens.SetTransform(transform.WithoutManagedFields); err != nil {
		return nil, err
	}
	c := &Controller{client: client, tokens: tokens, queue: queue.New[string](Name), clock: clock}
	_, err := tokens.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if secret, ok := obj.(*corev1.Secret); ok {
		c.queue.Add(secret.Name)
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { c.tokens.RunWithContext(ctx) })
	if cache.WaitForCacheSync(ctx.Done(), c.tokens.HasSynced) {
		queue.Run(ctx, c.queue, 1, c.sync)
	}
}

// sync deletes a token that has expired, or requeues its name for the time when it does. An
// expiration that cannot be parsed counts as expired.
func (c *Controller) sync(ctx context.Context, name string) error {
	found, exists, err := c.tokens.GetStore().GetByKey(Namespace + "/" + name)
	if err != nil || !exists {
		return err
	}
	// The selector of the informer is the server's to apply, so the type is checked here, too.
	secret, ok := found.(*corev1.Secret)
	if !ok || secret.Type != bootstrapapi.SecretTypeBootstrapToken {
		return nil
	}
	left, expired := bootstrapsecrets.GetExpiration(secret, c.clock.Now())
	if !expired {
		if left > 0 {
			c.queue.AddAfter(name, left)
		}
		return nil
	}
	klog.FromContext(ctx).V(2).Info("Deleting expired bootstrap token", "secret", klog.KObj(secret))
	// The precondition keeps a token of the same name that was created or prolonged meanwhile.
	return queue.IgnoreOutdated(c.client.CoreV1().Secrets(Namespace).Delete(ctx, name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion},
	}))
}
