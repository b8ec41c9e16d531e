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

package authentication

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// trustData is the content that kube-apiserver writes about its authorities.
func trustData(clients, proxies authority, names string) map[string]string {
	return map[string]string{
		"client-ca-file":                     string(clients.pem),
		"requestheader-client-ca-file":       string(proxies.pem),
		"requestheader-username-headers":     `["X-Remote-User"]`,
		"requestheader-uid-headers":          `["X-Remote-Uid"]`,
		"requestheader-group-headers":        `["X-Remote-Group"]`,
		"requestheader-extra-headers-prefix": `["X-Remote-Extra-"]`,
		"requestheader-allowed-names":        names,
	}
}

// newCluster starts an API server with such a ConfigMap, and one user with a token. It serves
// HTTP, because client-go's fakes do not support the library's TokenReviews.
func newCluster(t *testing.T, data map[string]string) kubernetes.Interface {
	t.Helper()
	return serve(t, map[string]http.HandlerFunc{
		"GET " + trustPath: func(w http.ResponseWriter, _ *http.Request) {
			answer(t, w, http.StatusOK, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: TrustNamespace, Name: TrustConfigMap}, Data: data})
		},
		"POST /apis/authentication.k8s.io/v1/tokenreviews": func(w http.ResponseWriter, r *http.Request) {
			var review authenticationv1.TokenReview
			if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
				t.Error(err)
			}
			switch review.Spec.Token {
			case "secret":
				review.Status = authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "robot", Groups: []string{"robots"}}}
			case "silence":
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			answer(t, w, http.StatusCreated, &review)
		},
	})
}

const trustPath = "/api/v1/namespaces/" + TrustNamespace + "/configmaps/" + TrustConfigMap

// serve returns a client of a server with only these paths.
func serve(t *testing.T, handlers map[string]http.HandlerFunc) kubernetes.Interface {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, handler := range handlers {
		mux.HandleFunc(pattern, handler)
	}
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: runtime.ContentTypeJSON}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func answer(t *testing.T, w http.ResponseWriter, code int, object any) {
	t.Helper()
	w.Header().Set("Content-Type", runtime.ContentTypeJSON)
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(object); err != nil {
		t.Error(err)
	}
}

func newDelegated(t *testing.T, client kubernetes.Interface, change ...func(*Delegated)) authenticator.Request {
	t.Helper()
	trust, err := NewClusterTrust(client)
	if err != nil {
		t.Fatal(err)
	}
	if err := trust.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	options := Delegated{Trust: trust, Client: client, TokenCacheTTL: time.Minute, TokenRetry: wait.Backoff{Duration: time.Millisecond, Steps: 1}}
	for _, f := range change {
		f(&options)
	}
	authn, err := NewDelegated(options)
	if err != nil {
		t.Fatal(err)
	}
	return authn
}

func TestDelegatedAuthenticatesFrontProxyCertificatesAndTokens(t *testing.T) {
	clients, proxies, own, stranger := newAuthority(t, "clients"), newAuthority(t, "proxies"), newAuthority(t, "own"), newAuthority(t, "stranger")
	authn := newDelegated(t, newCluster(t, trustData(clients, proxies, `["front-proxy"]`)), func(d *Delegated) { d.ClientCA = provider(t, own) })
	proxy := proxies.issue(t, "front-proxy", nil)
	remote := map[string]string{"X-Remote-User": "jane", "X-Remote-Group": "ops"}
	token := func(value string) map[string]string { return map[string]string{"Authorization": "Bearer " + value} }
	for _, c := range []caller{
		{name: "the front proxy sends the user", certificate: proxy, headers: remote, user: "jane", groups: []string{"ops", authenticatedGroup}},
		{name: "the aggregator, without a group, is authenticated", certificate: proxy, headers: map[string]string{"X-Remote-User": "system:aggregator"}, user: "system:aggregator", groups: []string{authenticatedGroup}},
		{name: "another name of the proxy's authority is refused", certificate: proxies.issue(t, "somebody", nil), headers: remote, failed: true},
		{name: "a proxy of another authority is refused", certificate: stranger.issue(t, "front-proxy", nil), headers: remote, failed: true},
		{name: "a proxy's headers from a client are a forgery", certificate: clients.issue(t, "joe", []string{"dev"}), headers: remote, failed: true},
		{name: "a token does not make a proxy's headers better", headers: map[string]string{"X-Remote-User": "jane", "Authorization": "Bearer secret"}, failed: true},
		{name: "headers without a certificate are refused", headers: remote, failed: true},
		{name: "a proxy's certificate without headers is refused", certificate: proxy, failed: true},
		{name: "headers are refused on health paths, too", path: "/readyz", headers: remote, failed: true},
		{name: "a certificate of the cluster's users names one", certificate: clients.issue(t, "joe", []string{"dev"}), user: "joe", groups: []string{"dev", authenticatedGroup}},
		{name: "a certificate of our own authority does, too", certificate: own.issue(t, "ann", nil), user: "ann", groups: []string{authenticatedGroup}},
		{name: "a certificate of an unknown authority is refused", certificate: stranger.issue(t, "joe", nil), failed: true},
		{name: "the cluster authenticates a token", headers: token("secret"), user: "robot", groups: []string{"robots", authenticatedGroup}},
		{name: "a token that the cluster refuses", headers: token("wrong"), failed: true},
		{name: "a token while the cluster does not answer", headers: token("silence"), failed: true},
		{name: "the cluster authenticates a WebSocket's token", headers: webSocket("secret", "v4.channel.k8s.io"), user: "robot", groups: []string{"robots", authenticatedGroup}},
		{name: "a WebSocket's token that the cluster refuses", headers: webSocket("wrong", "v4.channel.k8s.io"), failed: true},
		{name: "no credentials"},
		{name: "the version needs credentials", path: "/version"},
		{name: "health needs no credentials", path: "/readyz", user: anonymousUser, groups: []string{anonymousGroup}},
		{name: "nothing else does", path: "/metrics"},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(t, authn) })
	}
}

func TestAnEmptyListOfProxyNamesMatchesNoneUnlessAnyNameIsAllowed(t *testing.T) {
	clients, proxies := newAuthority(t, "clients"), newAuthority(t, "proxies")
	client := newCluster(t, trustData(clients, proxies, "[]"))
	remote := map[string]string{"X-Remote-User": "jane"}
	proxy := proxies.issue(t, "anything", nil)
	t.Run("no name", func(t *testing.T) {
		caller{certificate: proxy, headers: remote, failed: true}.check(t, newDelegated(t, client))
	})
	t.Run("any", func(t *testing.T) {
		caller{certificate: proxy, headers: remote, user: "jane", groups: []string{authenticatedGroup}}.check(t,
			newDelegated(t, client, func(d *Delegated) { d.AnyProxyName = true }))
	})
}

func TestWithoutAClientTokensAreIgnored(t *testing.T) {
	clients, proxies := newAuthority(t, "clients"), newAuthority(t, "proxies")
	authn := newDelegated(t, newCluster(t, trustData(clients, proxies, `["front-proxy"]`)), func(d *Delegated) { d.Client = nil })
	caller{headers: map[string]string{"Authorization": "Bearer secret"}}.check(t, authn)
}

func TestAnIncompleteConfigMapIsAnErrorWithACure(t *testing.T) {
	whole := trustData(newAuthority(t, "clients"), newAuthority(t, "proxies"), `["front-proxy"]`)
	without := func(keys ...string) map[string]string {
		data := maps.Clone(whole)
		maps.DeleteFunc(data, func(key, _ string) bool { return slices.Contains(keys, key) })
		return data
	}
	for _, test := range []struct {
		name   string
		client kubernetes.Interface
		want   string
	}{
		{"there is no ConfigMap", serve(t, nil), TrustConfigMap},
		{"no authority of the proxy is named", newCluster(t, without("requestheader-client-ca-file")), "requestheader-client-ca-file"},
		{"no header is named", newCluster(t, without("requestheader-username-headers")), "username-headers"},
		{"the ConfigMap may not be read", forbidding(t), "extension-apiserver-authentication-reader"},
	} {
		t.Run(test.name, func(t *testing.T) {
			trust, err := NewClusterTrust(test.client)
			if err != nil {
				t.Fatal(err)
			}
			if err := trust.Load(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, which does not contain %q", err, test.want)
			}
		})
	}
}

// forbidding is a cluster that denies every read.
func forbidding(t *testing.T) kubernetes.Interface {
	t.Helper()
	return serve(t, map[string]http.HandlerFunc{
		"GET " + trustPath: func(w http.ResponseWriter, _ *http.Request) {
			status := apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, TrustConfigMap, errors.New("no")).Status()
			answer(t, w, http.StatusForbidden, &status)
		},
	})
}
