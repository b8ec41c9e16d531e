//go:build e2e

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

package e2e

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// execute executes "echo hello" in an instance through the kube-apiserver, by WebSocket (GET) or SPDY (POST).
func execute(ctx context.Context, user, ns, name, method string) (string, error) {
	config := rest.CopyConfig(env.cluster.Config)
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user}
	}
	at, err := url.Parse(config.Host)
	if err != nil {
		return "", err
	}
	at = at.JoinPath("apis/fleet.gatehouse.dev/v1alpha1/namespaces", ns, "instances", name, "exec")
	at.RawQuery = url.Values{"command": {"echo", "hello"}, "stdout": {"true"}}.Encode()
	var executor remotecommand.Executor
	if method == http.MethodGet {
		executor, err = remotecommand.NewWebSocketExecutor(config, method, at.String())
	} else {
		executor, err = remotecommand.NewSPDYExecutor(config, method, at)
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var out strings.Builder
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out})
	return out.String(), err
}

func TestStreamsReachInstancesThroughTheKubeAPIServer(t *testing.T) {
	ns := namespace(t, "streams")
	startFleet(t, 1)
	apply(t, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"web","namespace":"`+ns+`"},"spec":{"containers":[{"name":"web","image":"web:1"}]}}`)
	kubectl(t, "wait", "--for=condition=Ready", "--timeout=2m", "-n", ns, "instance/web")
	// One of the two replicas has the tunnel of the host; the other opens its streams there.
	eventually := func(what, user, method, want string) {
		t.Helper()
		kit.EventuallyState(t, what, func(ctx context.Context) (bool, string) {
			out, err := execute(ctx, user, ns, "web", method)
			return err == nil && out == want, out + errText(err)
		})
	}
	eventually("a command is executed by WebSocket", "", http.MethodGet, "hello\n")
	for range 4 { // the balancer leads to one replica after the other
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if out, err := execute(t.Context(), "", ns, "web", method); err != nil || out != "hello\n" {
				t.Errorf("a command by %s: %q, %v", method, out, err)
			}
		}
	}
	as := certified(t, env.gatehouse.Replicas...)
	for range env.gatehouse.Replicas {
		config := as("streams-administrator", "system:masters")
		log, err := versioned.NewForConfigOrDie(config).FleetV1alpha1().RESTClient().Get().Namespace(ns).Resource("instances").Name("web").SubResource("log").Do(t.Context()).Raw()
		if err != nil || len(log) == 0 {
			t.Errorf("the replica at %s has %q as the log, %v", config.Host, log, err)
		}
	}

	kubectl(t, "create", "role", "onlooker", "-n", ns, "--verb=get", "--resource=instances.fleet.gatehouse.dev/exec,instances.fleet.gatehouse.dev/log")
	kubectl(t, "create", "rolebinding", "onlooker", "-n", ns, "--role=onlooker", "--user=onlooker")
	kubectl(t, "create", "rolebinding", "editor", "-n", ns, "--clusterrole=edit", "--user=editor")
	kit.EventuallyState(t, "the kube-apiserver lets the onlooker pass, and Gatehouse refuses the command", func(ctx context.Context) (bool, string) {
		out, err := execute(ctx, "onlooker", ns, "web", http.MethodGet)
		return out == "" && strings.Contains(errText(err), `user "onlooker" needs the verb create`), out + errText(err)
	})
	eventually("an editor executes a command", "editor", http.MethodGet, "hello\n")
}
