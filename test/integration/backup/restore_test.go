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

package backup

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// credentials are what a server has issued.
type credentials struct {
	token, account string
	user, host     *rest.Config
	informers      informers.SharedInformerFactory
	// server is the address that the informers dial.
	server atomic.Pointer[string]
}

func address(server *binary.Server) *string {
	host := strings.TrimPrefix(server.URL, "https://")
	return &host
}

// issue issues credentials of all sorts and starts an informer.
func issue(t *testing.T, server *binary.Server) *credentials {
	t.Helper()
	ctx, client := t.Context(), kubernetes.NewForConfigOrDie(server.Config)
	account, err := client.CoreV1().ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.CoreV1().ServiceAccounts("default").CreateToken(ctx, "ci", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "jane"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "view"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "jane"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c := &credentials{token: token.Status.Token, account: string(account.UID)}
	c.user, c.host = certified(t, server, "user", "jane"), certified(t, server, "host", "edge-1")
	if _, err := versioned.NewForConfigOrDie(c.host).FleetV1alpha1().Hosts().Create(ctx, &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.server.Store(address(server))
	watching := rest.CopyConfig(server.Config)
	watching.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, *c.server.Load())
	}
	c.informers = informers.NewSharedInformerFactory(kubernetes.NewForConfigOrDie(watching), 0)
	c.informers.Core().V1().ConfigMaps().Informer()
	c.informers.Start(ctx.Done())
	c.informers.WaitForCacheSync(ctx.Done())
	return c
}

// certified issues a certificate by a command and returns the configuration in its kubeconfig.
func certified(t *testing.T, server *binary.Server, kind, name string) *rest.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".kubeconfig")
	mustRun(t, kind, "add", name, "--data-dir", server.DataDir, "--server", server.URL, "--out", path)
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// seen waits until the informer has an object, or has it no more.
func (c *credentials) seen(t *testing.T, name string, want bool) {
	t.Helper()
	kit.Eventually(t, fmt.Sprintf("the informer has %s: %v", name, want), func(context.Context) bool {
		_, err := c.informers.Core().V1().ConfigMaps().Lister().ConfigMaps("default").Get(name)
		return (err == nil) == want
	})
}

// work checks the credentials against another server.
func (c *credentials) work(t *testing.T, server *binary.Server) {
	t.Helper()
	ctx := t.Context()
	bearer := rest.AnonymousClientConfig(server.Config)
	bearer.BearerToken = c.token
	self, err := kubernetes.NewForConfigOrDie(bearer).AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil || self.Status.UserInfo.UID != c.account {
		t.Errorf("the token is of %+v, %v", self, err)
	}
	for _, config := range []*rest.Config{c.user, c.host} {
		config.Host = server.URL
	}
	if _, err := kubernetes.NewForConfigOrDie(c.user).CoreV1().ConfigMaps("default").List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("the user: %v", err)
	}
	if _, err := versioned.NewForConfigOrDie(c.host).FleetV1alpha1().Hosts().Get(ctx, "edge-1", metav1.GetOptions{}); err != nil {
		t.Errorf("the host: %v", err)
	}
}

func TestAServerIsRestoredOnAnotherMachineWithAllThatItHasIssued(t *testing.T) {
	first := binary.DataDir(t)
	config := filepath.Join(t.TempDir(), "encryption.yaml")
	mustRun(t, "encryption", "init", config)
	server := binary.Start(t, first, "--encryption-provider-config="+config)
	client := kubernetes.NewForConfigOrDie(server.Config)
	issued := issue(t, server)
	if _, err := client.CoreV1().Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s"}, StringData: map[string]string{"a": "b"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	createMap(t, client, "before")
	key := newRecoveryKey(t, first)
	file := backUp(t, first)
	after := createMap(t, client, "after")
	issued.seen(t, "after", true)

	if output := mustRun(t, "backup", "verify", file); !strings.Contains(output, "not decoded: ") {
		t.Errorf("without a key the verification printed:\n%s", output)
	}
	if output := mustRun(t, "backup", "verify", file, "--recovery-key-file", key); strings.Contains(output, "not decoded") || !strings.Contains(output, "encryption/config.yaml") {
		t.Errorf("with the key the verification printed:\n%s", output)
	}
	server.Stop(t)
	// The other machine has the file and the key, and no more.
	moved := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.Rename(file, moved); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{first, config} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	second := filepath.Join(binary.DataDir(t), "restored")
	output := mustRun(t, "restore", moved, "--data-dir", second, "--recovery-key-file", key)
	restoredConfig := filepath.Join(second, "encryption", "config.yaml")
	if !strings.Contains(output, "--encryption-provider-config "+restoredConfig) {
		t.Errorf("the restore printed:\n%s", output)
	}
	server = binary.Start(t, second, "--encryption-provider-config="+restoredConfig)
	client = kubernetes.NewForConfigOrDie(server.Config)
	issued.server.Store(address(server))
	issued.work(t, server)
	if secret, err := client.CoreV1().Secrets("default").Get(t.Context(), "s", metav1.GetOptions{}); err != nil || string(secret.Data["a"]) != "b" {
		t.Errorf("the secret is %v, %v", secret, err)
	}

	// The informer has what is restored.
	wantExpired(t, client, after.ResourceVersion)
	createMap(t, client, "again")
	issued.seen(t, "again", true)
	issued.seen(t, "after", false)
	issued.seen(t, "before", true)
	backUp(t, second) // the next backup is made with the same recovery key
}

// wantExpired checks that a watch of a revision that is lost does not go on in silence.
func wantExpired(t *testing.T, client kubernetes.Interface, version string) {
	t.Helper()
	watch, err := client.CoreV1().ConfigMaps("default").Watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
	if err == nil {
		event := <-watch.ResultChan()
		err = apierrors.FromObject(event.Object)
		watch.Stop()
	}
	if !apierrors.IsResourceExpired(err) && !apierrors.IsGone(err) {
		t.Errorf("a watch of revision %s got %v", version, err)
	}
}

func TestARestoreWithoutTheRecoveryKeyNamesTheFlag(t *testing.T) {
	dataDir := binary.DataDir(t)
	binary.Start(t, dataDir)
	newRecoveryKey(t, dataDir)
	file := backUp(t, dataDir)
	other := filepath.Join(binary.DataDir(t), "new")
	for _, tc := range []struct {
		name string
		args []string
		says string
	}{
		{"no directory", []string{"restore", file}, "--data-dir is required"},
		{"no key", []string{"restore", file, "--data-dir", other}, "--recovery-key-file"},
		{"the directory of the server", []string{"restore", file, "--data-dir", dataDir}, "is not empty"},
		{"a key that is none", []string{"restore", file, "--data-dir", other, "--recovery-key-file", file}, "it does not hold one recovery key"},
		{"no file", []string{"restore", "--data-dir", other}, "takes the file of one backup"},
		{"a second recovery key", []string{"backup", "init", "--data-dir", dataDir}, "--replace"},
		{"an etcd that does not run", []string{"backup", "now", "--data-dir", other}, "no server has been started in --data-dir"},
		{"no backups", []string{"backup", "list", "--data-dir", other}, "there is no backup in"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if output, err := run(t, tc.args...); err == nil || !strings.Contains(output, tc.says) {
				t.Errorf("got %v:\n%s", err, output)
			}
		})
	}
	if _, err := os.Stat(other); !os.IsNotExist(err) {
		t.Errorf("the new directory: %v", err)
	}
	mustRun(t, "restore", file, "--data-dir", other, "--new-keys")
	binary.Start(t, other)
}
