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
	"net/http"
	"path/filepath"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

func attackers(t *testing.T, server *servertesting.Server) security.Env {
	return security.Env{
		As: func(user string, groups ...string) *rest.Config {
			return harness.IssueClient(t, server, user, groups...)
		},
		Admin: server.Config,
	}
}

func TestEverySmallAttackIsRefused(t *testing.T) {
	security.Small(t, attackers(t, servertesting.Start(t)))
}

func TestAWatchEndsWithTheRightsOfItsUser(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Watches.RecheckInterval = time.Second })
	harness.CreateNamespace(t, server, "watched")
	security.Watches(t, attackers(t, server), server.Config, "watched")
}

// watched opens a watch of ten years and returns a channel that is closed when the watch ends.
func watched(ctx context.Context, t *testing.T, config *rest.Config, path string) <-chan struct{} {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+path+"?watch=1&timeoutSeconds=315360000", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", path, response.Status)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = response.Body.Close() }()
		for buffer := make([]byte, 4096); ; {
			if _, err := response.Body.Read(buffer); err != nil {
				return
			}
		}
	}()
	return ended
}

func TestAWatchEndsWithItsCredentials(t *testing.T) {
	const path = "/api/v1/namespaces/default/configmaps"
	server := servertesting.Start(t, func(o *options.Options) { o.Watches.RecheckInterval = time.Second })
	ca, err := certificates.LoadCA(filepath.Join(server.DataDir, "pki"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	lasting := watched(ctx, t, server.Config, path)

	// A certificate that expires in a few seconds.
	short := watched(ctx, t, harness.IssueClientFrom(t, ca, server, "attack-short", time.Now().Add(5*time.Second-time.Hour), "system:masters"), path)

	accounts := harness.BuiltinClient(t, server).CoreV1().ServiceAccounts("default")
	if _, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "leaver"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "leaver"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: "leaver"}},
	}
	if _, err := harness.BuiltinClient(t, server).RbacV1().RoleBindings("default").Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := accounts.CreateToken(ctx, "leaver", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	bearer := rest.AnonymousClientConfig(server.Config)
	bearer.BearerToken = token.Status.Token
	reader, err := kubernetes.NewForConfig(bearer)
	if err != nil {
		t.Fatal(err)
	}
	// The authorizer learns of the grant from its informer, a moment later.
	kit.Eventually(t, "the grant is in force", func(ctx context.Context) bool {
		_, err := reader.CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{})
		return err == nil
	})
	leaver := watched(ctx, t, bearer, path)
	if err := accounts.Delete(ctx, "leaver", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for what, ended := range map[string]<-chan struct{}{"whose certificate has expired": short, "whose account is deleted": leaver} {
		select {
		case <-ended:
			if ctx.Err() != nil {
				t.Errorf("the watch %s never ended", what)
			}
		case <-lasting:
			t.Fatalf("a watch of a good certificate ended")
		}
	}
}

func TestAWatchEndsAfterTheLongestTimeWhateverItAsksFor(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Watches.MaxTimeout = 2 * time.Second })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	<-watched(ctx, t, server.Config, harness.HostsPath)
	if ctx.Err() != nil {
		t.Error("it never ended")
	}
}
