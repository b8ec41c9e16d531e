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

package admission

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// tracer observes all writes to etcd, including those that are soon undone.
type tracer struct {
	etcd *clientv3.Client
}

// record returns the writes during the function, a line for each.
func (tr tracer) record(t *testing.T, do func()) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), kit.Patience)
	defer cancel()
	// The server stores nothing below this prefix.
	const mark = "trace/"
	before, err := tr.etcd.Put(ctx, mark+"before", "")
	if err != nil {
		t.Fatal(err)
	}
	// The watch is opened before the writes: etcd delays watches that start at an old revision.
	responses := tr.etcd.Watch(clientv3.WithRequireLeader(ctx), "", clientv3.WithPrefix(), clientv3.WithRev(before.Header.Revision+1), clientv3.WithCreatedNotify())
	if created := <-responses; created.Err() != nil || !created.Created {
		t.Fatalf("etcd's watch does not begin: %v", created.Err())
	}
	do()
	after, err := tr.etcd.Put(ctx, mark+"after", "")
	if err != nil {
		t.Fatal(err)
	}
	var written []string
	for response := range responses {
		if err := response.Err(); err != nil {
			t.Fatal(err)
		}
		for _, event := range response.Events {
			if event.Kv.ModRevision == after.Header.Revision {
				return written
			}
			written = append(written, fmt.Sprintf("%s %s", event.Type, event.Kv.Key))
		}
	}
	t.Fatalf("etcd's watch ended: %v", ctx.Err())
	return nil
}

// refusal is a request that must be refused with this code and message.
type refusal struct {
	name string
	do   func(ctx context.Context) error
	code int32
	says string
}

// check expects the refusal and no write to etcd.
func (r refusal) check(t *testing.T, tr tracer) {
	t.Helper()
	var err error
	written := tr.record(t, func() { err = r.do(t.Context()) })
	status, ok := err.(apierrors.APIStatus) // clients return it as it is
	switch {
	case !ok:
		t.Errorf("%s: not refused: %v", r.name, err)
	case status.Status().Code != r.code || !strings.Contains(err.Error(), r.says):
		t.Errorf("%s: got %d and %v, want %d and %q", r.name, status.Status().Code, err, r.code, r.says)
	}
	for _, write := range written {
		t.Errorf("%s: refused, and yet there was a write: %s", r.name, write)
	}
}

// TestWhatIsRefusedLeavesNoTrace sends every kind of write to every part of the server that can refuse
// it. A refused write must not change etcd, neither the object nor the quotas that it would be charged
// to. In the end the same writes are allowed, and do change etcd.
func TestWhatIsRefusedLeavesNoTrace(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewFleetClient(t, server.Config)
	core := harness.BuiltinClient(t, server)
	tr := tracer{harness.EtcdClient(t, server.DataDir)}
	defer func() { _ = tr.etcd.Close() }()
	waitForOwnWrites(t, core)
	w := seedWrites(t, server)
	refusers := registerRefusers(t, server)
	createQuota(t, core, "roomy", countInstances+"=100,count/apps.fleet.gatehouse.dev=100,fleet.gatehouse.dev/requests.millicpu=1000",
		countInstances+"=3,count/apps.fleet.gatehouse.dev=1,fleet.gatehouse.dev/requests.millicpu=30")

	for _, r := range refusers {
		t.Run("by "+r.name, func(t *testing.T) {
			client := harness.NewFleetClient(t, r.config)
			for _, write := range w.all(client) {
				if write.deletes && !r.deletes {
					continue
				}
				refusal{write.name, write.do, r.code, r.says}.check(t, tr)
			}
		})
	}
	t.Run("by our own plugins and by quota", func(t *testing.T) {
		// The instances fit into the first quota, which must not be charged for what the other refuses.
		createQuota(t, core, "tight", countInstances+"=3,fleet.gatehouse.dev/requests.memory=1Ki", countInstances+"=3,fleet.gatehouse.dev/requests.memory=300")
		for _, r := range ownRefusals(t, server, admin) {
			r.check(t, tr)
		}
		if err := core.CoreV1().ResourceQuotas("default").Delete(t.Context(), "tight", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("and what is let through does leave some", func(t *testing.T) {
		harness.ComesTrue(t, func(ctx context.Context) string {
			_, err := admin.FleetV1alpha1().Instances("default").Create(ctx, asking("probe", "10m", "100"), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err != nil {
				return "the tight quota is still in force: " + err.Error()
			}
			return ""
		})
		for _, write := range w.all(admin) {
			written := tr.record(t, func() {
				if err := write.do(t.Context()); err != nil {
					t.Errorf("%s: %v", write.name, err)
				}
			})
			if all := strings.Join(written, "\n"); !strings.Contains(all, write.leaves) {
				t.Errorf("%s: no trace of %s in %q", write.name, write.leaves, all)
			}
		}
	})
}

// waitForOwnWrites waits until the server has written what it writes by itself after its start: the flow
// schemas and, later, the status of each.
func waitForOwnWrites(t *testing.T, core kubernetes.Interface) {
	t.Helper()
	own := append(slices.Clone(bootstrap.MandatoryFlowSchemas), bootstrap.SuggestedFlowSchemas...)
	harness.ComesTrue(t, func(ctx context.Context) string {
		for _, schema := range own {
			stored, err := core.FlowcontrolV1().FlowSchemas().Get(ctx, schema.Name, metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			if len(stored.Status.Conditions) == 0 {
				return "the server has not written the status of flow schema " + schema.Name
			}
		}
		return ""
	})
}

// ownRefusals returns the refusals of the plugins that need no configuration, and of quota.
func ownRefusals(t *testing.T, server *servertesting.Server, admin harness.FleetClient) []refusal {
	t.Helper()
	host := harness.NewFleetClient(t, harness.IssueClient(t, server, "system:host:edge-1", "system:masters", "system:hosts")).FleetV1alpha1()
	ours, rolling := admin.FleetV1alpha1(), harness.NewFleetClient(t, as(server.Config, "rolling")).FleetV1alpha1()
	create := func(namespace string, i *v1alpha1.Instance) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := ours.Instances(namespace).Create(ctx, i, metav1.CreateOptions{})
			return err
		}
	}
	apply := func(spec string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := ours.Instances("default").Patch(ctx, "applied", types.ApplyYAMLPatchType,
				[]byte(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"applied"},"spec":{`+spec+`}}`), metav1.PatchOptions{FieldManager: "tests"})
			return err
		}
	}
	stranger := asking("stranger", "10m", "100")
	stranger.Spec.ServiceAccountName = "builder"
	const (
		container = `"containers":[{"name":"main","image":"app:1","resources":{"requests":{"cpu":"10m","memory":"100"}}}]`
		noAccount = "spec.serviceAccountName: there is no service account default/builder"
		exceeded  = "exceeded quota: tight, requested: " + countInstances + "=1"
	)
	return []refusal{
		{"create in a namespace that does not exist", create("nowhere", asking("new", "10m", "100")), http.StatusNotFound, "NamespaceLifecycle"},
		{"create with an account that does not exist", create("default", stranger), http.StatusForbidden, noAccount},
		{"apply with an account that does not exist", apply(`"serviceAccountName":"builder",` + container), http.StatusForbidden, noAccount},
		{"a host creates another", func(ctx context.Context) error {
			_, err := host.Hosts().Create(ctx, &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: "edge-9"}}, metav1.CreateOptions{})
			return err
		}, http.StatusForbidden, `host "edge-1" may write only its own Host`},
		{"a host frees capacity for itself", func(ctx context.Context) error {
			_, err := host.Hosts().Patch(ctx, "edge-1", types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
			return err
		}, http.StatusForbidden, `host "edge-1" may not change it`},
		{"a host takes the lease of another", func(ctx context.Context) error {
			_, err := host.HostLeases().Create(ctx, &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: "edge-2"}, Spec: v1alpha1.HostLeaseSpec{HolderIdentity: "edge-1"}}, metav1.CreateOptions{})
			return err
		}, http.StatusForbidden, "HostRestriction"},
		{"a host deletes itself", func(ctx context.Context) error {
			return host.Hosts().Delete(ctx, "edge-1", metav1.DeleteOptions{})
		}, http.StatusForbidden, `host "edge-1" may create and update its Host, not DELETE it`},
		{"a host deletes an instance with a propagation policy", func(ctx context.Context) error {
			return host.Instances("default").Delete(ctx, "bound", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), PropagationPolicy: ptr.To(metav1.DeletePropagationForeground)})
		}, http.StatusForbidden, "propagationPolicy: a host may not determine"},
		{"a rollback with a refused change of the app", func(ctx context.Context) error {
			_, err := rolling.Apps("default").Rollback(ctx, "web", &v1alpha1.AppRollback{ToRevision: 2}, metav1.CreateOptions{})
			return err
		}, http.StatusUnprocessableEntity, "not by policy"},
		{"create of more than a quota allows", create("default", asking("more", "10m", "100")), http.StatusForbidden, exceeded},
		{"apply of more than a quota allows", apply(container), http.StatusForbidden, exceeded},
		{"create of what lacks a limited request", create("default", asking("vague", "10m", "")), http.StatusForbidden, "must specify"},
	}
}

// as returns a client configuration for an administrator of that name.
func as(config *rest.Config, user string) *rest.Config {
	config = rest.CopyConfig(config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters"}}
	return config
}
