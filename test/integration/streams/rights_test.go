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

package streams

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// as returns the configuration of a user without roles.
func as(admin *rest.Config, user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(admin)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// endpoint returns the URL of an endpoint of the instance web.
func endpoint(config *rest.Config, name string, query url.Values) *url.URL {
	base, err := url.Parse(config.Host)
	if err != nil {
		panic(err)
	}
	at := base.JoinPath("apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances/web", name)
	at.RawQuery = query.Encode()
	return at
}

// command executes "echo hello" in the instance web, by WebSocket (GET) or SPDY (POST).
func command(ctx context.Context, config *rest.Config, name, method string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute) // an attachment that should be refused would last
	defer cancel()
	query := url.Values{"container": {"web"}, "stdout": {"true"}}
	if name == "exec" {
		query["command"] = []string{"echo", "hello"}
	}
	at := endpoint(config, name, query)
	var executor remotecommand.Executor
	var err error
	if method == http.MethodGet {
		executor, err = remotecommand.NewWebSocketExecutor(config, method, at.String())
	} else {
		executor, err = remotecommand.NewSPDYExecutor(config, method, at)
	}
	if err != nil {
		return "", err
	}
	var out text
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out})
	return out.String(), err
}

// grant gives a user rights in the namespace default, and waits until they count.
func grant(t *testing.T, admin *rest.Config, user string, verbs []string, resources ...string) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(admin)
	meta := metav1.ObjectMeta{Name: user, Namespace: "default"}
	_, err := client.RbacV1().Roles("default").Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{v1alpha1.GroupName}, Resources: resources, Verbs: verbs},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.RbacV1().RoleBindings("default").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEveryMethodOfAStreamNeedsTheVerbCreate(t *testing.T) {
	server, _ := startSimulated(t)
	streams := []string{"instances/exec", "instances/attach", "instances/portforward"}
	grant(t, server.Config, "reader", []string{"get"}, append(streams, "instances", "instances/log")...)
	grant(t, server.Config, "operator", []string{"create"}, streams...)
	grant(t, server.Config, "both", []string{"create", "get"}, streams...)
	kit.EventuallyState(t, "the roles count", func(ctx context.Context) (bool, string) {
		out, err := command(ctx, as(server.Config, "both"), "exec", http.MethodGet)
		return err == nil && out == "hello\n", out
	})
	for _, tc := range []struct {
		name, user, endpoint, method string
		says                         string // empty if it is permitted
	}{
		{"get alone is no right to a WebSocket of a command", "reader", "exec", http.MethodGet, `user "reader" needs the verb create`},
		{"get alone is no right to a WebSocket of an attachment", "reader", "attach", http.MethodGet, `user "reader" needs the verb create`},
		{"get alone is no right to SPDY", "reader", "exec", http.MethodPost, "cannot create resource \"instances/exec\""},
		{"create is the right to SPDY", "operator", "exec", http.MethodPost, ""},
		{"a WebSocket needs get too, as everywhere in Kubernetes", "operator", "exec", http.MethodGet, "cannot get resource \"instances/exec\""},
		{"both are the right to a WebSocket", "both", "exec", http.MethodGet, ""},
		{"a stranger has no right", "stranger", "exec", http.MethodPost, "cannot create resource \"instances/exec\""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			out, err := command(t.Context(), as(server.Config, tc.user), tc.endpoint, tc.method)
			switch {
			case tc.says == "" && (err != nil || out != "hello\n"):
				t.Errorf("got %q, %v", out, err)
			case tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says) || out != ""):
				t.Errorf("got %q, %v; want the error to have %q", out, err, tc.says)
			}
		})
	}
	t.Run("get alone is no right to a forwarded port", func(t *testing.T) {
		response, body := upgrade(t, as(server.Config, "reader"), "portforward", url.Values{"ports": {"8080"}})
		if response.StatusCode != http.StatusForbidden || !strings.Contains(body, "needs the verb create") {
			t.Errorf("got %d %s", response.StatusCode, body)
		}
	})
}

// upgrade asks for a WebSocket of port forwarding by GET.
func upgrade(t *testing.T, config *rest.Config, name string, query url.Values) (*http.Response, string) {
	t.Helper()
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, endpoint(config, name, query).String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for header, value := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Protocol": "SPDY/3.1+portforward.k8s.io",
	} {
		r.Header.Set(header, value)
	}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestAdmissionDecidesAboutStreams(t *testing.T) {
	server, _ := startSimulated(t)
	client := kubernetes.NewForConfigOrDie(server.Config)
	policy := harness.PolicyOn("no-shell", "v1alpha1", "InstanceExecOptions")
	policy.Spec.ParamKind = nil
	policy.Spec.MatchConstraints = &admissionregistrationv1.MatchResources{ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{{
		RuleWithOperations: admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Connect},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: []string{"instances/exec"}},
		},
	}}}
	policy.Spec.Validations = []admissionregistrationv1.Validation{{Expression: `object.command[0] != "echo"`, Message: "no commands here"}}
	if _, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), policy, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := client.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "no-shell"},
		Spec: admissionregistrationv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: "no-shell", ValidationActions: []admissionregistrationv1.ValidationAction{admissionregistrationv1.Deny},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		kit.EventuallyState(t, "the policy refuses the command by "+method, func(ctx context.Context) (bool, string) {
			out, err := command(ctx, server.Config, "exec", method)
			return err != nil && strings.Contains(err.Error(), "no commands here") && out == "", out
		})
	}
}

func TestAHostThatIsNotConnectedIsNamed(t *testing.T) {
	server, client := startSimulated(t)
	client.CreateHost(t, "away")
	client.CreateInstance(t, "lost")
	client.MustBind(t, "lost", "away")
	err := client.FleetV1alpha1().RESTClient().Get().Namespace("default").Resource("instances").Name("lost").SubResource("log").Do(t.Context()).Error()
	seconds, retry := apierrors.SuggestsClientDelay(err)
	if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "host away is connected to no server (it was never seen)") || !retry || seconds < 1 {
		t.Errorf("the log: %v, retry after %d s", err, seconds)
	}
	code, _, stderr := execute(t.Context(), server.Kubeconfig, "exec lost -- echo hello", "")
	if code != 1 || !strings.Contains(stderr, "host away is connected to no server (it was never seen)") {
		t.Errorf("the command ended with %d: %s", code, stderr)
	}
}

func TestAnotherHostOpensNoTunnel(t *testing.T) {
	server, _ := startSimulated(t)
	for user, groups := range map[string][]string{"system:host:other": {v1alpha1.HostsGroup}, "someone": {"system:masters"}} {
		path := "/apis/fleet.gatehouse.dev/v1alpha1/hosts/sim-1/tunnel"
		err := kubernetes.NewForConfigOrDie(as(server.Config, user, groups...)).RESTClient().Post().AbsPath(path).Do(t.Context()).Error()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v", user, err)
		}
	}
	if code, out, stderr := execute(t.Context(), server.Kubeconfig, "exec web -c web -- echo hello", ""); code != 0 || out != "hello\n" {
		t.Errorf("the host is not reachable afterwards: %d %s", code, stderr)
	}
}
