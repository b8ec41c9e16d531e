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

package certificatesigner

import (
	"context"
	"crypto/x509"
	"errors"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"k8s.io/client-go/kubernetes"
	certificateslisters "k8s.io/client-go/listers/certificates/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "certificate-controller"

// workers is the number of requests that are signed concurrently.
const workers = 2

// Authority signs certificates. The controller does not hold the key.
type Authority struct {
	// Sign returns a certificate in PEM for a public key.
	Sign func(template *x509.Certificate, publicKey any) ([]byte, error)
	// Server returns the certificate that the server serves with.
	Server func() (*x509.Certificate, error)
}

// Controller signs requests.
type Controller struct {
	client    kubernetes.Interface
	fleet     versioned.Interface
	authority *Authority

	requests certificateslisters.CertificateSigningRequestLister
	synced   cache.InformerSynced
	queue    workqueue.TypedRateLimitingInterface[string]
	clock    clock.PassiveClock
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call. Without an authority it signs nothing.
func New(config *rest.Config, shared *informers.Shared, authority *Authority) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	fleet, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	requests := shared.CertificateSigningRequests()
	c := &Controller{
		client: client, fleet: fleet, authority: authority, clock: clock.RealClock{},
		requests: requests.Lister(), synced: requests.Informer().HasSynced, queue: queue.New[string](Name),
	}
	_, err = requests.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if request, ok := obj.(*certificatesv1.CertificateSigningRequest); ok && isWaiting(request) {
		c.queue.Add(request.Name)
	}
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	if c.authority == nil {
		klog.FromContext(ctx).Info("Signing no certificates, because the server does not have the key of its authority of client certificates")
		return
	}
	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		queue.Run(ctx, c.queue, workers, c.sync)
	}
}

// sync signs a request, or sets its condition Failed. Of two replicas that sign at once, the second gets
// a conflict.
func (c *Controller) sync(ctx context.Context, name string) error {
	cached, err := c.requests.Get(name)
	if err != nil || !isWaiting(cached) {
		return queue.IgnoreNotFound(err)
	}
	request := cached.DeepCopy()
	logger := klog.FromContext(ctx).WithValues("request", name, "signer", request.Spec.SignerName, "requestor", request.Spec.Username)
	certificate, err := c.certify(ctx, request)
	var refused refusal
	switch {
	case errors.As(err, &refused):
		logger.Info("Refused to sign", "reason", refused.Error())
		request.Status.Conditions = append(request.Status.Conditions, failed(refused, metav1.NewTime(c.clock.Now())))
	case err != nil:
		return err
	default:
		request.Status.Certificate = certificate
	}
	_, err = c.client.CertificatesV1().CertificateSigningRequests().UpdateStatus(ctx, request, metav1.UpdateOptions{})
	if err == nil && certificate != nil {
		logger.Info("Signed a certificate")
	}
	return queue.Retry(err)
}

// certify returns the certificate of a request, or a refusal.
func (c *Controller) certify(ctx context.Context, request *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	parsed, err := signers.ParseRequest(request.Spec.Request)
	if err != nil {
		return nil, refusal{err}
	}
	host, err := decide(request, parsed)
	if err != nil {
		return nil, err
	}
	if host != "" {
		if err := c.checkHost(ctx, parsed, host); err != nil {
			return nil, err
		}
	}
	return c.authority.Sign(template(request, parsed, c.clock.Now()), parsed.PublicKey)
}

// checkHost compares the alternative names with the Host, which the controller reads when it signs: the
// names must be right then.
func (c *Controller) checkHost(ctx context.Context, parsed *x509.CertificateRequest, name string) error {
	host, err := c.fleet.FleetV1alpha1().Hosts().Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return refusal{errors.New("there is no Host " + name)}
	}
	if err != nil {
		return err
	}
	server, err := c.authority.Server()
	if err != nil {
		return err
	}
	return refuse(signers.CheckHostNames(parsed, host, server))
}
