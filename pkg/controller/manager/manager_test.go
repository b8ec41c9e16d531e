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
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/informers"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// leases is a server that stores one lease.
type leases struct {
	lock  sync.Mutex
	lease *coordinationv1.Lease
}

func (l *leases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.lock.Lock()
	defer l.lock.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		var written coordinationv1.Lease
		if err := json.NewDecoder(r.Body).Decode(&written); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l.lease = &written
	}
	if l.lease == nil {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`))
		return
	}
	_ = json.NewEncoder(w).Encode(l.lease)
}

func (l *leases) holder() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.lease == nil {
		return "never acquired"
	}
	return ptr.Deref(l.lease.Spec.HolderIdentity, "")
}

func TestAReplicaThatCannotConstructItsControllersReleasesTheLease(t *testing.T) {
	stored := &leases{}
	server := httptest.NewServer(stored)
	defer server.Close()
	failure := errors.New("no such kind")
	terms := 0
	replica, err := newElected(leader.Config{
		Client: &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}, Namespace: "a", LeaseName: "b", Identity: "c",
		LeaseDuration: time.Hour, RenewDeadline: time.Minute, RetryPeriod: 10 * time.Second,
	}, func() (*term, error) {
		if terms++; terms == 1 {
			return &term{}, nil // it ends at once, and the next term begins
		}
		if got := stored.holder(); got != "c" {
			t.Errorf("constructing while %q holds the lease", got)
		}
		return nil, failure
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Run(t.Context()); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
	if got := stored.holder(); got != "" {
		t.Errorf("%q still holds the lease", got)
	}
}

func TestAnErrorOfAConstructorIsReturnedBeforeTheElection(t *testing.T) {
	failure := errors.New("no such kind")
	if _, err := newElected(leader.Config{}, func() (*term, error) { return nil, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
}

// function implements Runner.
type function func(context.Context) error

func (f function) Run(ctx context.Context) error { return f(ctx) }

func TestTheFirstErrorEndsTheOtherRunners(t *testing.T) {
	failure := errors.New("broken")
	if err := (Runners{
		function(func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}),
		function(func(context.Context) error { return failure }),
	}).Run(t.Context()); !errors.Is(err, failure) {
		t.Errorf("got %v, want %v", err, failure)
	}
}

func TestTheSelectedControllersAreConstructedEachAsItsOwnUser(t *testing.T) {
	for _, tc := range []struct {
		name     string
		selected Selection
		want     []string
	}{
		{"all", Selection{AllControllers}, append([]string{informers.Name}, FleetControllers()...)},
		{"none", nil, []string{informers.Name}},
		{"all but one", Selection{AllControllers, "-scheduler"}, []string{informers.Name, "app-controller", "release-controller", "host-lifecycle-controller", "ended-instance-collector"}},
		{"one", Selection{"scheduler"}, []string{informers.Name, "scheduler"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var made []string
			if _, err := newTerm(defaultFleet(), tc.selected, func(name string) *rest.Config {
				made = append(made, name)
				return &rest.Config{Host: "https://127.0.0.1:1"}
			}, informers.Name); err != nil || !slices.Equal(made, tc.want) {
				t.Errorf("made %v, %v, want %v", made, err, tc.want)
			}
		})
	}
}

func TestEveryDescriptorHasItsOwnNameAndRights(t *testing.T) {
	names := map[string]bool{}
	for _, d := range Descriptors() {
		if names[d.Name] || d.Name == "" || len(d.Rules) == 0 {
			t.Errorf("%q is a name twice, or has none of %d rules", d.Name, len(d.Rules))
		}
		names[d.Name] = true
	}
}

func TestAControllerHasNoCredentialsOfTheServer(t *testing.T) {
	loopback := &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "of-the-server", TLSClientConfig: rest.TLSClientConfig{CertData: []byte("c"), KeyData: []byte("k")}}
	if config := TokenConfig(loopback, "scheduler", "token"); len(config.CertData) > 0 || len(config.KeyData) > 0 || config.BearerToken != "token" {
		t.Errorf("it has the credentials %q, %q", config.CertData, config.BearerToken)
	}
	if config := impersonating(loopback, "system:controller:")("scheduler"); config.Impersonate.UserName != "system:controller:scheduler" || config.Impersonate.Groups != nil {
		t.Errorf("it impersonates %+v", config.Impersonate)
	}
}

func TestEveryDescribedControllerCanBeConstructed(t *testing.T) {
	config := func(string) *rest.Config { return &rest.Config{Host: "https://127.0.0.1:1"} }
	if _, err := NewStandalone(Standalone{Controllers: Selection{AllControllers}, Replica: "a", Identity: config}); err != nil {
		t.Error(err)
	}
	if _, _, err := NewSeparate(config(""), "system:controller:", NewOptions()); err != nil {
		t.Error(err)
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
		"a controller in a process of its own":             {impersonating(remote, "system:controller:")("scheduler"), ""},
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
