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

package authorization

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// cluster responds to SubjectAccessReviews and records them. It uses HTTP, because the library
// sends requests that client-go's fakes do not support.
type cluster struct {
	client kubernetes.Interface
	asked  []authorizationv1.SubjectAccessReviewSpec
}

// newCluster serves reviews with the result of the function; without one it fails.
func newCluster(t *testing.T, answer func(authorizationv1.SubjectAccessReviewSpec) *authorizationv1.SubjectAccessReviewStatus) *cluster {
	t.Helper()
	c := &cluster{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Error(err)
		}
		c.asked = append(c.asked, review.Spec)
		status := answer(review.Spec)
		if status == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		review.Status = *status
		w.Header().Set("Content-Type", runtime.ContentTypeJSON)
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(&review); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	var err error
	c.client, err = kubernetes.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// allowAll allows everything, and silent always fails.
func allowAll(authorizationv1.SubjectAccessReviewSpec) *authorizationv1.SubjectAccessReviewStatus {
	return &authorizationv1.SubjectAccessReviewStatus{Allowed: true}
}

func silent(authorizationv1.SubjectAccessReviewSpec) *authorizationv1.SubjectAccessReviewStatus {
	return nil
}

// nothingBound is a lookup without bound instances.
type nothingBound struct{}

func (nothingBound) Bound(context.Context, string, string, string) (bool, error) { return false, nil }

func (c *cluster) authorizer(t *testing.T) authorizer.Authorizer {
	t.Helper()
	a, err := NewDelegated(Delegated{
		Client:         c.client.AuthorizationV1(),
		BoundInstances: nothingBound{},
		AllowCacheTTL:  time.Minute,
		DenyCacheTTL:   time.Minute,
		Retry:          wait.Backoff{Duration: time.Millisecond, Steps: 2},
		HealthPaths:    []string{"/healthz", "/livez", "/readyz"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestDelegatedCreatesNoReviewForAdministratorsAndHealth(t *testing.T) {
	c := newCluster(t, silent)
	a := c.authorizer(t)
	for _, row := range healthRows() {
		t.Run(row.name, func(t *testing.T) { row.check(t, a) })
	}
	if len(c.asked) > 0 {
		t.Errorf("the cluster got the reviews %+v", c.asked)
	}
}

func TestDelegatedFollowsTheCluster(t *testing.T) {
	c := newCluster(t, func(spec authorizationv1.SubjectAccessReviewSpec) *authorizationv1.SubjectAccessReviewStatus {
		return &authorizationv1.SubjectAccessReviewStatus{Allowed: spec.User == "allowed", Denied: spec.User == "denied"}
	})
	a := c.authorizer(t)
	for _, row := range []may{
		{"what the cluster allows is allowed", &user.DefaultInfo{Name: "allowed"}, hosts("get"), authorizer.DecisionAllow},
		{"what the cluster does not allow is not", &user.DefaultInfo{Name: "unknown"}, hosts("get"), authorizer.DecisionNoOpinion},
		{"what the cluster denies is denied", &user.DefaultInfo{Name: "denied"}, hosts("get"), authorizer.DecisionDeny},
		{"paths are reviewed, too", &user.DefaultInfo{Name: "allowed"}, urlPath("get", "/metrics"), authorizer.DecisionAllow},
		{"anonymous users are reviewed, too", anonymous, urlPath("get", "/metrics"), authorizer.DecisionNoOpinion},
	} {
		t.Run(row.name, func(t *testing.T) { row.check(t, a) })
	}
}

func TestAReviewHasAllAttributes(t *testing.T) {
	c := newCluster(t, allowAll)
	a := c.authorizer(t)
	selector, err := labels.ParseToRequirements("zone=a")
	if err != nil {
		t.Fatal(err)
	}
	may{user: &user.DefaultInfo{Name: "agent", UID: "1", Groups: []string{"hosts"}, Extra: map[string][]string{"k": {"v"}}}, want: authorizer.DecisionAllow, attributes: authorizer.AttributesRecord{
		Verb: "watch", APIGroup: "fleet.gatehouse.dev", APIVersion: "v1alpha1", Resource: "instances", Subresource: "status", Namespace: "default", ResourceRequest: true,
		FieldSelectorRequirements: fields.OneTermEqualSelector("spec.hostName", "edge-1").Requirements(),
		LabelSelectorRequirements: selector,
	}}.check(t, a)

	if len(c.asked) != 1 || c.asked[0].ResourceAttributes == nil {
		t.Fatalf("the cluster got the reviews %+v", c.asked)
	}
	asked := c.asked[0]
	if asked.User != "agent" || asked.UID != "1" || !slices.Equal(asked.Groups, []string{"hosts"}) || !slices.Equal(asked.Extra["k"], []string{"v"}) {
		t.Errorf("reviewed %+v", asked)
	}
	about := asked.ResourceAttributes
	if about.Verb != "watch" || about.Group != "fleet.gatehouse.dev" || about.Resource != "instances" || about.Subresource != "status" || about.Namespace != "default" {
		t.Errorf("reviewed %+v", about)
	}
	if about.FieldSelector == nil || len(about.FieldSelector.Requirements) != 1 || about.FieldSelector.Requirements[0].Key != "spec.hostName" {
		t.Errorf("the field selector is missing: %+v", about.FieldSelector)
	}
	if about.LabelSelector == nil || len(about.LabelSelector.Requirements) != 1 || about.LabelSelector.Requirements[0].Key != "zone" {
		t.Errorf("the label selector is missing: %+v", about.LabelSelector)
	}
}

func TestDelegatedCachesReviews(t *testing.T) {
	c := newCluster(t, allowAll)
	a := c.authorizer(t)
	for range 3 {
		may{user: guest, attributes: hosts("get"), want: authorizer.DecisionAllow}.check(t, a)
	}
	if len(c.asked) != 1 {
		t.Errorf("the cluster got %d reviews", len(c.asked))
	}
}

func TestDelegatedDeniesWhileTheClusterDoesNotAnswer(t *testing.T) {
	c := newCluster(t, silent)
	a := c.authorizer(t)
	attributes := hosts("get")
	attributes.User = guest
	decision, _, err := a.Authorize(t.Context(), attributes)
	if err == nil || decision == authorizer.DecisionAllow {
		t.Errorf("decided %v (%v)", decision, err)
	}
	may{user: admin, attributes: hosts("get"), want: authorizer.DecisionAllow}.check(t, a)
}

func TestDelegatedCreatesNoReviewForHosts(t *testing.T) {
	c := newCluster(t, allowAll)
	a := c.authorizer(t)
	edge := &user.DefaultInfo{Name: "system:host:edge-1", Groups: []string{"system:hosts", "system:authenticated"}}
	other := hosts("get")
	other.Name = "edge-2"
	for _, row := range []may{
		{"a host reads its Host", edge, hosts("get"), authorizer.DecisionAllow},
		{"a role that opens everything opens no other Host", edge, other, authorizer.DecisionDeny},
		{"nor secrets", edge, authorizer.AttributesRecord{Verb: "get", Resource: "secrets", Namespace: "default", Name: "x", ResourceRequest: true}, authorizer.DecisionDeny},
		{"nor metrics", edge, urlPath("get", "/metrics"), authorizer.DecisionDeny},
		{"a member of the group that is no host is denied", &user.DefaultInfo{Name: "jane", Groups: []string{"system:hosts"}}, hosts("get"), authorizer.DecisionDeny},
		{"an administrator stays one", &user.DefaultInfo{Name: "jane", Groups: []string{"system:hosts", "system:masters"}}, hosts("delete"), authorizer.DecisionAllow},
	} {
		t.Run(row.name, func(t *testing.T) { row.check(t, a) })
	}
	if len(c.asked) > 0 {
		t.Errorf("the cluster got the reviews %+v", c.asked)
	}
}
