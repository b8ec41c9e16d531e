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

package controllers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const rootCA = "kube-root-ca.crt"

// verifies returns why the certificates in a config map do not verify the server's.
func verifies(ctx context.Context, server *servertesting.Server, configMap *corev1.ConfigMap) string {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(configMap.Data["ca.crt"])) || len(configMap.Data) != 1 {
		return "the data is not a bundle of certificates: " + configMap.Namespace
	}
	address, err := url.Parse(server.URL)
	if err != nil {
		return err.Error()
	}
	connection, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: address.Hostname(), MinVersion: tls.VersionTLS13}}).DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return err.Error()
	}
	_ = connection.Close()
	return ""
}

func TestTheCertificatesThatVerifyTheServerAreInEveryNamespace(t *testing.T) {
	server := servertesting.Start(t)
	core := harness.BuiltinClient(t, server).CoreV1()
	harness.CreateNamespace(t, server, "team")
	published := func(namespace string) func(context.Context) string {
		return func(ctx context.Context) string {
			configMap, err := core.ConfigMaps(namespace).Get(ctx, rootCA, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if !strings.HasPrefix(configMap.Annotations["kubernetes.io/description"], "Contains a CA bundle that can be used to verify the kube-apiserver") {
				return "no description"
			}
			return verifies(ctx, server, configMap)
		}
	}
	for _, namespace := range []string{"default", "kube-system", "team"} {
		harness.ComesTrue(t, published(namespace))
	}

	for _, change := range []struct{ name, patch string }{
		{"other certificates", `{"data":{"ca.crt":"forged"}}`},
		{"a further key", `{"data":{"more":"x"}}`},
		{"no data", `{"data":null}`},
		{"no description", `{"metadata":{"annotations":null}}`},
	} {
		if _, err := core.ConfigMaps("team").Patch(t.Context(), rootCA, types.MergePatchType, []byte(change.patch), metav1.PatchOptions{}); err != nil {
			t.Fatalf("%s: %v", change.name, err)
		}
		harness.ComesTrue(t, published("team"))
	}
	if err := core.ConfigMaps("team").Delete(t.Context(), rootCA, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.ComesTrue(t, published("team"))
}

func TestRootCertificatesDoNotKeepANamespaceAlive(t *testing.T) {
	c := harness.StartControlled(t)
	c.CreateNamespace(t, "team")
	harness.ComesTrue(t, func(ctx context.Context) string {
		if err := c.GetMap("team", rootCA)(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
	if _, err := c.Core.CoreV1().ConfigMaps("team").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/keep"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Core.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, "the certificates", c.GetMap("team", rootCA))
	if err := c.GetMap("team", "held")(t.Context()); err != nil {
		t.Fatalf("the namespace is not being deleted any more: %v", err)
	}
	if _, err := c.Core.CoreV1().ConfigMaps("team").Patch(t.Context(), "held", types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	harness.Gone(t, "the namespace", func(ctx context.Context) error { return c.Namespace(ctx, "team") })
}

// The controller has the rights to publish, and no others.
func TestThePublisherOfRootCertificatesMayWriteNothingElse(t *testing.T) {
	c := harness.StartControlled(t)
	may := func(ctx context.Context, verb, resource, name string) bool {
		review, err := c.Core.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               "system:controller:root-ca-cert-publisher",
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: verb, Version: "v1", Resource: resource, Name: name},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return review.Status.Allowed
	}
	kit.Eventually(t, "the controller may publish", func(ctx context.Context) bool { return may(ctx, "update", "configmaps", rootCA) })
	for _, row := range []struct {
		verb, resource, name string
		allowed              bool
	}{
		{"create", "configmaps", "", true},
		{"watch", "configmaps", rootCA, true},
		{"watch", "configmaps", "", false},
		{"update", "configmaps", "settings", false},
		{"delete", "configmaps", rootCA, false},
		{"list", "secrets", "", false},
	} {
		if got := may(t.Context(), row.verb, row.resource, row.name); got != row.allowed {
			t.Errorf("%s %s %q: %v", row.verb, row.resource, row.name, got)
		}
	}
}
