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

package doctor_test

import (
	"cmp"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
)

const (
	fleetService = "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.fleet.gatehouse.dev"
	serviceName  = "gatehouse.gatehouse-system.svc"
)

// object is an object in JSON.
type object = map[string]any

// cluster responds as a kube-apiserver of which nothing is wrong, behind which a server of two replicas is registered. test/e2e
// runs the command against a real one.
type cluster struct {
	*doctor.Aggregated
	// answers are the responses by path: an object, or the code of a failure.
	answers map[string]any
	// refused are rights that the server lacks, as verb and resource.
	refused map[string]bool
	// reviews is the code of access reviews; 0 for those that are reviewed.
	reviews int
	// before is called before each response.
	before func(path string)
	// ahead is how far the clock of kube-apiserver is ahead.
	ahead time.Duration
	clock *clocktesting.FakeClock
	// subjects are the users whose rights were reviewed.
	subjects []string

	ca, caKey []byte
	// lifetime is that of the certificate of the server; 0 for a year.
	lifetime time.Duration
}

func (c *cluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.before != nil {
		c.before(r.URL.Path)
	}
	w.Header().Set("Date", c.clock.Now().Add(c.ahead).UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json")
	if strings.HasPrefix(r.URL.Path, "/apis/authorization.k8s.io/v1/") && c.reviews == 0 {
		var review authorizationv1.SubjectAccessReview // the self form has the same attributes
		_ = json.NewDecoder(r.Body).Decode(&review)
		of := review.Spec.ResourceAttributes
		resource := of.Resource
		if of.Subresource != "" {
			resource += "/" + of.Subresource
		}
		c.subjects = append(c.subjects, review.Spec.User)
		review.Status.Allowed = !c.refused[of.Verb+" "+resource]
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(review)
		return
	}
	answer, found := c.answers[r.URL.Path]
	code := http.StatusOK
	switch failure, is := answer.(int); {
	case is:
		code = failure
	case !found && strings.HasPrefix(r.URL.Path, "/apis/authorization.k8s.io/v1/"):
		code = c.reviews
	case !found:
		code = http.StatusNotFound
	}
	if code != http.StatusOK {
		reasons := map[int]metav1.StatusReason{403: metav1.StatusReasonForbidden, 404: metav1.StatusReasonNotFound, 401: metav1.StatusReasonUnauthorized}
		answer = metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Code: int32(code), Reason: reasons[code], Message: "refused: " + r.URL.Path}
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer)
}

// apiService returns the APIService of a group.
func (c *cluster) apiService(group string) object {
	return object{
		"kind": "APIService", "apiVersion": "apiregistration.k8s.io/v1", "metadata": object{"name": "v1alpha1." + group},
		"spec":   object{"group": group, "version": "v1alpha1", "caBundle": c.ca, "service": object{"namespace": "gatehouse-system", "name": "gatehouse", "port": 443}},
		"status": object{"conditions": []object{{"type": "Available", "status": "True", "reason": "Passed"}}},
	}
}

// change changes a field of the answer at a path, and of the APIService of the fleet for an empty one.
func (c *cluster) change(at string, value any, fields ...string) {
	if at == "" {
		at = fleetService
	}
	o := c.answers[at].(object)
	for _, field := range fields[:len(fields)-1] {
		o = o[field].(object)
	}
	o[fields[len(fields)-1]] = value
}

func endpoint(address, node string, ready bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
}

// endpoints are those of the service.
func (c *cluster) endpoints(endpoints ...discoveryv1.Endpoint) {
	c.answers["/apis/discovery.k8s.io/v1/namespaces/gatehouse-system/endpointslices"] = discoveryv1.EndpointSliceList{Items: []discoveryv1.EndpointSlice{{Endpoints: endpoints}}}
}

// trust sets keys of the ConfigMap by which kube-apiserver names whom to trust; empty values remove them.
func (c *cluster) trust(pairs ...string) {
	const at = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"
	trust, _ := c.answers[at].(corev1.ConfigMap)
	if trust.Data == nil {
		trust.Data = map[string]string{}
	}
	for i := 0; i < len(pairs); i += 2 {
		trust.Data[pairs[i]] = pairs[i+1]
	}
	c.answers[at] = trust
}

// discovery sets the groups, as name and freshness of their one version.
func (c *cluster) discovery(groups ...string) {
	var items []object
	for _, group := range groups {
		name, freshness, _ := strings.Cut(group, " ")
		items = append(items, object{"metadata": object{"name": name}, "versions": []object{{"version": "v1alpha1", "freshness": freshness, "resources": []object{{"resource": "things"}}}}})
	}
	c.answers["/apis"] = object{"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}
}

func needs() []doctor.Need {
	need := func(newer bool, group, version, resource string, verbs ...string) doctor.Need {
		return doctor.Need{Verbs: verbs, Resource: schema.GroupVersionResource{Group: group, Version: version, Resource: resource}, Without: "nothing can be created", Cure: "apply artifacts/deploy/rbac.yaml", Newer: newer}
	}
	return []doctor.Need{
		need(false, "", "v1", "namespaces", "get", "list", "watch"), need(false, "", "v1", "resourcequotas/status", "update"),
		need(true, "admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies", "list", "watch"),
	}
}

// healthyCluster starts a cluster, and the server behind it.
func healthyCluster(t *testing.T) *cluster {
	t.Helper()
	now := time.Now()
	c := &cluster{answers: map[string]any{}, refused: map[string]bool{}, clock: clocktesting.NewFakeClock(now)}
	c.ca, c.caKey = newAuthority(t, "gatehouse-ca", now.Add(5*365*24*time.Hour))
	proxy, _ := newAuthority(t, "front-proxy-ca", now.Add(5*365*24*time.Hour))
	users, _ := newAuthority(t, "kubernetes", now.Add(5*365*24*time.Hour))
	c.answers["/readyz"] = object{}
	c.answers["/version"] = object{"major": "1", "minor": "36+"}
	for _, group := range []string{"fleet.gatehouse.dev", "diagnostics.gatehouse.dev"} {
		c.answers["/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1."+group] = c.apiService(group)
	}
	c.discovery("apps Current", "fleet.gatehouse.dev Current", "diagnostics.gatehouse.dev Current")
	c.answers["/api/v1/namespaces/gatehouse-system/services/gatehouse"] = corev1.Service{Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}}}
	c.endpoints(endpoint("10.0.0.1", "a", true), endpoint("10.0.0.2", "b", true))
	c.answers["/apis/admissionregistration.k8s.io/v1"] = metav1.APIResourceList{APIResources: []metav1.APIResource{{Name: "mutatingadmissionpolicies"}}}
	c.answers["/api/v1/namespaces"] = corev1.NamespaceList{}
	c.trust("requestheader-client-ca-file", string(proxy), "client-ca-file", string(users), "requestheader-allowed-names", `["front-proxy-client"]`, "requestheader-username-headers", `["X-Remote-User"]`)
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.Aggregated = &doctor.Aggregated{
		Config: &rest.Config{Host: server.URL}, ServiceAccount: "gatehouse-system:gatehouse", Needs: needs(), Minor: 37, Clock: c.clock,
		Groups: []schema.GroupVersion{{Group: "fleet.gatehouse.dev", Version: "v1alpha1"}, {Group: "diagnostics.gatehouse.dev", Version: "v1alpha1"}},
	}
	c.serve(t, now.Add(365*24*time.Hour), serviceName)
	return c
}

// serve starts a server with a certificate of the authority that ends at a time.
func (c *cluster) serve(t *testing.T, until time.Time, names ...string) {
	t.Helper()
	leaf, key := newLeafOf(t, c.ca, c.caKey, until.Add(-cmp.Or(c.lifetime, year)), until, names...)
	pair, err := tls.X509KeyPair(leaf, key)
	must(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	must(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func(conn net.Conn) {
				_ = conn.(*tls.Conn).Handshake()
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}(conn)
		}
	}()
	c.Connect = listener.Addr().String()
}

// run runs all checks.
func (c *cluster) run(t *testing.T) doctor.Report {
	t.Helper()
	checks, err := c.Checks()
	must(t, err)
	return doctor.Run(t.Context(), checks, timeout)
}

// slow makes a path take a time.
func slow(at string, d time.Duration) func(*testing.T, *cluster) {
	return func(_ *testing.T, c *cluster) {
		c.before = func(requested string) {
			if path.Clean(requested) == at {
				c.clock.Step(d)
			}
		}
	}
}
