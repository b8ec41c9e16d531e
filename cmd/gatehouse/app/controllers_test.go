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

package app

import (
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/hostlifecycle"
)

// A controller that worked as the server itself could do everything, and nobody would notice
// what its role lacks.
func TestEveryControllerIsAUserOfItsOwnWithARoleOfItsOwn(t *testing.T) {
	loopback := &rest.Config{Host: "https://127.0.0.1:1", BearerToken: "of-the-server", TLSClientConfig: rest.TLSClientConfig{CertData: []byte("c"), KeyData: []byte("k")}}
	bound := map[string]bool{}
	for _, object := range rbac.BootstrapObjects() {
		if binding, ok := object.Object.(*rbacv1.ClusterRoleBinding); ok && binding.Name != "cluster-admin" {
			for _, subject := range binding.Subjects {
				if subject.Kind == rbacv1.UserKind && binding.RoleRef.Name == subject.Name {
					bound[subject.Name] = true
				}
			}
		}
	}
	identities := authentication.NewControllers()
	tokens := map[string]string{}
	constructors := slices.Concat(clusterControllers(), fleetControllers(hostlifecycle.DefaultOptions(), 0))
	all, err := newTerm(constructors, options.Controllers{options.AllControllers}, func(name string) *rest.Config {
		config := controllerConfig(loopback, name, identities.Mint(name))
		if len(config.CertData) > 0 || len(config.KeyData) > 0 || config.BearerToken == loopback.BearerToken {
			t.Errorf("%s has the server's own credentials", name)
		}
		tokens[name] = config.BearerToken
		return &rest.Config{Host: config.Host}
	})
	if err != nil {
		t.Fatal(err)
	}
	// One more than there are controllers: what they share of watches.
	if len(all) != len(constructors)+1 || len(tokens) != len(all) {
		t.Errorf("%d of %d controllers have %d names", len(all), len(constructors), len(tokens))
	}
	for name, token := range tokens {
		response, known, err := identities.AuthenticateToken(t.Context(), token)
		if err != nil || !known {
			t.Fatalf("nobody knows %s: %v", name, err)
		}
		who := response.User
		if !strings.HasPrefix(who.GetName(), authentication.ControllerUserPrefix) || slices.Contains(who.GetGroups(), user.SystemPrivilegedGroup) {
			t.Errorf("%s is %s in %v", name, who.GetName(), who.GetGroups())
		}
		if !bound[who.GetName()] {
			t.Errorf("no role of its own is bound to %s", who.GetName())
		}
	}
}

func TestAControllerInAProcessOfItsOwnIsAUserOfItsOwnToo(t *testing.T) {
	var names []string
	if _, err := newTerm(fleetControllers(hostlifecycle.DefaultOptions(), 0), options.Controllers{options.AllControllers}, func(name string) *rest.Config {
		names = append(names, name)
		return impersonatedController(&rest.Config{Host: "https://127.0.0.1:1", BearerToken: "of-the-administrator"}, name)
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		config := impersonatedController(&rest.Config{BearerToken: "of-the-administrator"}, name)
		if want := (rest.ImpersonationConfig{UserName: authentication.ControllerUserPrefix + name}); !reflect.DeepEqual(config.Impersonate, want) {
			t.Errorf("%s passes for %+v, want %+v", name, config.Impersonate, want)
		}
	}
}

// A client takes gzip unless it is told not to, and then the server compresses long lists, and
// each event of a watch that began with what was there.
func TestOurOwnClientsTakeNothingCompressed(t *testing.T) {
	asked := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Accept-Encoding")
	}))
	defer server.Close()
	// client-go heeds what a configuration says of compression only where it says something of TLS.
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	remote := &rest.Config{Host: server.URL, TLSClientConfig: rest.TLSClientConfig{CAData: ca}}

	o := options.NewOptions()
	o.Mode, o.DataDir = options.ModeStandalone, t.TempDir()
	var err error
	if o.Serving.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	defer o.Serving.Listener.Close()
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := certificates.Ensure(completed.CertificateDir(), certificateOptions(completed))
	if err != nil {
		t.Fatal(err)
	}
	generic := genericapiserver.NewConfig(serializer.NewCodecFactory(runtime.NewScheme()))
	if err := applyServing(completed, bundle, generic); err != nil {
		t.Fatal(err)
	}
	loopback := rest.AnonymousClientConfig(generic.LoopbackClientConfig)
	loopback.Host, loopback.TLSClientConfig = remote.Host, remote.TLSClientConfig

	for name, tc := range map[string]struct {
		config *rest.Config
		want   string
	}{
		"the loopback client":                         {loopback, ""},
		"a controller in the server":                  {controllerConfig(loopback, "scheduler", "token"), ""},
		"a controller in a process of its own":        {impersonatedController(remote, "scheduler"), ""},
		"its election":                                {electionConfig(remote), ""},
		"anybody else, by which this test could fail": {remote, "gzip"},
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
			t.Errorf("%s asks for %q, want %q", name, got, tc.want)
		}
	}
}

func TestTheFlagKnowsAllControllers(t *testing.T) {
	for _, list := range []struct {
		constructors []constructor
		known        []string
	}{{clusterControllers(), options.ClusterControllers()}, {fleetControllers(hostlifecycle.DefaultOptions(), 0), options.FleetControllers()}, {separateControllers(0), options.SeparateControllers()}} {
		var names []string
		for _, c := range list.constructors {
			names = append(names, c.name)
		}
		slices.Sort(names)
		if known := slices.Sorted(slices.Values(list.known)); !slices.Equal(names, known) {
			t.Errorf("the flag knows %v, there are %v", known, names)
		}
	}
}

func TestWhichControllersAreMade(t *testing.T) {
	for _, tc := range []struct {
		name     string
		selected options.Controllers
		want     []string
	}{
		{"all", options.Controllers{"*"}, []string{"shared-informers", "app-controller", "release-controller", "scheduler", "host-lifecycle-controller", "ended-instance-collector"}},
		{"none", nil, []string{"shared-informers"}},
		{"all but one", options.Controllers{"*", "-scheduler"}, []string{"shared-informers", "app-controller", "release-controller", "host-lifecycle-controller", "ended-instance-collector"}},
		{"one", options.Controllers{"scheduler"}, []string{"shared-informers", "scheduler"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var made []string
			if _, err := newTerm(fleetControllers(hostlifecycle.DefaultOptions(), 0), tc.selected, func(name string) *rest.Config {
				made = append(made, name)
				return &rest.Config{Host: "https://127.0.0.1:1"}
			}); err != nil || !slices.Equal(made, tc.want) {
				t.Errorf("made %v, %v, want %v", made, err, tc.want)
			}
		})
	}
}

func TestWrongFlagsOfControllersNameTheCure(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown controller", []string{"--controllers=scheduler,replicaset"}, `--controllers: there is no controller "replicaset": use *`},
		{"one both wanted and not", []string{"--controllers=scheduler,-scheduler"}, "--controllers: scheduler is both asked for and left out"},
		{"none left", []string{"--controllers="}, "--controllers leaves none to run"},
		{"a lease that ends before its holder stops", []string{"--leader-elect-lease-duration=5s"}, "--leader-elect-lease-duration=5s must be longer than --leader-elect-renew-deadline=10s"},
		{"attempts too far apart", []string{"--leader-elect-retry-period=9s"}, "--leader-elect-retry-period=9s must be more than 0s and less than"},
		{"no lease", []string{"--leader-elect-resource-name="}, "--leader-elect-resource-name must not be empty"},
		{"a health address without a port", []string{"--health-address=127.0.0.1"}, `--health-address="127.0.0.1" is not of the form ADDR:PORT`},
		{"no server", nil, "--kubeconfig is required outside a cluster"},
		{"a kubeconfig that is missing", []string{"--kubeconfig=testdata/missing"}, "--kubeconfig=testdata/missing: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			cmd := newControllersCommand()
			cmd.SilenceErrors, cmd.SilenceUsage = true, true
			cmd.SetArgs(tc.args)
			if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
