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
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// cluster serves discovery of core/v1 and access reviews.
type cluster struct {
	resources    []string
	allowed      map[string]bool // by verb
	reviewStatus int

	mu      sync.Mutex
	denied  bool // all verbs
	reviews int
}

func (c *cluster) setDenied(denied bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.denied = denied
}

func (c *cluster) reviewed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reviews
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case r.URL.Path == "/api/v1" && c.resources != nil:
		list := metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, GroupVersion: "v1"}
		for _, name := range c.resources {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name})
		}
		_ = json.NewEncoder(w).Encode(list)
	case strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews") && c.reviewStatus == 0:
		var review authorizationv1.SelfSubjectAccessReview
		_ = json.NewDecoder(r.Body).Decode(&review)
		c.mu.Lock()
		c.reviews++
		review.Status.Allowed = c.allowed[review.Spec.ResourceAttributes.Verb] && !c.denied
		c.mu.Unlock()
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
	case c.reviewStatus != 0 && strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		w.WriteHeader(c.reviewStatus)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonForbidden, Code: int32(c.reviewStatus), Message: "no reviews for you"})
	default:
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
	}
}

func checker(t *testing.T, c *cluster, needs ...Need) *Checker {
	t.Helper()
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}})
	if err != nil {
		t.Fatal(err)
	}
	return NewChecker(client, needs)
}

var namespaces = Need{
	Name:     "namespaces",
	Verbs:    []string{"list", "watch"},
	Resource: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"},
	Without:  "nothing can be created",
	Cure:     "ask an administrator",
}

func TestCheckNamesTheMissingPermission(t *testing.T) {
	for _, tc := range []struct {
		name    string
		cluster *cluster
		want    string // empty: nothing is missing
	}{
		{"every verb is allowed", &cluster{resources: []string{"namespaces"}, allowed: map[string]bool{"list": true, "watch": true}}, ""},
		{"one verb is not allowed", &cluster{resources: []string{"namespaces"}, allowed: map[string]bool{"list": true}},
			"cannot watch namespaces: not permitted; without it nothing can be created; to cure it, ask an administrator"},
		{"no verb is allowed", &cluster{resources: []string{"namespaces"}},
			"cannot list, watch namespaces: not permitted; without it nothing can be created; to cure it, ask an administrator"},
		{"the resource is not served", &cluster{resources: []string{"pods"}}, "cannot list, watch namespaces: the cluster does not serve v1"},
		{"the group is not served", &cluster{}, "cannot list, watch namespaces: the cluster does not serve v1"},
		{"access reviews are refused", &cluster{resources: []string{"namespaces"}, reviewStatus: http.StatusForbidden},
			"cannot list, watch namespaces: the cluster does not review this server's permissions (create selfsubjectaccessreviews.authorization.k8s.io: no reviews for you)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := checker(t, tc.cluster, namespaces)
			c.Check(t.Context())
			got := ""
			if err := c.Missing("namespaces"); err != nil {
				got = err.Error()
			}
			if (got == "") != (tc.want == "") || !strings.HasPrefix(got, tc.want) {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestANeedIsMissingBeforeItsFirstProbe(t *testing.T) {
	if checker(t, &cluster{}, namespaces).Missing("namespaces") == nil {
		t.Error("it is reported as met")
	}
}

func TestACanceledCheckKeepsTheLastResult(t *testing.T) {
	c := checker(t, &cluster{resources: []string{"namespaces"}, allowed: map[string]bool{"list": true, "watch": true}}, namespaces)
	c.Check(t.Context())
	ctx, stop := context.WithCancel(t.Context())
	stop()
	c.Check(ctx)
	if err := c.Missing("namespaces"); err != nil {
		t.Errorf("the last result is lost: %v", err)
	}
}

func TestOnlyVitalNeedsFailReadiness(t *testing.T) {
	vital := namespaces
	vital.Name, vital.Vital = "vital", true
	c := checker(t, &cluster{}, namespaces, vital)
	c.Check(t.Context())
	checks := c.HealthChecks()
	if len(checks) != 1 || checks[0].Name() != "cluster-vital" {
		t.Fatalf("got %v", checks)
	}
	if checks[0].Check(nil) == nil {
		t.Error("a vital need that is not met passes")
	}
}

func TestVerboseReadinessListsMissingNeeds(t *testing.T) {
	c := checker(t, &cluster{}, namespaces)
	c.Check(t.Context())
	for _, tc := range []struct {
		name, path string
		may, want  bool
	}{
		{"a caller with the right requests details", "/readyz?verbose", true, true},
		{"a caller without the right requests details", "/readyz?verbose", false, false},
		{"a caller with the right requests no details", "/readyz", true, false},
		{"a caller with the right requests details of another path", "/livez?verbose", true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			handler := c.WithNotes(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("readyz check passed\n")) }),
				func(*http.Request) bool { return tc.may })
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, tc.path, nil))
			if got := strings.Contains(w.Body.String(), "[!]namespaces: cannot list, watch namespaces"); got != tc.want {
				t.Errorf("%s: %s", tc.path, w.Body)
			}
			if withheld := strings.Contains(w.Body.String(), "[!]namespaces: reason withheld"); withheld != (tc.path == "/readyz?verbose" && !tc.may) {
				t.Errorf("%s: %s", tc.path, w.Body)
			}
		})
	}
}

func TestRunBacksOffWhileAllNeedsAreMet(t *testing.T) {
	stub := &cluster{resources: []string{"namespaces"}, allowed: map[string]bool{"list": true, "watch": true}}
	c := checker(t, stub, namespaces)
	fake := clocktesting.NewFakeClock(time.Unix(0, 0))
	c.clock = fake
	c.Check(t.Context())
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	defer func() { stop(); <-done }()

	// waiting returns once Run waits for a timer.
	waiting := func() {
		t.Helper()
		kit.Eventually(t, "Run waits for a timer", func(context.Context) bool { return fake.HasWaiters() })
	}
	// probes reports whether a step of the clock makes Run probe.
	probes := func(step time.Duration) bool {
		t.Helper()
		waiting()
		before := stub.reviewed()
		fake.Step(step)
		waiting()
		return stub.reviewed() > before
	}
	for _, delay := range []time.Duration{3, 6, 12, 24, 48, 60, 60} {
		if probes(delay*time.Second - 1) {
			t.Fatalf("a probe comes earlier than after %d s", delay)
		}
		if !probes(1) {
			t.Fatalf("no probe after %d s", delay)
		}
	}
	// An informer's error is probed at once.
	waiting()
	before := stub.reviewed()
	stub.setDenied(true)
	fake.Step(minInterval)
	c.Recheck()
	waiting()
	kit.Eventually(t, "Recheck has caused a probe", func(context.Context) bool { return stub.reviewed() > before && c.Missing("namespaces") != nil })
	// While the need is not met, every minInterval.
	for range 3 {
		if !probes(minInterval) {
			t.Fatal("no probe after minInterval")
		}
	}
}
