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

// Package certificatecleaner deletes old CertificateSigningRequests: machines create them, and nothing
// else deletes them. The ages are those of Kubernetes. Read Outdated.
//
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. pkg/controller/manager
// runs it in standalone mode; a cluster has its own.
package certificatecleaner

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"k8s.io/client-go/kubernetes"
	certificateslisters "k8s.io/client-go/listers/certificates/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/queue"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "certificate-request-cleaner"

const (
	// period is the time between passes over all requests.
	period = time.Hour
	// decided is the age at which an issued, denied or failed request is deleted.
	decided = time.Hour
	// undecided is the age at which a request without a decision, or without a certificate after its
	// approval, is deleted.
	undecided = 24 * time.Hour
)

// Controller deletes old requests.
type Controller struct {
	client   kubernetes.Interface
	requests certificateslisters.CertificateSigningRequestLister
	synced   cache.InformerSynced
	clock    clock.WithTicker
}

// New returns a controller that writes with the configuration and watches with shared informers.
// The caller runs these, after this call.
func New(config *rest.Config, shared *informers.Shared) (*Controller, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	requests := shared.CertificateSigningRequests()
	return &Controller{client, requests.Lister(), requests.Informer().HasSynced, clock.RealClock{}}, nil
}

// Run runs the controller until the context ends.
func (c *Controller) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName(Name))
	if !cache.WaitForCacheSync(ctx.Done(), c.synced) {
		return
	}
	ticker := c.clock.NewTicker(period)
	defer ticker.Stop()
	for {
		c.clean(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
	}
}

func (c *Controller) clean(ctx context.Context) {
	logger := klog.FromContext(ctx)
	requests, err := c.requests.List(labels.Everything())
	if err != nil {
		logger.Error(err, "Listing certificate signing requests failed")
		return
	}
	for _, request := range requests {
		reason := Outdated(request, c.clock.Now())
		if reason == "" || ctx.Err() != nil {
			continue
		}
		logger.V(2).Info("Deleting a certificate signing request", "request", request.Name, "reason", reason)
		err := c.client.CertificatesV1().CertificateSigningRequests().Delete(ctx, request.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(request.UID))})
		if err = queue.IgnoreOutdated(err); err != nil && ctx.Err() == nil {
			logger.Error(err, "Deleting a certificate signing request failed, retrying later", "request", request.Name)
		}
	}
}

// Outdated returns the reason to delete a request at a time, empty to keep it.
func Outdated(request *certificatesv1.CertificateSigningRequest, now time.Time) string {
	older := func(than metav1.Time, age time.Duration) bool { return !than.IsZero() && now.Sub(than.Time) > age }
	issued, final := len(request.Status.Certificate) > 0, false
	for _, condition := range request.Status.Conditions {
		switch condition.Type {
		case certificatesv1.CertificateApproved:
			final = true
			switch {
			case issued && older(condition.LastUpdateTime, decided):
				return "it was approved more than an hour ago, and is issued"
			case issued && expired(request.Status.Certificate, now):
				return "its certificate has expired"
			case !issued && older(condition.LastUpdateTime, undecided):
				return "it was approved more than a day ago, and is not issued"
			}
		case certificatesv1.CertificateDenied, certificatesv1.CertificateFailed:
			final = true
			if older(condition.LastUpdateTime, decided) {
				return "it was denied, or failed, more than an hour ago"
			}
		}
	}
	if !final && older(request.CreationTimestamp, undecided) {
		return "it was created more than a day ago, and is not decided"
	}
	return ""
}

// expired reports whether the first certificate has expired.
func expired(data []byte, now time.Time) bool {
	block, _ := pem.Decode(data)
	if block == nil {
		return false
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	return err == nil && now.After(certificate.NotAfter)
}
