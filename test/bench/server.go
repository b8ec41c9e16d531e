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
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	readyTimeout = time.Minute
	// readyPoll is the poll interval of /readyz, and so the resolution of the measurement.
	readyPoll = time.Millisecond
)

// phase is a step of the start, as `gatehouse up` prints it.
type phase struct {
	name string
	took time.Duration
}

// server is a running `gatehouse up`.
type server struct {
	*program
	dir     string
	address string

	mu     sync.Mutex
	phases []phase
}

// startServer starts the binary on a data directory and a free port, with additional flags.
// It ends with stop, and at the latest with the context.
func (e *environment) startServer(ctx context.Context, dataDir string, flags ...string) (*server, error) {
	address, err := kit.FreeAddress()
	if err != nil {
		return nil, err
	}
	return e.launch(ctx, dataDir, address, append([]string{"up", "--data-dir", dataDir, "--listen", address}, flags...)...)
}

// clusterControllers returns the flag for all controllers except those of the fleet, which run in a
// separate process if the server is under load: a scheduler would react to each created
// instance with its own writes.
func clusterControllers() string {
	return "--controllers=" + strings.Join(manager.ClusterControllers(), ",")
}

// clusterControllersNote is the note about them in a section.
const clusterControllersNote = "controllers: those of a cluster (garbage, namespaces, quotas, service accounts), not those of the fleet, which answer each create with writes of their own"

// startAPIServer starts the same server with flags that `gatehouse up` lacks, and without
// the controllers of the fleet.
func (e *environment) startAPIServer(ctx context.Context, dataDir string, flags ...string) (*server, error) {
	address, err := kit.FreeAddress()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	args := append([]string{"apiserver", "--mode=standalone", "--data-dir", dataDir, "--bind-address", host, "--secure-port", port,
		clusterControllers()}, flags...)
	return e.launch(ctx, dataDir, address, args...)
}

func (e *environment) launch(ctx context.Context, dataDir, address string, args ...string) (*server, error) {
	s := &server{dir: dataDir, address: address}
	var err error
	s.program, err = start(ctx, "the server", s.line, e.gatehouse, args...)
	return s, err
}

func (s *server) line(text string) {
	if p, ok := parsePhase(text); ok {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.phases = append(s.phases, p)
	}
}

var phaseLine = regexp.MustCompile(`^ {2}(\S.*?) +(\d+) ms$`)

// parsePhase parses a line such as "  configuration          2 ms".
func parsePhase(line string) (phase, bool) {
	match := phaseLine.FindStringSubmatch(line)
	if match == nil {
		return phase{}, false
	}
	took, err := strconv.Atoi(match[2])
	return phase{match[1], time.Duration(took) * time.Millisecond}, err == nil
}

// waitReady polls /readyz until it returns 200, and returns the time since exec.
func (s *server) waitReady(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	// The request needs no credentials, but the client must verify the server. At a first start the
	// authority is available once the kubeconfig exists, which is before the server is ready.
	client := &http.Client{}
	defer client.CloseIdleConnections()
	for {
		if client.Transport == nil {
			client.Transport = s.anonymousTransport()
		}
		if client.Transport != nil && s.isReady(ctx, client) {
			return time.Since(s.started), nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("the server is not ready: %w\n%s", ctx.Err(), s.said())
		case <-s.ended:
			return 0, fmt.Errorf("the server ended before it was ready: %w\n%s", s.err, s.said())
		case <-time.After(readyPoll):
		}
	}
}

func (s *server) isReady(ctx context.Context, client *http.Client) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode == http.StatusOK
}

// anonymousTransport verifies the server and sends no certificate; nil while there is no
// kubeconfig.
func (s *server) anonymousTransport() http.RoundTripper {
	config, err := s.restConfig()
	if err != nil {
		return nil
	}
	transport, err := rest.TransportFor(rest.AnonymousClientConfig(config))
	if err != nil {
		return nil
	}
	return transport
}

// startPhases returns the phases printed so far.
func (s *server) startPhases() []phase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]phase(nil), s.phases...)
}

func (s *server) kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }

// etcdEndpoint returns the unix socket of the server's own etcd.
func (s *server) etcdEndpoint() string { return "unix://" + filepath.Join(s.dir, "etcd", "etcd.sock") }

// restConfig returns the administrator's client configuration: protobuf, no client-side limit.
func (s *server) restConfig() (*rest.Config, error) {
	return configFrom(s.kubeconfig())
}

func configFrom(kubeconfig string) (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	return config, nil
}

// clientUser is the user of the clients. It has a role, like most users in production.
// The administrator would be exempt from flow control and RBAC.
const clientUser = "bench"

// userConfig creates the user and its role, and returns its client configuration when
// both are in effect.
func (e *environment) userConfig(ctx context.Context, s *server) (*rest.Config, error) {
	config, err := s.restConfig()
	if err != nil {
		return nil, err
	}
	admin, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	meta := metav1.ObjectMeta{Name: clientUser}
	if _, err := admin.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
		{Verbs: []string{"*"}, APIGroups: []string{fleet.GroupName}, Resources: []string{"*"}},
	}}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	if _, err := admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clientUser},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: clientUser}},
	}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	file := filepath.Join(s.dir, "bench.kubeconfig")
	if output, err := exec.CommandContext(ctx, e.gatehouse, "user", "add", clientUser, "--data-dir", s.dir, "--out", file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("gatehouse user add: %w\n%s", err, output)
	}
	if config, err = configFrom(file); err != nil {
		return nil, err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return config, wait.PollUntilContextTimeout(ctx, 10*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		_, err := client.FleetV1alpha1().Hosts().List(ctx, metav1.ListOptions{Limit: 1})
		if apierrors.IsForbidden(err) {
			return false, nil // the authorizer reads the binding by watch
		}
		return err == nil, err
	})
}
