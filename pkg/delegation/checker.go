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

package delegation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// minInterval is the time between two probes while a need is not met, and the least time
	// between two probes that informers trigger.
	minInterval = 3 * time.Second
	// maxInterval is the time between two probes while all needs are met. A probe of all needs
	// takes some 40 requests.
	maxInterval = time.Minute
	// probeTimeout bounds the probe of one need.
	probeTimeout = 5 * time.Second
)

// Checker probes needs.
type Checker struct {
	client kubernetes.Interface
	needs  []Need
	clock  clock.Clock
	// recheck has an element while a probe is due at once.
	recheck chan struct{}

	mu      sync.Mutex
	missing map[string]error
}

// NewChecker returns a checker that probes the needs with the client, which must have the
// server's own identity. Every need is missing before its first probe.
func NewChecker(client kubernetes.Interface, needs []Need) *Checker {
	c := &Checker{client: client, needs: needs, clock: clock.RealClock{}, recheck: make(chan struct{}, 1), missing: map[string]error{}}
	for _, need := range needs {
		c.missing[need.Name] = errors.New("has not been probed yet")
	}
	return c
}

// Check probes every need once and logs changes.
func (c *Checker) Check(ctx context.Context) {
	for _, need := range c.needs {
		err := c.probe(ctx, need)
		if ctx.Err() != nil {
			// The server stops, so the error is not about the cluster.
			return
		}
		c.mu.Lock()
		before := c.missing[need.Name]
		c.missing[need.Name] = err
		c.mu.Unlock()
		switch {
		case err != nil && (before == nil || before.Error() != err.Error()):
			klog.ErrorS(err, "Permission is missing in the cluster", "need", need.Name)
		case err == nil && before != nil:
			klog.V(1).InfoS("Permission is granted in the cluster", "need", need.Name)
		}
	}
}

// Run probes until the context ends: every minInterval while a need is not met, with a delay that
// doubles up to maxInterval while all are met, and soon after Recheck.
func (c *Checker) Run(ctx context.Context) {
	delay := minInterval
	for {
		last := c.clock.Now()
		timer := c.clock.NewTimer(delay)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C():
		case <-c.recheck:
			timer.Stop()
			if !c.sleep(ctx, minInterval-c.clock.Since(last)) {
				return
			}
		}
		c.Check(ctx)
		if delay = min(2*delay, maxInterval); !c.allMet() {
			delay = minInterval
		}
	}
}

// sleep reports whether it has waited for the whole duration.
func (c *Checker) sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := c.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
		return true
	}
}

// Recheck makes Run probe at once, or minInterval after its last probe. It does not block.
func (c *Checker) Recheck() {
	select {
	case c.recheck <- struct{}{}:
	default:
	}
}

func (c *Checker) allMet() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, err := range c.missing {
		if err != nil {
			return false
		}
	}
	return true
}

// Missing returns one sentence about why a need is not met; nil if it is met.
func (c *Checker) Missing(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing[name]
}

// probe checks by discovery that the resource is served, then by access reviews that each verb is
// allowed.
func (c *Checker) probe(ctx context.Context, need Need) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	served, err := c.served(ctx, need.Resource)
	if err != nil {
		return c.sentence(need, need.Verbs, fmt.Sprintf("the cluster does not answer (%v)", err))
	}
	if !served && need.Newer {
		return nil
	}
	if !served {
		return c.sentence(need, need.Verbs, "the cluster does not serve "+need.Resource.GroupVersion().String())
	}
	resource, subresource, _ := strings.Cut(need.Resource.Resource, "/")
	var refused []string
	for _, verb := range need.Verbs {
		review, err := c.client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Group: need.Resource.Group, Version: need.Resource.Version, Resource: resource, Subresource: subresource,
				Namespace: need.Namespace, Name: need.Object,
			}},
		}, metav1.CreateOptions{})
		if err != nil {
			return c.sentence(need, need.Verbs, fmt.Sprintf("the cluster does not review this server's permissions (create selfsubjectaccessreviews.authorization.k8s.io: %v)", err))
		}
		if !review.Status.Allowed {
			refused = append(refused, verb)
		}
	}
	if len(refused) > 0 {
		return c.sentence(need, refused, "not permitted")
	}
	return nil
}

// Serves reports whether the cluster serves the resource.
func (c *Checker) Serves(ctx context.Context, resource schema.GroupVersionResource) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return c.served(ctx, resource)
}

func (c *Checker) served(ctx context.Context, resource schema.GroupVersionResource) (bool, error) {
	path := "/apis/" + resource.Group + "/" + resource.Version
	if resource.Group == "" {
		path = "/api/" + resource.Version
	}
	var list metav1.APIResourceList
	err := c.client.Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Into(&list)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, r := range list.APIResources {
		if r.Name == resource.Resource {
			return true, nil
		}
	}
	return false, nil
}

func (c *Checker) sentence(need Need, verbs []string, why string) error {
	what := need.Resource.GroupResource().String()
	if need.Object != "" {
		what += " " + need.Object
	}
	if need.Namespace != "" {
		what += " in namespace " + need.Namespace
	}
	return fmt.Errorf("cannot %s %s: %s; without it %s; to cure it, %s", strings.Join(verbs, ", "), what, why, need.Without, need.Cure)
}
