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
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

func TestEveryAttackIsRefused(t *testing.T) {
	server := servertesting.Start(t)
	harness.CreateNamespace(t, server, "hosts")
	env := attackers(t, server)
	env.Tokens = spoiltTokens(t, harness.BuiltinClient(t, server))
	t.Run("people", func(t *testing.T) { security.People(t, env) })
	t.Run("hosts", func(t *testing.T) { security.Hosts(t, env, "hosts") })
	t.Run("peers", func(t *testing.T) { security.Peers(t, env) })
}

func TestNoForgedTokenOfAServiceAccountIsAccepted(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.BuiltinClient(t, server)
	if _, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	good, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "robot", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	env := attackers(t, server)
	security.ForgedTokens(t, env, good.Status.Token, security.KeySet(t, env))
}

// spoiltTokens returns tokens that were valid once, and forged ones.
func spoiltTokens(t *testing.T, client kubernetes.Interface) map[string]string {
	t.Helper()
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "gone"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	give := func(namespace, name string, audiences ...string) string {
		t.Helper()
		accounts := client.CoreV1().ServiceAccounts(namespace)
		if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
		given, err := accounts.CreateToken(t.Context(), name, request, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return given.Status.Token
	}
	tokens := map[string]string{
		"the token of a deleted account":              give("default", "leaver"),
		"the token of an account of a gone namespace": give("gone", "ghost"),
		"a token for somebody else's server":          give("default", "other", "https://elsewhere.example.com"),
		"a word":                                      "admin",
	}
	good := give("default", "good")
	head, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	tokens["a token without its signature"] = head + "." + payload + "."
	tokens["a token with the signature of another"] = head + "." + payload + "." + tokens["the token of a deleted account"][strings.LastIndex(tokens["the token of a deleted account"], ".")+1:]
	// {"alg":"none"}
	tokens["a token that says it needs none"] = "eyJhbGciOiJub25lIn0." + payload + "." + signature
	if err := client.CoreV1().ServiceAccounts("default").Delete(t.Context(), "leaver", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := client.CoreV1().Namespaces().Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, "the namespace", func(ctx context.Context) error {
		_, err := client.CoreV1().Namespaces().Get(ctx, "gone", metav1.GetOptions{})
		return err
	})
	return tokens
}
