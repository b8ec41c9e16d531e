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
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
)

// A controller that ran as the server itself would have every right, and nothing would show what
// its role lacks.
func TestEveryControllerIsBoundToARoleOfItsOwn(t *testing.T) {
	bound := map[string]bool{}
	for _, object := range rbac.BootstrapObjects(controllerRoles()) {
		if binding, ok := object.Object.(*rbacv1.ClusterRoleBinding); ok && binding.Name != "cluster-admin" {
			for _, subject := range binding.Subjects {
				if subject.Kind == rbacv1.UserKind && binding.RoleRef.Name == subject.Name {
					bound[subject.Name] = true
				}
			}
		}
	}
	for _, name := range controllerUsers() {
		if !bound[name] {
			t.Errorf("no role of its own is bound to %s", name)
		}
	}
	identities := authentication.NewControllers()
	response, known, err := identities.AuthenticateToken(t.Context(), identities.Mint("scheduler"))
	if err != nil || !known || response.User.GetName() != "system:controller:scheduler" || slices.Contains(response.User.GetGroups(), user.SystemPrivilegedGroup) {
		t.Errorf("a token of the scheduler is of %+v, %v, %v", response, known, err)
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
		"a controller in the server":                  {manager.TokenConfig(loopback, "scheduler", "token"), ""},
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

func TestWrongFlagsOfControllersNameTheCure(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown controller", []string{"--controllers=scheduler,replicaset"}, `--controllers: there is no controller "replicaset": use *`},
		{"one both wanted and not", []string{"--controllers=scheduler,-scheduler"}, "--controllers: scheduler is both selected and excluded"},
		{"none left", []string{"--controllers="}, "--controllers selects none"},
		{"a lease that ends before its holder stops", []string{"--leader-elect-lease-duration=5s"}, "--leader-elect-lease-duration=5s must be longer than --leader-elect-renew-deadline=10s"},
		{"attempts too far apart", []string{"--leader-elect-retry-period=9s"}, "--leader-elect-retry-period=9s must be more than 0s and less than"},
		{"no lease", []string{"--leader-elect-resource-name="}, "--leader-elect-resource-name must not be empty"},
		{"a health address without a port", []string{"--health-address=127.0.0.1"}, `--health-address="127.0.0.1" is not of the form ADDR:PORT`},
		{"a bind address that is a name", []string{"--bind-address=localhost"}, `--bind-address="localhost" is not an IP address`},
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
