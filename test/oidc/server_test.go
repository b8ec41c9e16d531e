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

package oidc

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/browser"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestMain(m *testing.M) {
	browser.Main()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil))) // the provider's log
	os.Exit(m.Run())
}

// header begins an AuthenticationConfiguration.
const header = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n"

// server is a `gatehouse up` with an AuthenticationConfiguration.
type server struct {
	*binary.Server
	admin *kubernetes.Clientset
	file  string
}

// startServer starts a server with issuers. Developers may view the namespace default.
func startServer(t *testing.T, issuers string) *server {
	t.Helper()
	s := &server{file: filepath.Join(t.TempDir(), "authentication.yaml")}
	s.write(t, issuers)
	s.Server = binary.Start(t, binary.DataDir(t), "--authentication-config="+s.file)
	s.admin = kubernetes.NewForConfigOrDie(s.Config)
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "developers"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "oidc:developers"}},
	}
	if _, err := s.admin.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// write replaces the file of --authentication-config as an editor does.
func (s *server) write(t *testing.T, issuers string) {
	t.Helper()
	if err := os.WriteFile(s.file+".new", []byte(header+issuers), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(s.file+".new", s.file); err != nil {
		t.Fatal(err)
	}
}

// seat is where a user works: a kubeconfig, a home, a cache and a browser.
type seat struct {
	t           *testing.T
	user        browser.User
	environment []string
	// cache and kubeconfig are the paths of the cached tokens and of the kubeconfig.
	cache, kubeconfig string
	// login are the arguments of `gatehouse user login`.
	login []string
}

// seat writes a kubeconfig by `gatehouse kubeconfig --oidc` with more flags.
func (s *server) seat(t *testing.T, p *provider, user string, flags ...string) *seat {
	t.Helper()
	kit.EventuallyState(t, "the server has the keys of the provider", func(ctx context.Context) (bool, string) {
		got := s.who(ctx, s.callers(t), p.token(t, nil))
		return strings.Contains(got, ":ada "), got
	})
	home := t.TempDir()
	authority, kubeconfig := filepath.Join(home, "ca.pem"), filepath.Join(home, "kubeconfig")
	if err := os.WriteFile(authority, []byte(p.ca), 0o600); err != nil {
		t.Fatal(err)
	}
	at := &seat{t: t, user: p.user(t, user), cache: filepath.Join(home, "cache", "gatehouse", "login"), kubeconfig: kubeconfig}
	at.environment = []string{"HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"), "KUBECONFIG=" + kubeconfig, "PATH=" + os.Getenv("PATH")}
	at.browse()
	at.login = append([]string{"--issuer-url=" + p.url, "--client-id=" + client, "--ca-file=" + authority, "--scopes=offline_access,groups"}, flags...)
	written := at.run(binary.Path(t), append([]string{"kubeconfig", "--oidc", "--data-dir=" + s.DataDir, "--command=" + binary.Path(t)}, at.login...)...)
	if written.err != nil {
		t.Fatalf("gatehouse kubeconfig --oidc: %v\n%s", written.err, written.stderr)
	}
	if err := os.WriteFile(kubeconfig, []byte(written.stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return at
}

// browse makes the user's browser that of later commands.
func (at *seat) browse() {
	at.t.Helper()
	at.environment = append(at.environment, at.user.Environment(at.t)...) // the last value counts
}

// output is the result of a program.
type output struct {
	stdout, stderr string
	err            error
}

// run runs a program at the seat.
func (at *seat) run(program string, arguments ...string) output {
	at.t.Helper()
	return at.runWith(at.t.Context(), nil, program, arguments...)
}

// runWith is run with a writer that gets standard error as well.
func (at *seat) runWith(ctx context.Context, watch io.Writer, program string, arguments ...string) output {
	at.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, binary.Patience)
	defer cancel()
	command := exec.CommandContext(ctx, program, arguments...)
	command.Env = at.environment
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if watch != nil {
		command.Stderr = io.MultiWriter(&stderr, watch)
	}
	err := command.Run()
	return output{stdout.String(), stderr.String(), err}
}

// kubectl runs kubectl at the seat.
func (at *seat) kubectl(arguments ...string) output {
	at.t.Helper()
	return at.run(kubectl(at.t), arguments...)
}

// whoami is the output format for the user and groups that the server sees.
const whoami = `jsonpath={.status.userInfo.username} {.status.userInfo.groups}`

// whoami returns the user and groups that the server sees, or the error.
func (at *seat) whoami() string {
	at.t.Helper()
	got := at.kubectl("auth", "whoami", "-o", whoami)
	if got.err != nil {
		return got.stderr
	}
	return got.stdout
}

// kubectl returns the path of the kubectl that `make build` builds.
func kubectl(t *testing.T) string {
	t.Helper()
	path := os.Getenv("GATEHOUSE_KUBECTL")
	if path == "" {
		path = filepath.Join(filepath.Dir(binary.Path(t)), "kubectl")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("kubectl is missing (%v): run `make build`", err)
	}
	return path
}

// mustContain fails the test unless the text contains every part.
func mustContain(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
