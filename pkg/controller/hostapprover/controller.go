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

package hostapprover

import (
	"context"
	"fmt"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
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
const Name = "host-approver"

// Controller approves and denies requests.
type Controller struct {
	client kubernetes.Interface
	fleet  versioned.Interface

	requests certificateslisters.CertificateSigningRequestLister
	synced   cache.InformerSynced
	queue    workqueue.TypedRateLimitingInterface[string]
	clock    clock.PassiveClock
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
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
		client: client, fleet: fleet, clock: clock.RealClock{},
		requests: requests.Lister(), synced: requests.Informer().HasSynced, queue: queue.New[string](Name),
	}
	_, err = requests.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, now any) { c.enqueue(now) },
	})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if request, ok := obj.(*certificatesv1.CertificateSigningRequest); ok && (isJoin(request) || isRenewal(request)) {
		c.queue.Add(request.Name)
	}
}

// Run runs the controller until the context ends. One worker decides on one request at a time: two requests
// for one new name are not approved together.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	if cache.WaitForCacheSync(ctx.Done(), c.synced) {
		queue.Run(ctx, c.queue, 1, c.sync)
	}
}

// sync decides on a request.
func (c *Controller) sync(ctx context.Context, name string) error {
	cached, err := c.requests.Get(name)
	if err != nil || !isJoin(cached) && !isRenewal(cached) {
		return queue.IgnoreNotFound(err)
	}
	request, check := cached.DeepCopy(), c.check
	if isRenewal(cached) {
		check = c.checkRenewal
	}
	denial, err := check(ctx, request)
	if err != nil {
		return err
	}
	request.Status.Conditions = append(request.Status.Conditions, condition(denial, isRenewal(cached), metav1.NewTime(c.clock.Now())))
	_, err = c.client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, name, request, metav1.UpdateOptions{})
	if err == nil {
		klog.FromContext(ctx).Info("Decided on the certificate of a host", "request", name, "requestor", request.Spec.Username, "denial", denial)
	}
	return queue.Retry(err)
}

// check reads what exists, not from a cache, and returns the reason of a denial.
func (c *Controller) check(ctx context.Context, request *certificatesv1.CertificateSigningRequest) (string, error) {
	parsed, err := signers.ParseRequest(request.Spec.Request)
	if err != nil {
		return err.Error(), nil
	}
	var e existing
	if signers.IsHost(parsed) {
		host := hostName(parsed)
		if e.host, err = c.fleet.FleetV1alpha1().Hosts().Get(ctx, host, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			e.host = nil
		} else if err != nil {
			return "", err
		}
		if e.lease, err = c.fleet.FleetV1alpha1().HostLeases().Get(ctx, host, metav1.GetOptions{}); apierrors.IsNotFound(err) {
			e.lease = nil
		} else if err != nil {
			return "", err
		}
		if denial, err := c.pending(host, request); denial != "" || err != nil {
			return denial, err
		}
	}
	return decide(request, parsed, e, c.clock.Now()), nil
}

// checkRenewal reads the revocations, not from a cache, and returns the reason of a denial.
func (c *Controller) checkRenewal(ctx context.Context, request *certificatesv1.CertificateSigningRequest) (string, error) {
	parsed, err := signers.ParseRequest(request.Spec.Request)
	if err != nil {
		return err.Error(), nil
	}
	revocations, err := c.client.CoreV1().ConfigMaps(signers.RevocationNamespace).Get(ctx, signers.RevocationConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		revocations = &corev1.ConfigMap{}
	} else if err != nil {
		return "", err
	}
	return decideRenewal(request, parsed, signers.RevokedUntil(revocations.Data)), nil
}

// pending denies a request for a name that another requester has just got: its host has not registered
// yet. The requests of the last hour are kept.
func (c *Controller) pending(host string, request *certificatesv1.CertificateSigningRequest) (string, error) {
	all, err := c.requests.List(labels.Everything())
	if err != nil {
		return "", err
	}
	for _, other := range all {
		parsed, err := signers.ParseRequest(other.Spec.Request)
		if other.UID == request.UID || err != nil || !signers.IsHost(parsed) || hostName(parsed) != host || other.Spec.Username == request.Spec.Username {
			continue
		}
		for _, c := range other.Status.Conditions {
			if c.Type == certificatesv1.CertificateApproved && c.Reason == reasonApproved && tokenName(request.Spec.Groups) == "" {
				return fmt.Sprintf("host %q joins already, by request %s: join with another name", host, other.Name), nil
			}
		}
	}
	return "", nil
}
