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

package security

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// withProvider starts a server with one issuer and returns its file.
func withProvider(t *testing.T, provider *idp.Provider, more string) (*servertesting.Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authentication.yaml")
	writeConfig(t, path, idp.Header+provider.Entry("oidc:", "")+more)
	return servertesting.Start(t, func(o *options.Options) { o.Callers.ConfigFile = path }), path
}

// writeConfig replaces the file as an editor or a mounted volume does.
func writeConfig(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestTokensOfProvidersGiveNothingElse(t *testing.T) {
	issuers := security.NewIssuers(t)
	server := servertesting.Start(t, func(o *options.Options) {
		o.Callers.ConfigFile, o.Callers.WebhookFile = issuers.ConfigFile, issuers.KubeconfigFile
	})
	security.Providers(t, attackers(t, server), issuers)
}

func clientWithToken(t *testing.T, server *servertesting.Server, token string) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(harness.WithToken(server, token))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestGroupsOfAProviderReachRoles(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	server, _ := withProvider(t, provider, "")
	admin := harness.BuiltinClient(t, server)
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "developers-view"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "oidc:developers"}},
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	developers := map[string]any{"groups": []string{"developers"}}
	developer := clientWithToken(t, server, provider.Token(t, key, developers))
	kit.EventuallyState(t, "a developer may list config maps", func(ctx context.Context) (bool, string) {
		_, err := developer.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		return err == nil, fmt.Sprint(err)
	})
	review, err := developer.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%s %v", review.Status.UserInfo.Username, review.Status.UserInfo.Groups); got != "oidc:ada [oidc:developers system:authenticated]" {
		t.Errorf("the developer is %s", got)
	}
	for _, tc := range []struct {
		name, token string
		refused     func(error) bool
	}{
		{"a user without the group", provider.Token(t, key, nil), apierrors.IsForbidden},
		{"a token with another key", provider.Token(t, idp.NewKey(t, "one"), developers), apierrors.IsUnauthorized},
		{"a token for another audience", provider.Token(t, key, map[string]any{"aud": "vault", "groups": []string{"developers"}}), apierrors.IsUnauthorized},
		{"a token that names administrators", provider.Token(t, key, map[string]any{"groups": []string{"system:masters"}}), apierrors.IsForbidden}, // as oidc:system:masters
		{"a token of 400 kB", provider.Token(t, key, map[string]any{"more": strings.Repeat("x", 300<<10), "groups": []string{"developers"}}), apierrors.IsUnauthorized},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := clientWithToken(t, server, tc.token).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{}); !tc.refused(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	reviewed, err := admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: provider.Token(t, key, nil)}}, metav1.CreateOptions{})
	if err != nil || !reviewed.Status.Authenticated || reviewed.Status.User.Username != "oidc:ada" {
		t.Errorf("a token review: %v, %v", reviewed, err)
	}
}

func TestAWatchEndsWithItsIssuerAndNotWithAWebhookThatIsDown(t *testing.T) {
	provider, other, key := idp.New(t), idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	other.Publish(key)
	issuers := security.NewIssuers(t)
	path := filepath.Join(t.TempDir(), "authentication.yaml")
	writeConfig(t, path, idp.Header+provider.Entry("gone:", "")+other.Entry("stays:", ""))
	server := servertesting.Start(t, func(o *options.Options) {
		o.Callers.ConfigFile, o.Callers.WebhookFile = path, issuers.KubeconfigFile
		o.Watches.RecheckInterval = time.Second
	})
	admin := harness.BuiltinClient(t, server)
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "viewers"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"}}
	for _, name := range []string{"gone:ada", "stays:ada", "rita"} {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	const maps = "/api/v1/namespaces/default/configmaps"
	open := map[string]<-chan struct{}{}
	for name, token := range map[string]string{"the removed issuer": provider.Token(t, key, nil), "another issuer": other.Token(t, key, nil), "the webhook": "reviewed/rita/users"} {
		kit.EventuallyState(t, "the user may read", func(ctx context.Context) (bool, string) {
			err := clientWithToken(t, server, token).CoreV1().RESTClient().Get().AbsPath(maps).Do(ctx).Error()
			return err == nil, fmt.Sprint(err)
		})
		open[name] = watched(t.Context(), t, harness.WithToken(server, token), maps)
	}
	issuers.Close()
	writeConfig(t, path, idp.Header+other.Entry("stays:", ""))
	kit.Eventually(t, "the watch of a user of the removed issuer ends", func(context.Context) bool { return isClosed(open["the removed issuer"]) })
	// The user's next request is refused, too.
	if err := clientWithToken(t, server, provider.Token(t, key, nil)).CoreV1().RESTClient().Get().AbsPath(maps).Do(t.Context()).Error(); !apierrors.IsUnauthorized(err) {
		t.Errorf("the next request: %v", err)
	}
	// An expired cache entry of the webhook's user is reviewed again by a service that is down.
	kit.Eventually(t, "the webhook's user is not authenticated any more", func(ctx context.Context) bool {
		return apierrors.IsUnauthorized(clientWithToken(t, server, "reviewed/rita/users").CoreV1().RESTClient().Get().AbsPath(maps).Do(ctx).Error())
	})
	for _, name := range []string{"another issuer", "the webhook"} {
		if isClosed(open[name]) {
			t.Errorf("the watch of a user of %s ended", name)
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestABadVersionOfTheFileIsReportedAndChangesNothing(t *testing.T) {
	provider, key := idp.New(t), idp.NewKey(t, "one")
	provider.Publish(key)
	server, path := withProvider(t, provider, "anonymous: {enabled: true, conditions: [{path: /readyz}]}\n")
	admin := harness.BuiltinClient(t, server)
	user := func(ctx context.Context) string {
		review, err := clientWithToken(t, server, provider.Token(t, key, nil)).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		if err != nil {
			return err.Error()
		}
		return review.Status.UserInfo.Username
	}
	kit.EventuallyState(t, "the provider's tokens are accepted", func(ctx context.Context) (bool, string) { got := user(ctx); return got == "oidc:ada", got })

	writeConfig(t, path, idp.Header+provider.Entry("system:", ""))
	kit.EventuallyState(t, "the issuer is in /readyz?verbose", func(ctx context.Context) (bool, string) {
		body, err := admin.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(ctx)
		return err == nil && strings.Contains(string(body), "[!]authentication-config: issuer "+provider.URL) && strings.Contains(string(body), "readyz check passed"), string(body)
	})
	if got := user(t.Context()); got != "oidc:ada" {
		t.Errorf("the provider's tokens: %s", got)
	}
	anonymous, err := kubernetes.NewForConfig(rest.AnonymousClientConfig(server.Config))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := anonymous.Discovery().RESTClient().Get().AbsPath("/readyz").Param("verbose", "").DoRaw(t.Context()); err != nil || !strings.Contains(string(body), "[!]authentication-config: reason withheld") {
		t.Errorf("without credentials: %s (%v)", body, err)
	}
	kit.EventuallyState(t, "an event names the issuer", func(ctx context.Context) (bool, string) {
		events, err := admin.CoreV1().Events(metav1.NamespaceSystem).List(ctx, metav1.ListOptions{FieldSelector: "reason=AuthenticationConfigFailed"})
		if err != nil || len(events.Items) == 0 {
			return false, fmt.Sprint(err)
		}
		event := events.Items[0]
		return event.Type == corev1.EventTypeWarning && strings.Contains(event.Message, "jwt[0].claimMappings.username.prefix"), event.Message
	})

	writeConfig(t, path, idp.Header+provider.Entry("new:", ""))
	kit.EventuallyState(t, "the mended file is in force", func(ctx context.Context) (bool, string) { got := user(ctx); return got == "new:ada", got })
	body, err := admin.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`apiserver_authentication_config_controller_automatic_reloads_total{apiserver_id_hash="`, `status="failure"}`, `status="success"}`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s is not in the metrics", want)
		}
	}
}

func TestPathsWithoutCredentialsAreThoseOfTheFile(t *testing.T) {
	provider := idp.New(t)
	server, path := withProvider(t, provider, "anonymous: {enabled: true, conditions: [{path: /readyz}]}\n")
	client, err := kubernetes.NewForConfig(rest.AnonymousClientConfig(server.Config))
	if err != nil {
		t.Fatal(err)
	}
	get := func(ctx context.Context, path string) error {
		return client.Discovery().RESTClient().Get().AbsPath(path).Do(ctx).Error()
	}
	if err := get(t.Context(), "/readyz"); err != nil {
		t.Errorf("a path of the file: %v", err)
	}
	for _, path := range []string{"/version", "/apis", "/api/v1/namespaces/default/secrets"} {
		if err := get(t.Context(), path); !apierrors.IsUnauthorized(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
	writeConfig(t, path, idp.Header+provider.Entry("oidc:", ""))
	kit.EventuallyState(t, "the server's own paths need no credentials", func(ctx context.Context) (bool, string) {
		err := get(ctx, "/version")
		return err == nil, fmt.Sprint(err)
	})
}
