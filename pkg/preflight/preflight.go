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

package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
)

// Need is something that the server must be able to do in the cluster.
type Need struct {
	// Name tells needs apart; it is a health check's name, so it has no spaces.
	Name string
	// Verbs on Resource, all of which are needed. A subresource is named as discovery names
	// it, such as resourcequotas/status.
	Verbs    []string
	Resource schema.GroupVersionResource
	// Namespace and Object limit the need; empty for all.
	Namespace, Object string
	// Without says what does not work where this is missing.
	Without string
	// Cure says what an administrator of the cluster does about it.
	Cure string
	// Newer needs are met where the cluster does not serve the resource: who has them does
	// without, having asked Serves.
	Newer bool
	// Vital needs keep the server from being ready: without them it can answer nobody.
	Vital bool
}

// interval is how often needs are probed again while the server runs.
const interval = 3 * time.Second

// probeTimeout bounds one probe, so that a silent cluster is noticed and nothing hangs.
const probeTimeout = 5 * time.Second

// Checker probes needs.
type Checker struct {
	client kubernetes.Interface
	needs  []Need

	mu      sync.Mutex
	missing map[string]error
}

// NewChecker probes the needs with the client, which must be the server's own.
func NewChecker(client kubernetes.Interface, needs []Need) *Checker {
	c := &Checker{client: client, needs: needs, missing: map[string]error{}}
	for _, need := range needs {
		c.missing[need.Name] = fmt.Errorf("has not been probed yet")
	}
	return c
}

// Check probes every need once and logs what has changed.
func (c *Checker) Check(ctx context.Context) {
	for _, need := range c.needs {
		err := c.probe(ctx, need)
		if ctx.Err() != nil {
			// The server stops. That says nothing about the cluster.
			return
		}
		c.mu.Lock()
		before := c.missing[need.Name]
		c.missing[need.Name] = err
		c.mu.Unlock()
		switch {
		case err != nil && (before == nil || before.Error() != err.Error()):
			klog.ErrorS(err, "Something is missing in the cluster", "need", need.Name)
		case err == nil && before != nil:
			klog.V(1).InfoS("The cluster provides what is needed", "need", need.Name)
		}
	}
}

// Run probes until the context ends.
func (c *Checker) Run(ctx context.Context) {
	wait.UntilWithContext(ctx, c.Check, interval)
}

// Missing returns why a need is not met, in one sentence; nil where it is.
func (c *Checker) Missing(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing[name]
}

// probe asks discovery whether the resource is served, then whether each verb is allowed.
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
			return c.sentence(need, need.Verbs, fmt.Sprintf("the cluster does not say what this server may (create selfsubjectaccessreviews.authorization.k8s.io: %v)", err))
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

// Serves asks whether the cluster serves the resource, for those who do without it where it
// does not.
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

// HealthChecks returns a check for /readyz for each vital need. The others never fail a
// check: a server that can still answer reads must not be taken out of service, or its
// whole API group would be missing in the cluster.
func (c *Checker) HealthChecks() []healthz.HealthChecker {
	var checks []healthz.HealthChecker
	for _, need := range c.needs {
		if need.Vital {
			checks = append(checks, healthz.NamedCheck("cluster-"+need.Name, func(*http.Request) error { return c.Missing(need.Name) }))
		}
	}
	return checks
}

// errWithheld stands for a reason.
var errWithheld = errors.New("reason withheld; the log says it, and so does this page to callers that may get " + NotesPath)

// NotesPath is the path that a caller must be allowed to get in order to read the notes of
// WithNotes. Nothing is served there; the path lies where roles for monitoring, such as
// system:monitoring of Kubernetes, grant /readyz/*.
const NotesPath = "/readyz/cluster"

// WithNotes lets /readyz?verbose say behind the checks what is missing and, to callers that
// may read it, why and what does not work because of it: the reasons name addresses of the
// cluster and the server's missing rights, and /readyz itself is open to callers without
// credentials. The library withholds the reason of a failed check from all.
func (c *Checker) WithNotes(handler http.Handler, may func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r)
		if _, verbose := r.URL.Query()["verbose"]; r.URL.Path != "/readyz" || !verbose {
			return
		}
		told := may(r)
		for _, need := range c.needs {
			err := c.Missing(need.Name)
			if err != nil && !told {
				err = errWithheld
			}
			if err != nil {
				_, _ = fmt.Fprintf(w, "[!]%s: %v\n", need.Name, err)
			}
		}
	})
}
