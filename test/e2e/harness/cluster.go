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
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// readyTimeout bounds each wait for a component to start, which takes long on a busy
// machine.
const readyTimeout = 2 * time.Minute

// Binaries are the programs that the harness starts.
type Binaries struct{ Etcd, KubeAPIServer, KubeControllerManager, Gatehouse, Kubectl string }

// FindBinaries finds them in the directories, where make e2e builds them.
func FindBinaries(controlPlaneDir, binDir string) (Binaries, error) {
	b := Binaries{
		Etcd:                  filepath.Join(controlPlaneDir, "etcd"),
		KubeAPIServer:         filepath.Join(controlPlaneDir, "kube-apiserver"),
		KubeControllerManager: filepath.Join(controlPlaneDir, "kube-controller-manager"),
		Gatehouse:             filepath.Join(binDir, "gatehouse"),
		Kubectl:               filepath.Join(binDir, "kubectl"),
	}
	for _, path := range []string{b.Etcd, b.KubeAPIServer, b.KubeControllerManager, b.Gatehouse, b.Kubectl} {
		if _, err := os.Stat(path); err != nil {
			return b, fmt.Errorf("%w: run make e2e, which builds it", err)
		}
	}
	return b, nil
}

// Cluster is a real kube-apiserver and kube-controller-manager with a separate etcd.
type Cluster struct {
	Dir      string
	Binaries Binaries
	// ClientCA signs users; ProxyCA signs the front proxy.
	ClientCA, ProxyCA, serverCA *Authority
	// Proxy is the front proxy's certificate.
	Proxy Pair
	// URL is the address of the kube-apiserver, and CAFile verifies it.
	URL, CAFile string
	// Admin is the path of a kubeconfig of group system:masters.
	Admin string
	// Config is the same for Go.
	Config *rest.Config
	Client kubernetes.Interface

	Etcd, KubeAPIServer, ControllerManager *Process
	processes                              []*Process
}

// StartCluster starts the control plane below dir.
func StartCluster(ctx context.Context, dir string, binaries Binaries) (*Cluster, error) {
	c := &Cluster{Dir: dir, Binaries: binaries}
	if err := c.start(ctx); err != nil {
		c.Stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.makeAuthorities(); err != nil {
		return err
	}
	etcd, err := c.StartEtcd(nil, "cluster-etcd")
	if err != nil {
		return err
	}
	c.Etcd = etcd[0].Process
	if err := c.startKubeAPIServer(ctx, etcd[0].URL); err != nil {
		return err
	}
	return c.startControllerManager()
}

func (c *Cluster) makeAuthorities() (err error) {
	for name, authority := range map[string]**Authority{"client-ca": &c.ClientCA, "proxy-ca": &c.ProxyCA, "server-ca": &c.serverCA} {
		if *authority, err = NewAuthority(c.Dir, name); err != nil {
			return err
		}
	}
	c.CAFile = c.serverCA.CertFile()
	c.Proxy, err = c.ProxyCA.Issue("front-proxy", "front-proxy-client", nil)
	return err
}

// run starts a process that Stop stops.
func (c *Cluster) run(name, path string, args ...string) (*Process, error) {
	p, err := startProcess(c.Dir, name, path, args...)
	if err == nil {
		c.processes = append(c.processes, p)
	}
	return p, err
}

func (c *Cluster) startKubeAPIServer(ctx context.Context, etcdURL string) error {
	port, err := kit.FreePort()
	if err != nil {
		return err
	}
	serving, err := c.serverCA.Issue("kube-apiserver", "kube-apiserver", nil, "127.0.0.1", "localhost", "kubernetes.default.svc")
	if err != nil {
		return err
	}
	key, err := c.serviceAccountKey()
	if err != nil {
		return err
	}
	c.KubeAPIServer, err = c.run("kube-apiserver", c.Binaries.KubeAPIServer,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port), "--advertise-address=127.0.0.1",
		"--etcd-servers="+etcdURL,
		"--tls-cert-file="+serving.Cert, "--tls-private-key-file="+serving.Key,
		"--client-ca-file="+c.ClientCA.CertFile(),
		"--requestheader-client-ca-file="+c.ProxyCA.CertFile(), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-uid-headers=X-Remote-Uid",
		"--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file="+c.Proxy.Cert, "--proxy-client-key-file="+c.Proxy.Key,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+key, "--service-account-signing-key-file="+key,
		"--service-cluster-ip-range=10.96.0.0/24", "--authorization-mode=RBAC",
		"--endpoint-reconciler-type=none", "--profiling=false",
	)
	if err != nil {
		return err
	}
	c.URL = fmt.Sprintf("https://127.0.0.1:%d", port)
	if c.Admin, err = c.UserKubeconfig("admin", "system:masters"); err != nil {
		return err
	}
	if c.Config, err = clientcmd.BuildConfigFromFlags("", c.Admin); err != nil {
		return err
	}
	c.Config.QPS = -1
	if c.Client, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	return c.KubeAPIServer.waitFor(ctx, func(ctx context.Context) bool {
		_, err := c.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Raw()
		return err == nil
	})
}

func (c *Cluster) startControllerManager() error {
	kubeconfig, err := c.UserKubeconfig("system:kube-controller-manager")
	if err != nil {
		return err
	}
	c.ControllerManager, err = c.run("kube-controller-manager", c.Binaries.KubeControllerManager,
		"--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=127.0.0.1", "--secure-port=0", "--leader-elect=false", "--use-service-account-credentials=true",
		"--service-account-private-key-file="+filepath.Join(c.Dir, "service-account.key"), "--root-ca-file="+c.CAFile,
		"--resource-quota-sync-period=10s", "--min-resync-period=1m",
		"--controllers=namespace-controller,garbage-collector-controller,resourcequota-controller,serviceaccount-controller,root-ca-certificate-publisher-controller,clusterrole-aggregation-controller,validatingadmissionpolicy-status-controller",
	)
	return err
}

func (c *Cluster) serviceAccountKey() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, "service-account.key")
	return path, keyutil.WriteKey(path, data)
}

// UserKubeconfig writes a kubeconfig for a user with a client certificate and returns its path.
func (c *Cluster) UserKubeconfig(user string, groups ...string) (string, error) {
	file := fileName(user)
	pair, err := c.ClientCA.Issue(file, user, groups)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.Dir, file+".kubeconfig")
	return path, Kubeconfig(path, c.URL, c.CAFile, pair, "")
}

// fileName converts a user name to a valid file name.
func fileName(user string) string {
	name := []rune(user)
	for i, r := range name {
		if r == ':' || r == '/' {
			name[i] = '-'
		}
	}
	return string(name)
}

// waitFor waits until the condition holds, or the process ends.
func (p *Process) waitFor(ctx context.Context, condition func(context.Context) bool) error {
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.exited:
			return false, fmt.Errorf("%s ended (%v)", p.Name, p.err)
		default:
			return condition(ctx), nil
		}
	})
	if err != nil {
		return errors.Join(err, fmt.Errorf("the last lines of %s:\n%s", p.Name, p.Tail(20)))
	}
	return nil
}

// Stop stops everything, the last started first.
func (c *Cluster) Stop() {
	for i := len(c.processes) - 1; i >= 0; i-- {
		c.processes[i].Stop()
	}
}
