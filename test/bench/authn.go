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

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/kit/idp"
)

// authnBench are the flags of bench authn, besides those of bench authz.
type authnBench struct {
	authzBench
	local bool
}

func newAuthnCommand(e *environment) *cobra.Command {
	b := &authnBench{authzBench: authzBench{environment: e}}
	cmd := &cobra.Command{
		Use:   "authn",
		Short: "Share of authentication and authorization in a get and a create with each authenticator, by the server's own metrics",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := e.complete(); err != nil {
				return err
			}
			if b.clients < 1 || b.requests < 1 || b.rounds < 1 || b.warmUp < 0 {
				return errors.New("--clients, --requests and --rounds must be 1 or more; --warm-up must not be negative")
			}
			return b.run(cmd.Context(), cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&b.clients, "clients", 1, "Clients that send requests concurrently.")
	flags.IntVar(&b.requests, "requests", 2000, "Requests of each kind with each authenticator.")
	flags.IntVar(&b.warmUp, "warm-up", 300, "Requests that come first and do not count.")
	flags.IntVar(&b.rounds, "rounds", 3, "Number of measurements, each with a new server; medians are printed.")
	flags.BoolVar(&b.local, "local", false, "Only authenticators without another server, for versions that have no providers and no webhook.")
	return cmd
}

// authenticators are measured in this order.
var authenticators = []string{"client certificate", "token file", "service account", "bootstrap token", "OIDC, cached", "OIDC, verified each time", "webhook, cached"}

func (b *authnBench) names() []string {
	if b.local {
		return authenticators[:4]
	}
	return authenticators
}

func (b *authnBench) run(ctx context.Context, out io.Writer) error {
	results := map[string][][]times{}
	for i := range b.rounds {
		round, err := b.round(ctx)
		if err != nil {
			return err
		}
		for name, measured := range round {
			results[name] = append(results[name], measured)
		}
		fmt.Fprintf(os.Stderr, "round %d of %d is done\n", i+1, b.rounds)
	}
	fmt.Fprintln(out, "## Authentication and authorization with each authenticator")
	fmt.Fprintln(out)
	b.describe(out,
		fmt.Sprintf("settings: %d requests of each kind with each authenticator by %d client(s); protobuf; fsync on; %s", b.requests, b.clients, clusterControllersNote),
		"source: means of authentication_duration_seconds, authorization_duration_seconds and apiserver_request_duration_seconds of the server itself",
		fmt.Sprintf("rounds: %d, each with a new server; medians of the rounds", b.rounds))
	t := &table{header: []string{"request", "authenticator", "whole", "authentication", "authorization", "share of both"}}
	for kind, request := range []string{"get an instance", "create an instance"} {
		for _, name := range b.names() {
			of := func(which func(times) time.Duration) string {
				return micros(medianOf(results[name], func(r []times) time.Duration { return r[kind].each(which(r[kind])) }))
			}
			share := medianOf(results[name], func(r []times) float64 {
				return float64(r[kind].authentication+r[kind].authorization) / float64(max(r[kind].request, 1))
			})
			t.add(request, name, of(func(r times) time.Duration { return r.request }), of(func(r times) time.Duration { return r.authentication }),
				of(func(r times) time.Duration { return r.authorization }), fmt.Sprintf("%.1f %%", 100*share))
		}
	}
	t.write(out)
	fmt.Fprintln(out, "- load of the machine after:", loadAverage())
	return nil
}

// round measures every authenticator on one new server.
func (b *authnBench) round(ctx context.Context) (round map[string][]times, err error) {
	root, remove, err := b.newDir()
	if err != nil {
		return nil, err
	}
	defer remove()
	remote, err := startRemote(root)
	if err != nil {
		return nil, err
	}
	defer remote.close()
	s, err := b.startAPIServer(ctx, filepath.Join(root, "data"), remote.flags(b.local)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if _, err := s.waitReady(ctx); err != nil {
		return nil, err
	}
	certificate, err := b.userConfig(ctx, s)
	if err != nil {
		return nil, err
	}
	config, err := s.restConfig()
	if err != nil {
		return nil, err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	callers, err := b.callers(ctx, admin, certificate, remote)
	if err != nil {
		return nil, err
	}
	round = map[string][]times{}
	for i, name := range b.names() {
		if err := awaitCaller(ctx, callers[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if round[name], err = b.measure(ctx, callers[name], admin.Discovery().RESTClient(), fmt.Sprintf("a%d-", i)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return round, nil
}

// callers creates the users of all authenticators, with the role of userConfig, and returns their clients.
func (b *authnBench) callers(ctx context.Context, admin kubernetes.Interface, certificate *rest.Config, remote *remote) (map[string]*rest.Config, error) {
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "callers"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clientUser},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "caller"}},
	}
	for _, name := range []string{"file-caller", "system:bootstrap:caller", "oidc:ada", "webhook-caller"} {
		binding.Subjects = append(binding.Subjects, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name})
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	accounts := admin.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "caller"}}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	account, err := accounts.CreateToken(ctx, "caller", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	if _, err := admin.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-caller"}, Type: "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"token-id": "caller", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"},
	}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	person, err := remote.provider.Signed(remote.key, nil)
	if err != nil {
		return nil, err
	}
	with := func(token string) *rest.Config {
		config := rest.AnonymousClientConfig(certificate)
		config.BearerToken = token
		return config
	}
	fresh := rest.AnonymousClientConfig(certificate)
	fresh.Wrap(func(next http.RoundTripper) http.RoundTripper { return &newTokens{RoundTripper: next, remote: remote} })
	return map[string]*rest.Config{
		"client certificate": certificate, "token file": with("file-token"), "service account": with(account.Status.Token), "bootstrap token": with("caller.0123456789abcdef"),
		"OIDC, cached": with(person), "OIDC, verified each time": fresh, "webhook, cached": with("webhook-token"),
	}, nil
}

// awaitCaller waits until the user is authenticated and its role is in effect.
func awaitCaller(ctx context.Context, config *rest.Config) error {
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		_, err := client.FleetV1alpha1().Hosts().List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// newTokens sends another token of the same user with each request.
type newTokens struct {
	http.RoundTripper
	remote *remote
	number atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (n *newTokens) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := n.remote.provider.Signed(n.remote.key, map[string]any{"jti": fmt.Sprint(n.number.Add(1))})
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	return n.RoundTripper.RoundTrip(r)
}

// remote are the servers on which authenticators depend, in this process, and the files for their flags.
type remote struct {
	dir      string
	provider *idp.Provider
	key      *idp.Key
	webhook  *httptest.Server
}

func startRemote(dir string) (*remote, error) {
	key, err := idp.GenerateKey("one")
	if err != nil {
		return nil, err
	}
	r := &remote{dir: dir, provider: idp.Start(), key: key, webhook: httptest.NewTLSServer(http.HandlerFunc(reviewCaller))}
	r.provider.Publish(key)
	var failed []error
	for name, content := range map[string]string{
		"tokens.csv":          "file-token,file-caller,1\n",
		"authentication.yaml": idp.Header + r.provider.Entry("oidc:", ""),
		"webhook.kubeconfig":  kit.ServiceKubeconfig(r.webhook),
	} {
		failed = append(failed, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return r, errors.Join(failed...)
}

func (r *remote) close() {
	r.provider.Close()
	r.webhook.Close()
}

// flags returns those of the server.
func (r *remote) flags(local bool) []string {
	flags := []string{"--token-auth-file=" + filepath.Join(r.dir, "tokens.csv"), "--enable-bootstrap-token-auth"}
	if local {
		return flags
	}
	return append(flags, "--authentication-config="+filepath.Join(r.dir, "authentication.yaml"), "--authentication-token-webhook-config-file="+filepath.Join(r.dir, "webhook.kubeconfig"))
}

// reviewCaller accepts one token.
func reviewCaller(w http.ResponseWriter, r *http.Request) {
	var review authenticationv1.TokenReview
	_ = json.NewDecoder(r.Body).Decode(&review)
	review.Status.Authenticated = review.Spec.Token == "webhook-token"
	review.Status.User.Username = "webhook-caller"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review)
}
