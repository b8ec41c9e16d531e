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

package doctor_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

func TestNothingIsWrongWithAHealthyCluster(t *testing.T) {
	c := healthyCluster(t)
	healthy(t, c.run(t))
	if len(c.subjects) != 6 || slices.ContainsFunc(c.subjects, func(s string) bool { return s != "system:serviceaccount:gatehouse-system:gatehouse" }) {
		t.Errorf("the rights of %q were reviewed, and not six of the server's account", c.subjects)
	}
	t.Run("before the first start, seen by the pod", func(t *testing.T) {
		c := healthyCluster(t)
		c.BeforeStart, c.ServiceAccount, c.Connect = true, "", "127.0.0.1:1"
		c.discovery("apps Current")
		c.endpoints()
		c.change("", []object{{"type": "Available", "status": "False", "reason": "MissingEndpoints"}}, "status", "conditions")
		healthy(t, c.run(t))
		if slices.ContainsFunc(c.subjects, func(s string) bool { return s != "" }) {
			t.Errorf("the rights of %q were reviewed, and not those of this user", c.subjects)
		}
	})
	t.Run("with a certificate that is renewed every day", func(t *testing.T) {
		c := healthyCluster(t)
		c.lifetime = 24 * time.Hour
		c.serve(t, c.clock.Now().Add(12*time.Hour), serviceName)
		healthy(t, c.run(t))
	})
	t.Run("with a new authority beside the old one", func(t *testing.T) {
		c := healthyCluster(t)
		other, _ := newAuthority(t, "gatehouse-ca-new", c.clock.Now().Add(9*365*24*time.Hour))
		c.change("", slices.Concat(other, c.ca), "spec", "caBundle")
		healthy(t, c.run(t))
	})
}

// withCertificate makes the server serve a certificate that ends after a time.
func withCertificate(left time.Duration, names ...string) func(*testing.T, *cluster) {
	return func(t *testing.T, c *cluster) { c.serve(t, c.clock.Now().Add(left), names...) }
}

func TestEachFaultOfARegistrationIsFoundAndItsCureIsNamed(t *testing.T) {
	covered := map[string]bool{}
	condition := func(reason string) func(*testing.T, *cluster) {
		return func(_ *testing.T, c *cluster) {
			c.change("", []object{{"type": "Available", "status": "False", "reason": reason, "message": "because"}}, "status", "conditions")
		}
	}
	for _, row := range []struct {
		name  string
		plant func(t *testing.T, c *cluster)
		want
	}{
		{"kube-apiserver does not respond", func(_ *testing.T, c *cluster) { c.Config.Host = "http://127.0.0.1:1" }, want{"cluster", doctor.Broken, "does not respond", "--kubeconfig"}},
		{"kube-apiserver is not ready", func(_ *testing.T, c *cluster) { c.answers["/readyz"] = 500 }, want{"cluster", doctor.Broken, "is not ready", "readyz?verbose"}},
		{"the credentials are not accepted", func(_ *testing.T, c *cluster) { c.answers["/readyz"] = 401 }, want{"cluster", doctor.Broken, "does not accept the credentials", "--kubeconfig"}},
		{"the clock of the cluster is ahead", func(_ *testing.T, c *cluster) { c.ahead = 10 * time.Minute }, want{"clock", doctor.Broken, "that of kube-apiserver at", "NTP"}},
		{"the cluster is too old", func(_ *testing.T, c *cluster) { c.change("/version", "34", "minor") }, want{"skew", doctor.Warning, "1.34, more than 2 minor versions older", "upgrade the cluster"}},
		{"the cluster is newer", func(_ *testing.T, c *cluster) { c.change("/version", "38", "minor") }, want{"skew", doctor.Warning, "1.38, which is newer", "upgrade Gatehouse"}},
		{"the server is no cluster", func(_ *testing.T, c *cluster) { c.change("/version", "x", "minor") }, want{"skew", doctor.Broken, "has the version", "kubeconfig of a Kubernetes cluster"}},
		{"discovery is slow", slow("/apis", 3*time.Second), want{"discovery", doctor.Warning, "it takes 3s", "kubectl get apiservices"}},
		{"the groups are not in discovery", func(_ *testing.T, c *cluster) { c.discovery("apps Current") }, want{"discovery", doctor.Broken, "fleet.gatehouse.dev/v1alpha1 is not in it", "apiservices"}},
		{"a group does not respond", func(_ *testing.T, c *cluster) {
			c.discovery("apps Current", "fleet.gatehouse.dev Stale", "diagnostics.gatehouse.dev Current")
		}, want{"discovery", doctor.Broken, "fleet.gatehouse.dev/v1alpha1 is not in it", "endpoints"}},
		{"a group of another server does not respond", func(_ *testing.T, c *cluster) {
			c.discovery("metrics.k8s.io Stale", "fleet.gatehouse.dev Current", "diagnostics.gatehouse.dev Current")
		}, want{"discovery", doctor.Warning, "metrics.k8s.io/v1alpha1 does not respond", "kubectl get apiservices"}},
		{"an APIService is deleted", func(_ *testing.T, c *cluster) { delete(c.answers, fleetService) }, want{"apiservices", doctor.Broken, "v1alpha1.fleet.gatehouse.dev does not exist", "apply artifacts/deploy"}},
		{"an APIService names no service", func(_ *testing.T, c *cluster) { c.change("", nil, "spec", "service") }, want{"apiservices", doctor.Broken, "names no service", "apply artifacts/deploy"}},
		{"an APIService does not verify the server", func(_ *testing.T, c *cluster) { c.change("", true, "spec", "insecureSkipTLSVerify") }, want{"apiservices", doctor.Broken, "insecureSkipTLSVerify", "set caBundle"}},
		{"discovery of the server fails", condition("FailedDiscoveryCheck"), want{"apiservices", doctor.Broken, "FailedDiscoveryCheck: because", "network policies"}},
		{"the service is not found", condition("ServiceNotFound"), want{"apiservices", doctor.Broken, "ServiceNotFound", "service.yaml"}},
		{"endpoints are missing", condition("MissingEndpoints"), want{"apiservices", doctor.Broken, "MissingEndpoints", "get pods"}},
		{"kube-apiserver has no aggregator", func(_ *testing.T, c *cluster) { c.change("", nil, "status", "conditions") }, want{"apiservices", doctor.Broken, "has no condition Available", "log of kube-apiserver"}},
		{"APIServices may not be read", func(_ *testing.T, c *cluster) { c.answers[fleetService] = 403 }, want{"apiservices", doctor.Warning, "may not read", "as an administrator"}},
		{"caBundle is of another authority", func(t *testing.T, c *cluster) {
			other, _ := newAuthority(t, "other", c.clock.Now().Add(time.Hour*24*365))
			c.change("", other, "spec", "caBundle")
		}, want{"ca-bundle", doctor.Broken, "is not of the authority that signed", "gatehouse certificates"}},
		{"caBundle is empty", func(_ *testing.T, c *cluster) { c.change("", nil, "spec", "caBundle") }, want{"ca-bundle", doctor.Broken, "is empty", "gatehouse certificates"}},
		{"caBundle is no certificate", func(_ *testing.T, c *cluster) { c.change("", []byte("x"), "spec", "caBundle") }, want{"ca-bundle", doctor.Broken, "holds no certificate", "gatehouse certificates"}},
		{"the authority in caBundle has expired", func(t *testing.T, c *cluster) {
			c.ca, c.caKey = newAuthority(t, "old", c.clock.Now().Add(-time.Hour))
			c.change("", c.ca, "spec", "caBundle")
			withCertificate(time.Hour*24*100, serviceName)(t, c)
		}, want{"ca-bundle", doctor.Broken, "the authority old in caBundle", "--also-trust"}},
		{"the certificate of the server has expired", withCertificate(-time.Hour, serviceName), want{"ca-bundle", doctor.Broken, "is not valid now", "replace the Secret"}},
		{"the certificate of the server expires soon", withCertificate(5*24*time.Hour, serviceName), want{"ca-bundle", doctor.Warning, "the certificate of the server expires on", "replace the Secret"}},
		{"the certificate of the server has another name", withCertificate(time.Hour*24*100, "elsewhere.example.com"), want{"ca-bundle", doctor.Broken, "is not valid for " + serviceName, "replace the Secret"}},
		{"the server is not reached from here", func(_ *testing.T, c *cluster) { c.Connect = "127.0.0.1:1" }, want{"ca-bundle", doctor.Warning, "is not verified", "--connect"}},
		{"the certificate in the pod is of another authority", func(t *testing.T, c *cluster) {
			ca, key := newAuthority(t, "other", c.clock.Now().Add(time.Hour*24*365))
			leaf, _ := newLeaf(t, ca, key, c.clock.Now().Add(time.Hour*24*100), serviceName)
			c.BeforeStart, c.ServingCert = true, filepath.Join(t.TempDir(), "tls.crt")
			must(t, os.WriteFile(c.ServingCert, leaf, 0o600))
		}, want{"ca-bundle", doctor.Broken, "is not of the authority that signed", "gatehouse certificates"}},
		{"the service is deleted", func(_ *testing.T, c *cluster) {
			delete(c.answers, "/api/v1/namespaces/gatehouse-system/services/gatehouse")
		}, want{"service", doctor.Broken, "the service gatehouse-system/gatehouse, which", "apply artifacts/deploy"}},
		{"the service has another port", func(_ *testing.T, c *cluster) {
			c.change("", object{"namespace": "gatehouse-system", "name": "gatehouse", "port": 8443}, "spec", "service")
		}, want{"service", doctor.Broken, "has no port 8443", "spec.service.port"}},
		{"no endpoint is ready", func(_ *testing.T, c *cluster) {
			c.endpoints(endpoint("10.0.0.1", "a", false), endpoint("10.0.0.2", "b", false))
		}, want{"endpoints", doctor.Broken, "no endpoint that is ready", "get pods"}},
		{"a right is missing", func(_ *testing.T, c *cluster) { c.refused["watch namespaces"] = true }, want{"rights", doctor.Broken, "may not watch namespaces; without it nothing can be created", "rbac.yaml"}},
		{"a right on a subresource is missing", func(_ *testing.T, c *cluster) { c.refused["update resourcequotas/status"] = true }, want{"rights", doctor.Broken, "may not update resourcequotas/status", "rbac.yaml"}},
		{"rights may not be reviewed", func(_ *testing.T, c *cluster) { c.reviews = http.StatusForbidden }, want{"rights", doctor.Warning, "may not review the rights", "as an administrator"}},
		{"the cluster does not serve a kind of policies", func(_ *testing.T, c *cluster) {
			c.answers["/apis/admissionregistration.k8s.io/v1"] = metav1.APIResourceList{}
		}, want{"policies", doctor.Warning, "does not serve mutatingadmissionpolicies", "upgrade the cluster"}},
		{"kube-apiserver has no front proxy", func(_ *testing.T, c *cluster) {
			delete(c.answers, "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication")
		}, want{"front-proxy", doctor.Broken, "does not exist", "--requestheader-client-ca-file"}},
		{"the authority of the front proxy has expired", func(t *testing.T, c *cluster) {
			expired, _ := newAuthority(t, "front-proxy-ca", c.clock.Now().Add(-time.Hour))
			c.trust("requestheader-client-ca-file", string(expired))
		}, want{"front-proxy", doctor.Broken, "expired on", "--proxy-client-cert-file"}},
		{"the authority of the front proxy is damaged", func(_ *testing.T, c *cluster) { c.trust("requestheader-client-ca-file", "x") }, want{"front-proxy", doctor.Broken, "holds no certificate", "--requestheader-client-ca-file"}},
		{"any name is the front proxy", func(_ *testing.T, c *cluster) { c.trust("requestheader-allowed-names", "[]") }, want{"front-proxy", doctor.Broken, "could act as any user", "--requestheader-allowed-names"}},
		{"the front proxy names no user", func(_ *testing.T, c *cluster) { c.trust("requestheader-username-headers", "") }, want{"front-proxy", doctor.Broken, "no header for the user", "--requestheader-username-headers"}},
		{"users have the authority of the front proxy", func(t *testing.T, c *cluster) {
			both, _ := newAuthority(t, "both", c.clock.Now().Add(time.Hour*24*365))
			c.trust("requestheader-client-ca-file", string(both), "client-ca-file", string(both))
		}, want{"front-proxy", doctor.Warning, "also signs certificates of users", "an authority of its own"}},
		{"etcd does not respond", func(_ *testing.T, c *cluster) {
			c.Etcd = space.NewOptions("")
			c.Etcd.External = storage.Connection{Endpoints: []string{"http://127.0.0.1:1"}}
		}, want{"etcd", doctor.Broken, "connection refused", "start etcd"}},
		{"one replica is left", func(_ *testing.T, c *cluster) { c.endpoints(endpoint("10.0.0.1", "a", true)) }, want{"away", doctor.Warning, "1 replicas are ready; while none responds, no namespace of the cluster is deleted", "two replicas"}},
		{"both replicas are on one node", func(_ *testing.T, c *cluster) {
			c.endpoints(endpoint("10.0.0.1", "a", true), endpoint("10.0.0.2", "a", true))
		}, want{"away", doctor.Warning, "on one node", "different nodes"}},
		{"the deletion of a namespace waits", func(_ *testing.T, c *cluster) {
			namespace := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-a"}}
			namespace.Status.Conditions = []corev1.NamespaceCondition{{Type: corev1.NamespaceDeletionDiscoveryFailure, Status: corev1.ConditionTrue}}
			c.answers["/api/v1/namespaces"] = corev1.NamespaceList{Items: []corev1.Namespace{namespace}}
		}, want{"away", doctor.Broken, "the deletion of team-a waits", "goes on by itself"}},
	} {
		covered[row.check] = true
		t.Run(row.name, func(t *testing.T) {
			c := healthyCluster(t)
			row.plant(t, c)
			report := c.run(t)
			row.want.in(t, report)
			namesCures(t, report)
		})
	}
	checks, err := healthyCluster(t).Checks()
	must(t, err)
	for _, check := range checks {
		if !covered[check.Name] {
			t.Errorf("no row plants a fault for %s", check.Name)
		}
	}
}
