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
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit/visitor"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

const pageUser = "attack-visitor"

func TestThePageOfThePluginGivesNothingToOthers(t *testing.T) {
	server := servertesting.Start(t)
	owner, err := ui.OwnerOf(harness.IssueClient(t, server, pageUser))
	if err != nil {
		t.Fatal(err)
	}
	newProxy := func() *ui.Proxy {
		proxy, err := ui.NewProxy("", 0, owner)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- proxy.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return proxy
	}
	proxy := newProxy()
	_, used, _ := strings.Cut(proxy.Link(), "#secret=")
	v := visitor.Open(t, proxy.Link(), nil)
	security.Page(t, security.PageEnv{
		Env: attackers(t, server), User: pageUser, Visitor: v,
		Secret: func() string { return used },
	})
	t.Run("the link works once", func(t *testing.T) {
		if response, _ := v.Send(t, "POST", "/ui/session", visitor.Redeem(used), nil); response.StatusCode != 401 {
			t.Errorf("the second time: %s", response.Status)
		}
	})
	t.Run("the session of one page is none of another", func(t *testing.T) {
		other := visitor.New(strings.Split(newProxy().Link(), "/ui/")[0], nil)
		other.Cookie = v.Cookie
		if response, _ := other.Send(t, "GET", "/ui/whoami", "", nil); response.StatusCode != 401 {
			t.Errorf("the other page: %s", response.Status)
		}
		// A browser sends cookies to every port of a host, so the hosts differ.
		if one, two := strings.Split(v.Base, ":")[1], strings.Split(other.Base, ":")[1]; one == two || one == "//127.0.0.1" {
			t.Errorf("the addresses are %s and %s", v.Base, other.Base)
		}
	})
}

func TestThePageOfAServerGivesNothingToOthers(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.UI.Listen = "127.0.0.1:0" })
	user := harness.IssueClient(t, server, pageUser)
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(server.Config.CAData)
	address, secret := offer(t, user)
	v := visitor.Open(t, ui.Link(address, secret), authorities)
	security.Page(t, security.PageEnv{
		Env: attackers(t, server), User: pageUser, Visitor: v,
		Secret: func() string {
			_, secret := offer(t, user)
			return secret
		},
	})
	t.Run("the link works once", func(t *testing.T) {
		if response, _ := v.Send(t, "POST", "/ui/session", visitor.Redeem(secret), nil); response.StatusCode != 401 {
			t.Errorf("the second time: %s", response.Status)
		}
	})
	t.Run("an administrator makes no link of a user that it impersonates", func(t *testing.T) {
		impersonating := rest.CopyConfig(server.Config)
		impersonating.Impersonate.UserName = pageUser
		if _, err := tryOffer(t, impersonating, strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "--as") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a secret instead of its hash is refused and not repeated", func(t *testing.T) {
		if _, err := tryOffer(t, user, "my-secret"); err == nil || strings.Contains(err.Error(), "my-secret") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a caller without credentials makes no link", func(t *testing.T) {
		if _, err := tryOffer(t, rest.AnonymousClientConfig(server.Config), strings.Repeat("0", 64)); err == nil {
			t.Error("it makes one")
		}
	})
	t.Run("a token like that of a session is none", func(t *testing.T) {
		config := rest.AnonymousClientConfig(server.Config)
		config.BearerToken = "gatehouse-ui-session:" + v.Cookie.Value
		if _, err := tryOffer(t, config, strings.Repeat("0", 64)); err == nil {
			t.Error("it is accepted")
		}
	})
	t.Run("the port of the page serves no API and wants no certificate", func(t *testing.T) {
		if response, _ := visitor.New(v.Base, authorities).Send(t, "GET", "/api/v1/namespaces", "", nil); response.StatusCode != 404 {
			t.Errorf("got %s", response.Status)
		}
	})
}

// offer makes a link to the page of the server as a user, and returns its address and secret.
func offer(t *testing.T, config *rest.Config) (address, secret string) {
	t.Helper()
	secret, sum := ui.NewSecret()
	address, err := tryOffer(t, config, hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return address, secret
}

func tryOffer(t *testing.T, config *rest.Config, secretHash string) (address string, err error) {
	t.Helper()
	made, err := versioned.NewForConfigOrDie(config).DiagnosticsV1alpha1().UISessions().Create(t.Context(),
		&v1alpha1.UISession{Spec: v1alpha1.UISessionSpec{SecretHash: secretHash}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return made.Status.URL, nil
}
