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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	clientset "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
)

// trafficPause is the time between two creates: a rotation that rewrites everything that was created meanwhile must
// come to its end.
const trafficPause = 20 * time.Millisecond

// keyFiles are the copies of a key file on the machines of two replicas.
type keyFiles struct{ first, second string }

// copy plays the operator that copies the file to the second machine.
func (k keyFiles) copy(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile(k.first)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.second+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(k.second+".new", k.second); err != nil {
		t.Fatal(err)
	}
}

func encryption(t *testing.T, args ...string) (string, error) {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), binary.Path(t), append([]string{"encryption"}, args...)...).CombinedOutput()
	return string(output), err
}

// TestReplicasBehindAKubeAPIServerRotateTheirKeyTogether has two replicas of an etcd that is in the first one: the
// command waits for the replica that has an older file, and names it.
func TestReplicasBehindAKubeAPIServerRotateTheirKeyTogether(t *testing.T) {
	keys := keyFiles{filepath.Join(t.TempDir(), "config.yaml"), filepath.Join(t.TempDir(), "config.yaml")}
	if output, err := encryption(t, "init", "--plaintext-first", keys.first); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	keys.copy(t)
	first := replica(t, "encrypted-1", "--embedded-etcd", "--encryption-provider-config="+keys.first, "--encryption-provider-config-automatic-reload")
	second := replica(t, "encrypted-2", "--etcd-servers=unix://"+filepath.Join(first.DataDir, "etcd", "etcd.sock"), "--etcd-allow-plaintext",
		"--encryption-provider-config="+keys.second, "--encryption-provider-config-automatic-reload")
	kubeconfig := administrator(t, first)
	args := []string{"--kubeconfig", kubeconfig, "--data-dir", first.DataDir, "--replica", first.URL, "--replica", second.URL}
	ns := namespace(t, "encrypted")
	stop := instances(t, ns, kubeconfig, first, second)

	// Without a copy, the command ends with the name of the replica, and nothing is lost.
	output, err := encryption(t, append([]string{"rotate", keys.first, "--timeout", "12s"}, args...)...)
	if want := "gatehouse: not every server has loaded " + keys.first + ": " + second.URL + " has loaded another content: copy the file to its machine"; err == nil || !strings.Contains(output, want) || strings.Contains(output, first.URL+" has loaded another content; ") {
		t.Errorf("the command ended with %v without %q: %s", err, want, output)
	}
	if output, _ := encryption(t, append([]string{"status", keys.first}, args...)...); !strings.Contains(output, "Server: "+first.URL+" has loaded the file\n") || !strings.Contains(output, "Server: "+second.URL+" has loaded another content") {
		t.Errorf("the status: %s", output)
	}
	for range 2 { // the first rotation enables encryption, the second replaces the key
		rotateWithCopies(t, keys, args)
	}
	stop()
	output, err = encryption(t, append([]string{"status", keys.first}, args...)...)
	if err != nil || !strings.Contains(output, "To be rewritten: 0\n") || !strings.Contains(output, "instances.fleet.gatehouse.dev   secretbox key-") || strings.Contains(output, "no encryption ") {
		t.Errorf("the status after the rotations (%v): %s", err, output)
	}
}

// rotateWithCopies rotates and copies the file whenever the command waits for the second replica.
func rotateWithCopies(t *testing.T, keys keyFiles, args []string) {
	t.Helper()
	ended := make(chan struct{})
	var output string
	var err error
	go func() {
		defer close(ended)
		output, err = encryption(t, append([]string{"rotate", keys.first}, args...)...)
	}()
	for {
		select {
		case <-ended:
			if err != nil || !strings.Contains(output, "loaded by 2 of 2 servers") || !strings.Contains(output, "has loaded another content") {
				t.Fatalf("the rotation (%v): %s", err, output)
			}
			return
		case <-time.After(2 * time.Second): // the copy is late
			keys.copy(t)
		}
	}
}

func replica(t *testing.T, name string, args ...string) *harness.Replica {
	t.Helper()
	r, err := env.gatehouse.StartReplica(t.Context(), name, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Stop)
	return r
}

// administrator writes the kubeconfig of an administrator of the cluster for the replica itself.
func administrator(t *testing.T, r *harness.Replica) string {
	t.Helper()
	pair, err := env.cluster.ClientCA.Issue("encryption-admin", "encryption-admin", []string{"system:masters"})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := harness.Kubeconfig(path, r.URL, env.gatehouse.CAFile, pair, ""); err != nil {
		t.Fatal(err)
	}
	return path
}

// instances creates instances through one replica after the other, and reads each from both. stop reads all again.
func instances(t *testing.T, ns, kubeconfig string, replicas ...*harness.Replica) (stop func()) {
	t.Helper()
	var clients []clientset.Interface
	for _, r := range replicas {
		config, err := clientcmd.BuildConfigFromFlags(r.URL, kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, clientset.NewForConfigOrDie(unbounded(config)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	var names []string
	read := func(ctx context.Context, name string) {
		for i, client := range clients {
			if _, err := client.FleetV1alpha1().Instances(ns).Get(ctx, name, metav1.GetOptions{}); err != nil && ctx.Err() == nil {
				t.Errorf("reading %s from %s: %v", name, replicas[i].URL, err)
			}
		}
	}
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			object := &fleetv1alpha1.Instance{ObjectMeta: metav1.ObjectMeta{GenerateName: "traffic-"}, Spec: fleetv1alpha1.InstanceSpec{Containers: []fleetv1alpha1.Container{{Name: "main", Image: "example.com/app:1"}}}}
			created, err := clients[i%len(clients)].FleetV1alpha1().Instances(ns).Create(ctx, object, metav1.CreateOptions{})
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("creating an instance at %s: %v", replicas[i%len(clients)].URL, err)
				}
				return
			}
			names = append(names, created.Name)
			read(ctx, created.Name)
			time.Sleep(trafficPause)
		}
	}()
	return func() {
		cancel()
		<-done
		for _, name := range names {
			read(t.Context(), name)
		}
		t.Logf("%d instances were created meanwhile", len(names))
	}
}

func unbounded(config *rest.Config) *rest.Config {
	config.QPS = -1
	return config
}
