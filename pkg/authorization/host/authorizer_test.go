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

package host

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// bound maps namespace/name of instances to their hosts.
type bound map[string]string

func (b bound) Bound(_ context.Context, namespace, name, host string) (bool, error) {
	if b["silent"] != "" {
		return false, errors.New("the server does not answer")
	}
	return b[namespace+"/"+name] == host, nil
}

func newHosts(t *testing.T, bound BoundInstances) authorizer.Authorizer {
	t.Helper()
	a, err := New(bound, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

var instancesOfTests = bound{"default/mine": "edge-1", "default/theirs": "edge-2", "default/unbound": ""}

func edge(name string, groups ...string) user.Info {
	return &user.DefaultInfo{Name: name, Groups: append(groups, "system:authenticated")}
}

// attributesOf parses a request as the server does.
func attributesOf(t *testing.T, method, url string, u user.Info) authorizer.Attributes {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
	resolver := &request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := resolver.NewRequestInfo(r)
	if err != nil {
		t.Fatal(err)
	}
	a, err := filters.GetAuthorizerAttributes(request.WithUser(request.WithRequestInfo(r.Context(), info), u))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const (
	fleetPath    = "/apis/fleet.gatehouse.dev/v1alpha1"
	requestsPath = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
	inDefault    = fleetPath + "/namespaces/default"
	exact        = "?fieldSelector=spec.hostName%3Dedge-1"
)

func TestAHostMayDoThisAndNothingElse(t *testing.T) {
	const allow, deny = authorizer.DecisionAllow, authorizer.DecisionDeny
	for _, tc := range []struct {
		name, method, url string
		want              authorizer.Decision
	}{
		{"it creates a Host; admission checks the name", "POST", fleetPath + "/hosts", allow},
		{"it reads its Host", "GET", fleetPath + "/hosts/edge-1", allow},
		{"it updates its Host", "PUT", fleetPath + "/hosts/edge-1", allow},
		{"it patches its Host", "PATCH", fleetPath + "/hosts/edge-1", allow},
		{"it updates the status of its Host", "PUT", fleetPath + "/hosts/edge-1/status", allow},
		{"it patches the status of its Host", "PATCH", fleetPath + "/hosts/edge-1/status", allow},
		{"it does not delete its Host", "DELETE", fleetPath + "/hosts/edge-1", deny},
		{"it reads no other Host", "GET", fleetPath + "/hosts/edge-2", deny},
		{"it updates no other Host", "PUT", fleetPath + "/hosts/edge-2", deny},
		{"it does not write the status of another Host", "PATCH", fleetPath + "/hosts/edge-2/status", deny},
		{"it does not list hosts", "GET", fleetPath + "/hosts", deny},
		{"it does not list hosts by its own name", "GET", fleetPath + "/hosts?fieldSelector=metadata.name%3Dedge-1", deny},
		{"it does not watch hosts", "GET", fleetPath + "/hosts?watch=true", deny},
		{"it does not watch its Host by the deprecated path", "GET", fleetPath + "/watch/hosts/edge-1", deny},
		{"it does not delete all hosts", "DELETE", fleetPath + "/hosts", deny},
		{"it does not create a status", "POST", fleetPath + "/hosts/edge-1/status", deny},
		{"it does not create at the URL of another Host", "POST", fleetPath + "/hosts/edge-2", deny},
		{"another subresource of its Host is not open", "GET", fleetPath + "/hosts/edge-1/proxy", deny},
		{"a path below a subresource is the subresource", "GET", fleetPath + "/hosts/edge-1/proxy/status", deny},
		{"a Host in a namespace does not exist, and its name must fit all the same", "GET", inDefault + "/hosts/edge-2", deny},

		{"it creates a HostLease; admission checks the name", "POST", fleetPath + "/hostleases", allow},
		{"it reads its HostLease", "GET", fleetPath + "/hostleases/edge-1", allow},
		{"it updates its HostLease", "PUT", fleetPath + "/hostleases/edge-1", allow},
		{"it patches its HostLease", "PATCH", fleetPath + "/hostleases/edge-1", allow},
		{"it renews no other HostLease", "PUT", fleetPath + "/hostleases/edge-2", deny},
		{"it does not delete its HostLease", "DELETE", fleetPath + "/hostleases/edge-1", deny},
		{"it does not list leases", "GET", fleetPath + "/hostleases", deny},
		{"a HostLease has no status", "PATCH", fleetPath + "/hostleases/edge-1/status", deny},

		{"it lists its instances everywhere", "GET", fleetPath + "/instances" + exact, allow},
		{"it watches its instances everywhere", "GET", fleetPath + "/instances" + exact + "&watch=true", allow},
		{"it lists its instances in one namespace", "GET", inDefault + "/instances" + exact, allow},
		{"it watches its instances in one namespace", "GET", inDefault + "/instances" + exact + "&watch=1", allow},
		{"it writes the equals sign twice", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3D%3Dedge-1", allow},
		{"it narrows its instances down by labels", "GET", fleetPath + "/instances" + exact + "&labelSelector=app%3Dweb", allow},
		{"it reads from a cache", "GET", fleetPath + "/instances" + exact + "&resourceVersion=0", allow},
		{"it lists all instances", "GET", fleetPath + "/instances", deny},
		{"it watches all instances", "GET", fleetPath + "/instances?watch=true", deny},
		{"it watches the instances of another host", "GET", fleetPath + "/instances?watch=true&fieldSelector=spec.hostName%3Dedge-2", deny},
		{"it lists what is not bound", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3D", deny},
		{"it lists what is not its own", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%21%3Dedge-1", deny},
		{"it lists what is not of another host", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%21%3Dedge-2", deny},
		{"field selectors have no sets", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%20in%20(edge-1,edge-2)", deny},
		{"it names itself twice", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3Dedge-1,spec.hostName%3Dedge-1", deny},
		{"it names itself and another", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3Dedge-1,spec.hostName%3Dedge-2", deny},
		{"it adds another field", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3Dedge-1,status.phase%3DRunning", deny},
		{"it adds the name of an instance", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3Dedge-1,metadata.name%3Dtheirs", deny},
		{"it names an instance instead", "GET", fleetPath + "/instances?fieldSelector=metadata.name%3Dtheirs", deny},
		{"its name is a part of a value", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3Dedge-1%5C%2Cx", deny},
		{"it writes the field otherwise", "GET", fleetPath + "/instances?fieldSelector=spec.hostname%3Dedge-1", deny},
		{"it writes its name otherwise", "GET", fleetPath + "/instances?fieldSelector=spec.hostName%3DEdge-1", deny},
		{"of two parameters the first counts, as in the storage", "GET", fleetPath + "/instances?fieldSelector=&fieldSelector=spec.hostName%3Dedge-1", deny},
		{"a selector by labels only", "GET", fleetPath + "/instances?labelSelector=spec.hostName%3Dedge-1", deny},
		{"a selector that cannot be parsed", "GET", fleetPath + "/instances?fieldSelector=spec.hostName", deny},
		{"a resource version is no selector", "GET", fleetPath + "/instances?watch=true&resourceVersion=0", deny},
		{"a field selector of an exact version is no selector by host", "GET", fleetPath + "/instances?resourceVersion=5&resourceVersionMatch=Exact", deny},
		{"options that cannot be decoded do not hide a watch", "GET", fleetPath + "/instances?watch=maybe&timeoutSeconds=x", deny},
		{"the deprecated path of watches takes selectors less seriously", "GET", fleetPath + "/watch/instances" + exact, deny},
		{"the deprecated path of one object ignores the host", "GET", fleetPath + "/watch/namespaces/default/instances/theirs" + exact, deny},
		{"it deletes all of its instances at once", "DELETE", inDefault + "/instances" + exact, deny},
		{"it deletes all instances at once", "DELETE", inDefault + "/instances", deny},
		{"it creates an instance", "POST", inDefault + "/instances", deny},

		{"it reads an instance bound to it", "GET", inDefault + "/instances/mine", allow},
		{"it sends HEAD for an instance bound to it", "HEAD", inDefault + "/instances/mine", allow},
		{"it reads the status of an instance bound to it", "GET", inDefault + "/instances/mine/status", allow},
		{"it updates the status of an instance bound to it", "PUT", inDefault + "/instances/mine/status", allow},
		{"it patches the status of an instance bound to it", "PATCH", inDefault + "/instances/mine/status", allow},
		{"it deletes an instance bound to it", "DELETE", inDefault + "/instances/mine", allow},
		{"it creates a token of an instance bound to it", "POST", inDefault + "/instances/mine/token", allow},
		{"it does not update an instance bound to it", "PUT", inDefault + "/instances/mine", deny},
		{"it does not patch an instance bound to it", "PATCH", inDefault + "/instances/mine", deny},
		{"it binds nothing", "POST", inDefault + "/instances/unbound/binding", deny},
		{"it does not bind its own to another", "POST", inDefault + "/instances/mine/binding", deny},
		{"it does not reach into an instance", "POST", inDefault + "/instances/mine/exec", deny},
		{"it does not reach into an instance by a proxy", "GET", inDefault + "/instances/mine/proxy", deny},
		{"it does not delete a status", "DELETE", inDefault + "/instances/mine/status", deny},
		{"it reads the configuration of an instance bound to it", "GET", inDefault + "/instances/mine/configuration", allow},
		{"it reads no configuration of another host's instance", "GET", inDefault + "/instances/theirs/configuration", deny},
		{"it reads no configuration of an unbound instance", "GET", inDefault + "/instances/unbound/configuration", deny},
		{"it writes no configuration", "PUT", inDefault + "/instances/mine/configuration", deny},
		{"it does not read tokens", "GET", inDefault + "/instances/mine/token", deny},
		{"it reads no instance of another host", "GET", inDefault + "/instances/theirs", deny},
		{"a watch parameter does not make a get another question", "GET", inDefault + "/instances/theirs?watch=true&fieldSelector=spec.hostName%3Dedge-1", deny},
		{"it does not write the status of another host's instance", "PATCH", inDefault + "/instances/theirs/status", deny},
		{"it deletes no instance of another host", "DELETE", inDefault + "/instances/theirs", deny},
		{"it creates no token of another host's instance", "POST", inDefault + "/instances/theirs/token", deny},
		{"it reads no instance that is not bound", "GET", inDefault + "/instances/unbound", deny},
		{"it reads no instance that does not exist", "GET", inDefault + "/instances/gone", deny},
		{"an instance of that name in another namespace is another", "GET", fleetPath + "/namespaces/other/instances/mine", deny},
		{"an instance without a namespace is denied", "GET", fleetPath + "/instances/mine", deny},

		{"it creates core events", "POST", "/api/v1/namespaces/default/events", allow},
		{"it creates events", "POST", "/apis/events.k8s.io/v1/namespaces/default/events", allow},
		{"it reads no events", "GET", "/api/v1/namespaces/default/events", deny},
		{"it changes no events", "PATCH", "/api/v1/namespaces/default/events/x", deny},
		{"it deletes no events", "DELETE", "/api/v1/namespaces/default/events", deny},
		{"events of our own group do not exist", "POST", inDefault + "/events", deny},

		{"it requests a certificate; admission checks the name", "POST", requestsPath, allow},
		{"it reads a request of its own", "GET", requestsPath + "/system:host:edge-1:serving", allow},
		{"it lists a request of its own by name", "GET", requestsPath + "?fieldSelector=metadata.name%3Dsystem:host:edge-1:serving", allow},
		{"it watches a request of its own by name", "GET", requestsPath + "?watch=true&fieldSelector=metadata.name%3Dsystem:host:edge-1:serving", allow},
		{"it reads no request of another host", "GET", requestsPath + "/system:host:edge-2:serving", deny},
		{"it reads no request of a host whose name only begins like its own", "GET", requestsPath + "/system:host:edge-10:serving", deny},
		{"it reads no request with another name", "GET", requestsPath + "/jane", deny},
		{"it does not list requests", "GET", requestsPath, deny},
		{"it does not list requests of a signer", "GET", requestsPath + "?fieldSelector=spec.signerName%3Dgatehouse.dev/host-serving", deny},
		{"it does not list requests but its own", "GET", requestsPath + "?fieldSelector=metadata.name%21%3Dsystem:host:edge-1:serving", deny},
		{"it does not update a request of its own", "PUT", requestsPath + "/system:host:edge-1:serving", deny},
		{"it does not delete a request of its own", "DELETE", requestsPath + "/system:host:edge-1:serving", deny},
		{"it approves nothing", "PUT", requestsPath + "/system:host:edge-1:serving/approval", deny},
		{"it signs nothing", "PUT", requestsPath + "/system:host:edge-1:serving/status", deny},
		{"it reads no approval", "GET", requestsPath + "/system:host:edge-1:serving/approval", deny},

		{"it reviews itself", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", allow},
		{"it reviews its rights", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", allow},
		{"it lists its rights", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", allow},
		{"it does not create reviews of others", "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", deny},
		{"it does not review other users", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", deny},

		{"it lists request traces, of which the storage returns its own", "GET", "/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces", allow},
		{"it gets a request trace", "GET", "/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces/x", allow},
		{"it reviews no requests", "POST", "/apis/diagnostics.gatehouse.dev/v1alpha1/requestreviews", deny},
		{"it deletes no request trace", "DELETE", "/apis/diagnostics.gatehouse.dev/v1alpha1/requesttraces/x", deny},
		{"it watches watch sessions, of which the storage returns its own", "GET", "/apis/diagnostics.gatehouse.dev/v1alpha1/watchsessions?watch=1", allow},
		{"it deletes no watch session", "DELETE", "/apis/diagnostics.gatehouse.dev/v1alpha1/watchsessions/x", deny},

		{"it reads no secret", "GET", "/api/v1/namespaces/default/secrets/x", deny},
		{"it lists no secrets", "GET", "/api/v1/secrets", deny},
		{"it reads no config maps", "GET", "/api/v1/namespaces/default/configmaps/x", deny},
		{"it reads no namespaces", "GET", "/api/v1/namespaces/default", deny},
		{"it creates no token of a service account", "POST", "/api/v1/namespaces/default/serviceaccounts/default/token", deny},
		{"it grants itself nothing", "POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", deny},
		{"hosts of another group are others", "GET", "/apis/example.com/v1/hosts/edge-1", deny},
		{"hosts of the core group are others", "GET", "/api/v1/hosts/edge-1", deny},
		{"a name of the group that only begins like ours", "GET", "/apis/fleet.gatehouse.dev.example.com/v1alpha1/hosts/edge-1", deny},
		{"an unknown method", "BREW", fleetPath + "/hosts/edge-1", deny},
		{"a proxy verb in the path", "GET", fleetPath + "/proxy/hosts/edge-1", deny},

		{"it discovers groups", "GET", "/apis", allow},
		{"it discovers the core group", "GET", "/api", allow},
		{"it discovers resources", "GET", fleetPath, allow},
		{"it reads OpenAPI", "GET", "/openapi/v3/apis/fleet.gatehouse.dev/v1alpha1", allow},
		{"it reads the version", "GET", "/version", allow},
		{"it reads the readiness of the server", "GET", "/readyz", allow},
		{"it reads no single check", "GET", "/readyz/etcd", deny},
		{"it reads no metrics", "GET", "/metrics", deny},
		{"it reads no profiles", "GET", "/debug/pprof/heap", deny},
		{"it changes no log level", "PUT", "/debug/flags/v", deny},
		{"it posts to no path", "POST", "/apis", deny},
		{"what only begins like a path is another", "GET", "/apisx", deny},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := attributesOf(t, tc.method, tc.url, edge("system:host:edge-1", v1alpha1.HostsGroup))
			got, reason, err := newHosts(t, instancesOfTests).Authorize(t.Context(), a)
			if err != nil || got != tc.want {
				t.Fatalf("decided %v (%s, %v), want %v", got, reason, err, tc.want)
			}
			if !strings.Contains(reason, `"edge-1"`) {
				t.Errorf("the reason does not name the host: %s", reason)
			}
		})
	}
}

func TestWildcardsInARequestAreNoNames(t *testing.T) {
	for _, a := range []authorizer.AttributesRecord{
		{Verb: "*", APIGroup: "*", Resource: "*"},
		{Verb: "*", APIGroup: "fleet.gatehouse.dev", Resource: "hosts", Name: "edge-1"},
		{Verb: "get", APIGroup: "fleet.gatehouse.dev", Resource: "*", Name: "edge-1"},
		{Verb: "get", APIGroup: "fleet.gatehouse.dev", Resource: "hosts", Name: "*"},
		{Verb: "get", APIGroup: "fleet.gatehouse.dev", Resource: "hosts", Subresource: "*", Name: "edge-1"},
		{Verb: "get", APIGroup: "fleet.gatehouse.dev", Resource: "instances", Namespace: "*", Name: "*"},
		{Verb: "impersonate", Resource: "users", Name: "system:host:edge-2"},
		{Verb: "impersonate", Resource: "groups", Name: "system:masters"},
		{Verb: "approve", APIGroup: "certificates.k8s.io", Resource: "signers", Name: "gatehouse.dev/host-serving"},
		{Verb: "sign", APIGroup: "certificates.k8s.io", Resource: "signers", Name: "gatehouse.dev/host-serving"},
		{Verb: "escalate", APIGroup: "rbac.authorization.k8s.io", Resource: "clusterroles"},
		{},
	} {
		a.User, a.ResourceRequest = edge("system:host:edge-1", v1alpha1.HostsGroup), true
		if got, reason, err := newHosts(t, instancesOfTests).Authorize(t.Context(), a); err != nil || got != authorizer.DecisionDeny || reason == "" {
			t.Errorf("%+v: decided %v (%s, %v)", a, got, reason, err)
		}
	}
}

func TestNameOf(t *testing.T) {
	for _, tc := range []struct {
		name string
		user user.Info
		want authorizer.Decision
	}{
		{"a host", edge("system:host:edge-1", v1alpha1.HostsGroup), authorizer.DecisionAllow},
		{"a host in further groups", edge("system:host:edge-1", "admins", v1alpha1.HostsGroup), authorizer.DecisionAllow},
		{"a host of another name", edge("system:host:edge-2", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"a member of the group that is no host", edge("jane", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"a host without a name", edge("system:host:", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"a host with an invalid name", edge("system:host:edge-1,edge-2", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"a node of a cluster in the group", edge("system:node:edge-1", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"a service account in the group", edge("system:serviceaccount:default:edge-1", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"a member of the group without any name", edge("", v1alpha1.HostsGroup), authorizer.DecisionDeny},
		{"the name of a host without the group", edge("system:host:edge-1"), authorizer.DecisionNoOpinion},
		{"a group that only begins like it", edge("system:host:edge-1", v1alpha1.HostsGroup+"2"), authorizer.DecisionNoOpinion},
		{"a user with the name of the group", edge(v1alpha1.HostsGroup), authorizer.DecisionNoOpinion},
		{"another user", edge("jane", "admins"), authorizer.DecisionNoOpinion},
		{"no user", nil, authorizer.DecisionNoOpinion},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := attributesOf(t, http.MethodGet, fleetPath+"/hosts/edge-1", tc.user)
			h := newHosts(t, instancesOfTests)
			got, reason, err := h.Authorize(t.Context(), a)
			if err != nil || got != tc.want {
				t.Errorf("decided %v (%s, %v), want %v", got, reason, err, tc.want)
			}
			aware := h.ConditionsAwareAuthorize(t.Context(), a)
			if aware.IsAllow() != (tc.want == authorizer.DecisionAllow) || aware.IsDeny() != (tc.want == authorizer.DecisionDeny) {
				t.Errorf("the decision with conditions is %v", aware)
			}
		})
	}
}

func TestABindingThatCannotBeLookedUpIsAnError(t *testing.T) {
	h := newHosts(t, bound{"silent": "yes"})
	a := attributesOf(t, http.MethodGet, inDefault+"/instances/mine", edge("system:host:edge-1", v1alpha1.HostsGroup))
	got, _, err := h.Authorize(t.Context(), a)
	if got != authorizer.DecisionDeny || err == nil || !strings.Contains(err.Error(), "default/mine") {
		t.Errorf("decided %v (%v)", got, err)
	}
}

func TestDecisionsHaveNoConditions(t *testing.T) {
	h := newHosts(t, instancesOfTests)
	got, _, err := h.EvaluateConditions(t.Context(), authorizer.ConditionsAwareDecision{}, nil)
	if got != authorizer.DecisionDeny || !errors.Is(err, authorizer.ErrorConditionEvaluationNotSupported) {
		t.Errorf("decided %v (%v)", got, err)
	}
}

func TestWithoutBoundInstancesThereIsNoAuthorizer(t *testing.T) {
	if _, err := New(nil, Options{}); err == nil {
		t.Error("made one")
	}
}
