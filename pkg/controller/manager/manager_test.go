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

package manager

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
)

const userPrefix = "system:controller:"

func TestAControllerInASeparateProcessIsImpersonated(t *testing.T) {
	var names []string
	administrator := &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "of-the-administrator"}
	if _, err := constructTerm(fleetControllers(hostlifecycle.DefaultOptions(), 0), Selection{AllControllers}, func(name string) *rest.Config {
		names = append(names, name)
		return impersonating(administrator, userPrefix)(name)
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		config := impersonating(administrator, userPrefix)(name)
		if want := (rest.ImpersonationConfig{UserName: userPrefix + name}); !reflect.DeepEqual(config.Impersonate, want) {
			t.Errorf("%s acts as %+v, want %+v", name, config.Impersonate, want)
		}
	}
}

// A client accepts gzip by default, and then the server compresses long lists, and each event of a
// watch with initial events.
func TestClientsOfControllersRequestNoCompression(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Accept-Encoding")
	}))
	defer server.Close()
	// client-go ignores DisableCompression without a configuration of TLS.
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	remote := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}
	for name, tc := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"a controller in the server":                       {TokenConfig(remote, "scheduler", "token"), ""},
		"a controller in a process of its own":             {impersonating(remote, userPrefix)("scheduler"), ""},
		"its election":                                     {electionConfig(remote), ""},
		"another client, which shows that this test works": {remote, "gzip"},
	} {
		client, err := rest.HTTPClientFor(tc.config)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Get(tc.config.Host)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		response.Body.Close()
		if got := <-asked; got != tc.want {
			t.Errorf("%s requests %q, want %q", name, got, tc.want)
		}
	}
}

func TestTheFlagListsAllControllers(t *testing.T) {
	for _, list := range []struct {
		constructors []constructor
		listed       []string
	}{{clusterControllers(), ClusterControllers()}, {fleetControllers(hostlifecycle.DefaultOptions(), 0), FleetControllers()}, {separateControllers(hostlifecycle.DefaultOptions(), 0), SeparateControllers()}} {
		var names []string
		for _, c := range list.constructors {
			names = append(names, c.name)
		}
		slices.Sort(names)
		if listed := slices.Sorted(slices.Values(list.listed)); !slices.Equal(names, listed) {
			t.Errorf("the flag lists %v, there are %v", listed, names)
		}
	}
}

func TestSelectedControllersAreConstructed(t *testing.T) {
	for _, tc := range []struct {
		name     string
		selected Selection
		want     []string
	}{
		{"all", Selection{"*"}, []string{"shared-informers", "app-controller", "release-controller", "scheduler", "host-lifecycle-controller", "ended-instance-collector"}},
		{"none", nil, []string{"shared-informers"}},
		{"all but one", Selection{"*", "-scheduler"}, []string{"shared-informers", "app-controller", "release-controller", "host-lifecycle-controller", "ended-instance-collector"}},
		{"one", Selection{"scheduler"}, []string{"shared-informers", "scheduler"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var made []string
			if _, err := constructTerm(fleetControllers(hostlifecycle.DefaultOptions(), 0), tc.selected, func(name string) *rest.Config {
				made = append(made, name)
				return &rest.Config{Host: "https://127.0.0.1:1"}
			}); err != nil || !slices.Equal(made, tc.want) {
				t.Errorf("made %v, %v, want %v", made, err, tc.want)
			}
		})
	}
}

// runnerFunc adapts a function to a Runner.
type runnerFunc func(context.Context) error

func (f runnerFunc) Run(ctx context.Context) error { return f(ctx) }

func TestTheFirstErrorEndsAllRunners(t *testing.T) {
	failure := errors.New("no connection")
	ended := false
	err := Runners{
		runnerFunc(func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil }),
		runnerFunc(func(context.Context) error { return failure }),
	}.Run(t.Context())
	if !errors.Is(err, failure) || !ended {
		t.Errorf("got %v, ended %t", err, ended)
	}
}
