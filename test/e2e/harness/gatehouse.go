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

package harness

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// The names of Gatehouse's objects, as in artifacts/deploy.
const (
	Namespace      = "gatehouse-system"
	ServiceAccount = "gatehouse"
	// ControllersAccount is the ServiceAccount of the controllers.
	ControllersAccount = "gatehouse-controllers"
	ServiceName        = "gatehouse"
	APIServiceName     = "v1alpha1.fleet.gatehouse.dev"
)

// apiGroups are the groups of the APIServices.
var apiGroups = []string{"fleet.gatehouse.dev", "diagnostics.gatehouse.dev"}

// Gatehouse is a number of replicas behind a balancer, registered in a cluster.
type Gatehouse struct {
	cluster *Cluster
	// CAFile verifies the replicas.
	CAFile   string
	Balancer *Balancer
	Replicas []*Replica
	etcdURL  string
	etcdCA   *Authority
	client   Pair
	serving  Pair
}

// Replica is one server.
type Replica struct {
	*Process
	// Address is its host:port; URL the same for clients.
	Address, URL string
	// AuditLog is the path of its audit log; DataDir that of its data directory.
	AuditLog, DataDir string
	start             func() error
}

// InstallGatehouse registers the API group in the cluster as artifacts/deploy does and
// starts the replicas outside of it, with the service account's token. A Service of type
// ExternalName leads to the balancer: EndpointSlices refuse loopback addresses.
func InstallGatehouse(ctx context.Context, c *Cluster, rbac string, replicas int) (*Gatehouse, error) {
	g := &Gatehouse{cluster: c}
	var err error
	if g.etcdCA, err = NewAuthority(c.Dir, "gatehouse-etcd-ca"); err != nil {
		return nil, err
	}
	if g.client, err = g.etcdCA.Issue("gatehouse-etcd-client", "gatehouse", nil); err != nil {
		return nil, err
	}
	etcd, err := c.StartEtcd(g.etcdCA, "gatehouse-etcd")
	if err != nil {
		return nil, err
	}
	g.etcdURL = etcd[0].URL
	servingCA, err := NewAuthority(c.Dir, "gatehouse-ca")
	if err != nil {
		return nil, err
	}
	g.CAFile = servingCA.CertFile()
	serviceHost := fmt.Sprintf("%s.%s.svc", ServiceName, Namespace)
	if g.serving, err = servingCA.Issue("gatehouse-serving", "gatehouse", nil, serviceHost, "127.0.0.1", "localhost"); err != nil {
		return nil, err
	}
	if g.Balancer, err = NewBalancer(); err != nil {
		return nil, err
	}
	if err := c.Apply(rbac); err != nil {
		return nil, err
	}
	for i := range replicas {
		replica, err := g.StartReplica(ctx, fmt.Sprintf("gatehouse-%d", i), g.EtcdFlags()...)
		if err != nil {
			return nil, err
		}
		g.Replicas = append(g.Replicas, replica)
	}
	g.Rebalance()
	if err := c.Apply(g.registration(servingCA)); err != nil {
		return nil, err
	}
	return g, g.WaitAvailable(ctx)
}

// EtcdFlags returns the flags that name the etcd of the replicas.
func (g *Gatehouse) EtcdFlags() []string {
	return []string{"--etcd-servers=" + g.etcdURL, "--etcd-cafile=" + g.etcdCA.CertFile(), "--etcd-certfile=" + g.client.Cert, "--etcd-keyfile=" + g.client.Key}
}

// registration is the Service and the APIServices.
func (g *Gatehouse) registration(ca *Authority) string {
	manifests := fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s, namespace: %s}
spec: {type: ExternalName, externalName: localhost, ports: [{port: %d}]}
`, ServiceName, Namespace, g.Balancer.Port())
	for _, group := range apiGroups {
		manifests += fmt.Sprintf(`---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1alpha1.%s}
spec:
  group: %s
  version: v1alpha1
  groupPriorityMinimum: 1000
  versionPriority: 100
  service: {name: %s, namespace: %s, port: %d}
  caBundle: %s
`, group, group, ServiceName, Namespace, g.Balancer.Port(), base64.StdEncoding.EncodeToString(ca.PEM()))
	}
	return manifests
}

// StartReplica starts a server as its Deployment would, with a token of its service account, and waits until it is
// ready. The arguments name the etcd. The balancer does not lead to it.
func (g *Gatehouse) StartReplica(ctx context.Context, name string, args ...string) (*Replica, error) {
	c := g.cluster
	token, err := c.Token(Namespace, ServiceAccount)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(c.Dir, name+".kubeconfig")
	if err := Kubeconfig(kubeconfig, c.URL, c.CAFile, Pair{}, token); err != nil {
		return nil, err
	}
	policy := filepath.Join(c.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n"), 0o600); err != nil {
		return nil, err
	}
	port, err := kit.FreePort()
	if err != nil {
		return nil, err
	}
	r := &Replica{
		Address:  fmt.Sprintf("127.0.0.1:%d", port),
		URL:      fmt.Sprintf("https://127.0.0.1:%d", port),
		AuditLog: filepath.Join(c.Dir, name+"-audit.log"),
		DataDir:  filepath.Join(c.Dir, name),
	}
	args = append([]string{
		"apiserver", "--mode=aggregated",
		"--kubeconfig=" + kubeconfig, "--data-dir=" + r.DataDir,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
		"--tls-cert-file=" + g.serving.Cert, "--tls-private-key-file=" + g.serving.Key,
		// The default is a minute, which tests of ended watches would have to wait for.
		"--watch-recheck-interval=2s",
		"--audit-policy-file=" + policy, "--audit-log-path=" + r.AuditLog,
	}, args...)
	r.start = func() error {
		r.Process, err = c.run(name, c.Binaries.Gatehouse, args...)
		return err
	}
	return r, r.Restart(ctx, g)
}

// Restart starts a replica that does not run and waits until it is ready.
func (r *Replica) Restart(ctx context.Context, g *Gatehouse) error {
	if err := r.start(); err != nil {
		return err
	}
	client, err := rest.HTTPClientFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAFile: g.CAFile}})
	if err != nil {
		return err
	}
	return r.waitFor(ctx, func(context.Context) bool {
		response, err := client.Get(r.URL + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == 200
	})
}

// StartControllers starts a replica of the controllers as its Deployment would, with a token
// of its service account, through the kube-apiserver. The times of leader election are short, so that a
// test does not wait long for another leader.
func (g *Gatehouse) StartControllers(name string) (*Process, error) {
	c := g.cluster
	token, err := c.Token(Namespace, ControllersAccount)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(c.Dir, name+".kubeconfig")
	if err := Kubeconfig(kubeconfig, c.URL, c.CAFile, Pair{}, token); err != nil {
		return nil, err
	}
	return c.run(name, c.Binaries.Gatehouse, "controllers", "--kubeconfig="+kubeconfig,
		"--leader-elect-resource-namespace="+Namespace, "--secure-port=0", // several run on one machine
		"--leader-elect-lease-duration=3s", "--leader-elect-renew-deadline=2s", "--leader-elect-retry-period=500ms")
}

// StartSimulatedHosts starts a number of hosts, sim-1 and so on. They connect to Gatehouse directly,
// as hosts do, as one user that impersonates each; roles of the cluster grant the impersonation.
func (g *Gatehouse) StartSimulatedHosts(count int) (*Process, error) {
	c := g.cluster
	const simulator = "simulator"
	if err := c.Apply(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: simulate-hosts}
rules:
- {apiGroups: [""], resources: [users], verbs: [impersonate]}
- {apiGroups: [""], resources: [groups], resourceNames: ["system:hosts"], verbs: [impersonate]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: simulate-hosts}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: simulate-hosts}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ` + simulator + `}]
`); err != nil {
		return nil, err
	}
	pair, err := c.ClientCA.Issue(fileName(simulator), simulator, nil)
	if err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(c.Dir, "simulated-hosts.kubeconfig")
	if err := Kubeconfig(kubeconfig, fmt.Sprintf("https://127.0.0.1:%d", g.Balancer.Port()), g.CAFile, pair, ""); err != nil {
		return nil, err
	}
	return c.run("simulated-hosts", c.Binaries.Gatehouse, "simulate-hosts", "--kubeconfig="+kubeconfig, "--impersonate", fmt.Sprintf("--count=%d", count))
}

// Rebalance sends traffic to all replicas.
func (g *Gatehouse) Rebalance() {
	addresses := make([]string, 0, len(g.Replicas))
	for _, r := range g.Replicas {
		addresses = append(addresses, r.Address)
	}
	g.Balancer.SetBackends(addresses...)
}

// WaitAvailable waits until the cluster serves the API groups.
func (g *Gatehouse) WaitAvailable(ctx context.Context) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyTimeout, true, func(context.Context) (bool, error) {
		available, _ := g.Available()
		return available, nil
	})
}

// Available returns whether the APIServices are available, and otherwise the message of that condition.
func (g *Gatehouse) Available() (bool, string) {
	for _, group := range apiGroups {
		out, err := g.cluster.Kubectl("", "get", "apiservice", "v1alpha1."+group, "-o", "jsonpath={.status.conditions[?(@.type=='Available')].status} {.status.conditions[?(@.type=='Available')].message}")
		if err != nil {
			return false, err.Error()
		}
		if status, message, _ := strings.Cut(out, " "); status != "True" {
			return false, group + ": " + message
		}
	}
	return true, ""
}

// Apply applies manifests as the cluster's administrator.
func (c *Cluster) Apply(manifests string) error {
	_, err := c.Kubectl(manifests, "apply", "-f", "-")
	return err
}

// Token requests a token of a service account from the cluster, which is valid for as long as the
// certificates that Issue signs.
func (c *Cluster) Token(namespace, name string) (string, error) {
	out, err := c.Kubectl("", "create", "token", name, "-n", namespace, "--duration=24h")
	return strings.TrimSpace(out), err
}

// Kubectl runs kubectl as the cluster's administrator.
func (c *Cluster) Kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.Command(c.Binaries.Kubectl, append([]string{"--kubeconfig", c.Admin, "--cache-dir", filepath.Join(c.Dir, "kubectl-cache")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// AuditEvent has the fields of an audit event that tests check.
type AuditEvent struct {
	Verb string
	User struct {
		Username string
		UID      string
		Groups   []string
	}
	ImpersonatedUser *struct{ Username string }
	ObjectRef        *struct{ Resource, Namespace, Name string }
	UserAgent        string
}

// AuditEvents reads the audit logs of all replicas.
func (g *Gatehouse) AuditEvents() ([]AuditEvent, error) {
	var events []AuditEvent
	for _, r := range g.Replicas {
		data, err := os.ReadFile(r.AuditLog)
		if err != nil && !os.IsNotExist(err) {
			return nil, err
		}
		for _, line := range strings.Split(string(data), "\n") {
			var event AuditEvent
			// The last line may be incomplete.
			if json.Unmarshal([]byte(line), &event) == nil && event.Verb != "" {
				events = append(events, event)
			}
		}
	}
	return events, nil
}
