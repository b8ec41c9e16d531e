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

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// aggregated is a control plane with one replica behind it.
type aggregated struct {
	cluster *harness.Cluster
	replica *harness.Replica
	// configs and clients belong to the same user on each way.
	configs [len(ways)]*rest.Config
	clients [len(ways)]versioned.Interface
	// admins read the metrics of the replica and of the kube-apiserver.
	admins [len(ways)]rest.Interface
	// writes counts the patches, so that each is different.
	writes int
}

func (t *aggregated) nextNumber() int {
	t.writes++
	return t.writes
}

const (
	benchUser = "bench-agent"
	// benchAccess grants the rights of the user.
	benchAccess = `apiVersion: v1
kind: Namespace
metadata: {name: bench-direct}
---
apiVersion: v1
kind: Namespace
metadata: {name: bench-proxied}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: bench}
rules:
- apiGroups: [fleet.gatehouse.dev]
  resources: [hosts, instances, instances/status, instances/binding]
  verbs: [get, list, watch, create, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: bench}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: bench}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: bench-agent}]
`
)

// startAggregated starts all servers below dir and creates the objects that all measurements need.
func (b *aggregatedBench) startAggregated(ctx context.Context, dir string) (t *aggregated, err error) {
	binaries, manifests, err := b.sources()
	if err != nil {
		return nil, err
	}
	t = &aggregated{}
	if t.cluster, err = harness.StartCluster(ctx, dir, binaries); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			t.stop()
		}
	}()
	gatehouse, err := harness.InstallGatehouse(ctx, t.cluster, manifests, 1)
	if err != nil {
		return nil, err
	}
	t.replica = gatehouse.Replicas[0]
	if err := t.cluster.Apply(benchAccess); err != nil {
		return nil, err
	}
	kubeconfig, err := t.cluster.UserKubeconfig(benchUser)
	if err != nil {
		return nil, err
	}
	if t.configs[proxied], err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return nil, err
	}
	t.configs[proxied].ContentType = "application/vnd.kubernetes.protobuf"
	t.configs[proxied].QPS = -1
	past := func(config *rest.Config) *rest.Config {
		config = rest.CopyConfig(config)
		config.Host, config.CAFile = t.replica.URL, gatehouse.CAFile
		return config
	}
	t.configs[direct] = past(t.configs[proxied])
	for w, admin := range []*rest.Config{direct: past(t.cluster.Config), proxied: t.cluster.Config} {
		if t.clients[w], err = versioned.NewForConfig(t.configs[w]); err != nil {
			return nil, err
		}
		client, err := versioned.NewForConfig(admin)
		if err != nil {
			return nil, err
		}
		t.admins[w] = client.Discovery().RESTClient()
	}
	if err := t.waitAllowed(ctx); err != nil {
		return nil, err
	}
	return t, b.prepare(ctx, t)
}

// sources returns the binaries to start and the manifests to apply.
func (b *aggregatedBench) sources() (binaries harness.Binaries, manifests string, err error) {
	repositoryRoot, err := repository()
	if err != nil {
		return binaries, manifests, err
	}
	if b.controlPlane == "" {
		b.controlPlane = filepath.Join(repositoryRoot, "_output", "e2e")
	}
	if binaries, err = harness.FindBinaries(b.controlPlane, filepath.Join(repositoryRoot, "bin")); err != nil {
		return binaries, manifests, err
	}
	binaries.Gatehouse, binaries.Kubectl = b.gatehouse, b.kubectl
	manifests, err = accessManifests(b.kubectl, repositoryRoot)
	return binaries, manifests, err
}

// waitAllowed waits until the user is authorized on both ways: a denial is cached for a while.
func (t *aggregated) waitAllowed(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, time.Second, time.Minute, false, func(ctx context.Context) (bool, error) {
		for _, client := range t.clients {
			if _, last = client.FleetV1alpha1().Instances("").List(ctx, metav1.ListOptions{}); last != nil {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

func (t *aggregated) stop() { t.cluster.Stop() }

// accessManifests returns the manifests of artifacts/deploy without the servers, which run outside
// of the cluster here.
func accessManifests(kubectl, repositoryRoot string) (string, error) {
	out, err := exec.Command(kubectl, "kustomize", filepath.Join(repositoryRoot, "artifacts", "deploy")).Output()
	if err != nil {
		return "", fmt.Errorf("kubectl kustomize artifacts/deploy: %w", err)
	}
	wanted := []string{"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
	var kept []string
	for document := range strings.SplitSeq(string(out), "\n---\n") {
		for _, kind := range wanted {
			if strings.Contains("\n"+document+"\n", "\nkind: "+kind+"\n") {
				kept = append(kept, document)
			}
		}
	}
	return strings.Join(kept, "\n---\n"), nil
}

// kubernetesVersion returns the version of a program of Kubernetes.
func kubernetesVersion(path string) string {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "of an unknown version"
	}
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "Kubernetes ")
}

// usage is a load and its cost to the two servers.
type usage struct {
	load
	replica, cluster time.Duration
	// reviews are the SubjectAccessReviews of the replica, with their total duration.
	reviews     int
	reviewsTook time.Duration
}

func (u usage) replicaEach() time.Duration { return u.replica / time.Duration(max(1, u.count)) }

func (u usage) clusterEach() time.Duration { return u.cluster / time.Duration(max(1, u.count)) }

// measure runs a load, and reads the usage of the servers before and after it.
func (t *aggregated) measure(ctx context.Context, run func() (load, error)) (usage, error) {
	before, err := t.read(ctx)
	if err != nil {
		return usage{}, err
	}
	result, err := run()
	if err != nil {
		return usage{}, err
	}
	after, err := t.read(ctx)
	return usage{
		load: result, replica: after.replica - before.replica, cluster: after.cluster - before.cluster,
		reviews: after.reviews - before.reviews, reviewsTook: after.reviewsTook - before.reviewsTook,
	}, err
}

// read returns the usage of the servers since their start.
func (t *aggregated) read(ctx context.Context) (u usage, err error) {
	samples, err := metrics.Read(ctx, t.admins[direct])
	if err != nil {
		return u, err
	}
	u.reviews = int(samples.Sum("apiserver_delegated_authz_request_total", nil))
	u.reviewsTook = seconds(samples.Sum("apiserver_delegated_authz_request_duration_seconds_sum", nil))
	if u.replica, err = cpuTime(t.replica.PID()); err != nil {
		return u, err
	}
	u.cluster, err = cpuTime(t.cluster.KubeAPIServer.PID())
	return u, err
}

// leaveAlone measures the servers without requests from clients.
func (t *aggregated) leaveAlone(ctx context.Context) (usage, error) {
	return t.measure(ctx, func() (load, error) {
		began := time.Now()
		err := sleep(ctx, idleTime)
		return load{took: time.Since(began)}, err
	})
}
