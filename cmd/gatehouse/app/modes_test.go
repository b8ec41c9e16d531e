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

package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/util/cert"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/delegation"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// stubCluster serves the requests of a server in the aggregated mode, allows everything, and records
// the requests. test/e2e uses a real cluster.
type stubCluster struct {
	t      *testing.T
	trust  corev1.ConfigMap
	served []metav1.APIResource

	mu    sync.Mutex
	asked sets.Set[string]
	// revoked is the data of the ConfigMap of revoked hosts; nil if there is none.
	revoked map[string]string
	// tokens are the requests for tokens, by namespace and account.
	tokens map[string]authenticationv1.TokenRequestSpec
}

// emptyLists are the lists that admission reads; the stub has no objects of them.
var emptyLists = map[string]string{
	"limitranges":                       "LimitRangeList",
	"mutatingadmissionpolicies":         "MutatingAdmissionPolicyList",
	"mutatingadmissionpolicybindings":   "MutatingAdmissionPolicyBindingList",
	"mutatingwebhookconfigurations":     "MutatingWebhookConfigurationList",
	"serviceaccounts":                   "ServiceAccountList",
	"services":                          "ServiceList",
	"validatingadmissionpolicies":       "ValidatingAdmissionPolicyList",
	"validatingadmissionpolicybindings": "ValidatingAdmissionPolicyBindingList",
	"validatingwebhookconfigurations":   "ValidatingWebhookConfigurationList",
}

func (s *stubCluster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	resolver := request.RequestInfoFactory{APIPrefixes: sets.NewString("api", "apis"), GrouplessAPIPrefixes: sets.NewString("api")}
	info, err := resolver.NewRequestInfo(r)
	if err != nil {
		s.t.Error(err)
		return
	}
	if info.IsResourceRequest {
		s.mu.Lock()
		s.asked.Insert(info.Verb + " " + info.Resource)
		s.mu.Unlock()
	}
	w.Header().Set("Content-Type", "application/json")
	list := metav1.ListMeta{ResourceVersion: "1"}
	switch {
	case !info.IsResourceRequest:
		s.write(w, metav1.APIResourceList{TypeMeta: metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}, APIResources: s.served})
	case info.Subresource == "token":
		s.giveToken(w, r, info)
	case info.Verb == "create":
		s.write(w, map[string]any{"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "spec": map[string]any{}, "status": map[string]any{"allowed": true}})
	case info.Verb == "watch" && r.URL.Query().Get("sendInitialEvents") == "true":
		w.WriteHeader(http.StatusUnprocessableEntity)
		s.write(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonInvalid, Code: http.StatusUnprocessableEntity})
	case info.Verb == "watch":
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case info.Resource == "configmaps" && info.Verb == "get" && info.Name == authentication.TrustConfigMap:
		s.write(w, s.trust)
	case info.Resource == "configmaps" && info.Verb == "get":
		s.giveRevoked(w, info)
	case info.Resource == "configmaps":
		s.write(w, corev1.ConfigMapList{TypeMeta: metav1.TypeMeta{Kind: "ConfigMapList", APIVersion: "v1"}, ListMeta: list, Items: []corev1.ConfigMap{s.trust}})
	case info.Resource == "namespaces" && info.Verb == "get":
		s.write(w, corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: info.Name, ResourceVersion: "1"}})
	case info.Resource == "namespaces":
		s.write(w, corev1.NamespaceList{TypeMeta: metav1.TypeMeta{Kind: "NamespaceList", APIVersion: "v1"}, ListMeta: list, Items: []corev1.Namespace{{ObjectMeta: metav1.ObjectMeta{Name: "default", ResourceVersion: "1"}}}})
	case info.Resource == "serviceaccounts" && info.Verb == "get":
		s.write(w, corev1.ServiceAccount{TypeMeta: metav1.TypeMeta{Kind: "ServiceAccount", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: info.Namespace, Name: info.Name, ResourceVersion: "1"}})
	case info.Verb == "list" && emptyLists[info.Resource] != "":
		s.write(w, map[string]any{"kind": emptyLists[info.Resource], "apiVersion": strings.TrimPrefix(info.APIGroup+"/"+info.APIVersion, "/"), "metadata": list, "items": []any{}})
	case info.Resource == "resourcequotas":
		s.write(w, corev1.ResourceQuotaList{TypeMeta: metav1.TypeMeta{Kind: "ResourceQuotaList", APIVersion: "v1"}, ListMeta: list})
	default:
		http.NotFound(w, r)
	}
}

// giveRevoked responds with the list of revoked hosts, if there is one.
func (s *stubCluster) giveRevoked(w http.ResponseWriter, info *request.RequestInfo) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.revoked == nil || info.Name != revocation.ConfigMap {
		w.WriteHeader(http.StatusNotFound)
		s.write(w, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
		return
	}
	s.write(w, corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: info.Namespace, Name: info.Name, ResourceVersion: "2"}, Data: s.revoked,
	})
}

func (s *stubCluster) write(w http.ResponseWriter, object any) {
	if err := json.NewEncoder(w).Encode(object); err != nil {
		s.t.Error(err)
	}
}

// startAggregated runs a server behind the stub until the test ends. The returned bundle
// has a client certificate of system:masters that the cluster's authority signed.
func startAggregated(t *testing.T) (*stubCluster, options.CompletedOptions, Ready, *certificates.Bundle) {
	t.Helper()
	return startAggregatedBy(t, Run)
}

// startAggregatedBy does the same with a function that runs the server.
func startAggregatedBy(t *testing.T, run func(context.Context, options.CompletedOptions, Observer) error) (*stubCluster, options.CompletedOptions, Ready, *certificates.Bundle) {
	t.Helper()
	users, err := certificates.Ensure(filepath.Join(t.TempDir(), "users"), certificates.Options{})
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := certificates.Ensure(filepath.Join(t.TempDir(), "proxy"), certificates.Options{ServingOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	cluster := &stubCluster{t: t, asked: sets.New[string](), tokens: map[string]authenticationv1.TokenRequestSpec{}, trust: corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: authentication.TrustNamespace, Name: authentication.TrustConfigMap, ResourceVersion: "1"},
		Data: map[string]string{
			"client-ca-file":                     string(users.CA.CertPEM),
			"requestheader-client-ca-file":       string(proxy.CA.CertPEM),
			"requestheader-allowed-names":        `["front-proxy-client"]`,
			"requestheader-username-headers":     `["X-Remote-User"]`,
			"requestheader-group-headers":        `["X-Remote-Group"]`,
			"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
		},
	}}
	serving := httptest.NewServer(cluster)
	t.Cleanup(func() {
		serving.CloseClientConnections()
		serving.Close()
	})

	completed := aggregatedOptions(t, serving.URL)
	for _, need := range delegation.Needs(completed.AdmissionPlugins(), !completed.Cluster.NoTokenReview) {
		cluster.served = append(cluster.served, metav1.APIResource{Name: need.Resource.Resource})
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, stopped := make(chan Ready, 1), make(chan error, 1)
	go func() { stopped <- run(ctx, completed, Observer{Ready: func(r Ready) { ready <- r }}) }()
	select {
	case r := <-ready:
		t.Cleanup(func() {
			cancel()
			if err := <-stopped; err != nil {
				t.Errorf("the server did not stop in order: %v", err)
			}
		})
		return cluster, completed, r, users
	case err := <-stopped:
		cancel()
		t.Fatalf("the server did not start: %v", err)
	case <-time.After(time.Minute):
		cancel()
		t.Fatal("the server did not become ready within a minute")
	}
	panic("unreachable")
}

// aggregatedOptions returns the options of a server with an embedded etcd behind the cluster at a URL.
func aggregatedOptions(t *testing.T, cluster string) options.CompletedOptions {
	t.Helper()
	// The path is short, because a unix socket's path must be.
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, []byte(fmt.Sprintf(`{"clusters": [{"name": "stub", "cluster": {"server": %q}}], "contexts": [{"name": "stub", "context": {"cluster": "stub"}}], "current-context": "stub"}`, cluster)), 0o600); err != nil {
		t.Fatal(err)
	}

	o := options.NewOptions()
	o.Mode, o.DataDir, o.Etcd.Embed, o.Cluster.Kubeconfig = options.ModeAggregated, filepath.Join(dir, "data"), true, kubeconfig
	if o.Serving.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if errs := completed.Validate(); len(errs) > 0 {
		t.Fatal(errs)
	}
	return completed
}

// get sends a request with a client certificate.
func get(t *testing.T, o options.CompletedOptions, certPEM, keyPEM []byte, url string, into any) int {
	t.Helper()
	authority, err := cert.NewPool(filepath.Join(o.CertificateDir(), "ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority, Certificates: []tls.Certificate{pair}}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if into != nil && response.StatusCode == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
	return response.StatusCode
}

// An aggregated server must not have the following, observed from outside: an API of the cluster's own
// kinds, an authority over users, a key except that of its serving certificate, and
// requests to the cluster beyond its role. Linked packages prove nothing,
// so they are not checked here.
func TestAnAggregatedServerServesItsOwnGroupsAndTrustsTheClusterAlone(t *testing.T) {
	cluster, o, ready, users := startAggregated(t)

	t.Run("only groups of its own are served", func(t *testing.T) { checkServedGroups(t, o, ready, users) })

	t.Run("OpenAPI describes no kind of the cluster's own", func(t *testing.T) { checkOpenAPI(t, o, ready, users) })

	t.Run("the authority in the data directory authenticates no user", func(t *testing.T) {
		ca, err := certificates.LoadCA(o.CertificateDir())
		if err != nil {
			t.Fatal(err)
		}
		certPEM, keyPEM, err := certificates.IssueClient(ca, "intruder", []string{user.SystemPrivilegedGroup}, time.Hour, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if code := get(t, o, certPEM, keyPEM, ready.URL+"/apis", nil); code != http.StatusUnauthorized {
			t.Errorf("a client certificate of it gets %d, not 401", code)
		}
	})

	t.Run("there is no administrator and no key that signs tokens", func(t *testing.T) {
		if ready.Kubeconfig != "" {
			t.Errorf("there is an administrator's kubeconfig, %s", ready.Kubeconfig)
		}
		var files []string
		err := filepath.WalkDir(o.DataDir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && path == o.EtcdDir() {
				return fs.SkipDir
			}
			if err == nil && !entry.IsDir() {
				relative, relErr := filepath.Rel(o.DataDir, path)
				files, err = append(files, relative), relErr
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"backup.json", "lock", "pki/ca.crt", "pki/ca.key", "pki/serving.crt", "pki/serving.key"}; !slices.Equal(files, want) {
			t.Errorf("the data directory holds %v, not %v", files, want)
		}
	})

	t.Run("every request to the cluster is a declared need", func(t *testing.T) { checkNeeds(t, cluster, o) })
}

// checkServedGroups checks that no group of the cluster is served.
func checkServedGroups(t *testing.T, o options.CompletedOptions, ready Ready, users *certificates.Bundle) {
	t.Helper()
	var groups metav1.APIGroupList
	if code := get(t, o, users.Admin.CertPEM, users.Admin.KeyPEM, ready.URL+"/apis", &groups); code != http.StatusOK {
		t.Fatalf("GET /apis answers %d", code)
	}
	if len(groups.Groups) == 0 {
		t.Error("nothing is served")
	}
	for _, group := range groups.Groups {
		if !strings.HasSuffix(group.Name, ".gatehouse.dev") {
			t.Errorf("%s is served, and would stand in for the cluster's own", group.Name)
		}
	}
	for _, path := range []string{
		"/api", "/api/v1/namespaces", "/api/v1/secrets",
		"/apis/rbac.authorization.k8s.io/v1/clusterroles",
		"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
		"/apis/authentication.k8s.io/v1/tokenreviews",
		"/openid/v1/jwks", "/.well-known/openid-configuration",
	} {
		if code := get(t, o, users.Admin.CertPEM, users.Admin.KeyPEM, ready.URL+path, nil); code != http.StatusNotFound {
			t.Errorf("GET %s answers %d, not 404", path, code)
		}
	}
}

// checkOpenAPI checks that both documents describe no kind of the cluster.
func checkOpenAPI(t *testing.T, o options.CompletedOptions, ready Ready, users *certificates.Bundle) {
	t.Helper()
	for path, own := range map[string]string{"/openapi/v2": "dev.gatehouse.fleet.v1alpha1.Instance", "/openapi/v3": "apis/fleet.gatehouse.dev/v1alpha1"} {
		var document map[string]json.RawMessage
		if code := get(t, o, users.Admin.CertPEM, users.Admin.KeyPEM, ready.URL+path, &document); code != http.StatusOK {
			t.Errorf("GET %s answers %d", path, code)
		}
		whole, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		// instances/token and the scale endpoints have kinds of Kubernetes.
		for _, group := range []string{"authentication", "autoscaling"} {
			whole = bytes.ReplaceAll(whole, []byte("io.k8s.api."+group+".v1."), nil)
		}
		if !strings.Contains(string(whole), own) || strings.Contains(string(whole), "io.k8s.api.") || strings.Contains(string(whole), `"api/v1"`) {
			t.Errorf("%s lacks %s, or has kinds of Kubernetes", path, own)
		}
	}
}

// checkNeeds checks that the server sent only declared requests to the cluster.
func checkNeeds(t *testing.T, cluster *stubCluster, o options.CompletedOptions) {
	t.Helper()
	// All users may review their own access.
	declared := sets.New("create selfsubjectaccessreviews")
	for _, need := range delegation.Needs(o.AdmissionPlugins(), !o.Cluster.NoTokenReview) {
		for _, verb := range need.Verbs {
			declared.Insert(verb + " " + need.Resource.Resource)
		}
	}
	cluster.mu.Lock()
	defer cluster.mu.Unlock()
	if extra := cluster.asked.Difference(declared); len(extra) > 0 {
		t.Errorf("the server also requests %v of the cluster: add a need to delegation.Needs and a rule to artifacts/deploy/rbac.yaml", sets.List(extra))
	}
	if !cluster.asked.Has("list namespaces") {
		t.Errorf("admission reads no namespaces of the cluster: %v", sets.List(cluster.asked))
	}
	if !cluster.asked.Has("list resourcequotas") {
		t.Errorf("admission reads no resource quotas of the cluster: %v", sets.List(cluster.asked))
	}
	if !cluster.asked.Has("list limitranges") {
		t.Errorf("admission reads no limit ranges of the cluster: %v", sets.List(cluster.asked))
	}
	if !cluster.asked.Has("list services") {
		t.Errorf("webhooks by service cannot be found: %v", sets.List(cluster.asked))
	}
}
