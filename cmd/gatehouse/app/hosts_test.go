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
	"fmt"
	"path/filepath"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

// clientOf returns a client with a certificate of the cluster's authority.
func clientOf(t *testing.T, o options.CompletedOptions, ready Ready, users *certificates.Bundle, name string, groups ...string) versioned.Interface {
	t.Helper()
	certPEM, keyPEM, err := certificates.IssueClient(users.CA, name, groups, time.Hour, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	client, err := versioned.NewForConfig(&rest.Config{Host: ready.URL, QPS: -1, TLSClientConfig: rest.TLSClientConfig{
		CAFile: filepath.Join(o.CertificateDir(), "ca.crt"), CertData: certPEM, KeyData: keyPEM,
	}})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// The cluster of this test allows everything, as a role with too many rights would.
// Hosts connect directly, with certificates of the cluster's authority.
func TestInTheAggregatedModeAHostReachesNothingButItsOwn(t *testing.T) {
	_, o, ready, users := startAggregated(t)
	admin := clientOf(t, o, ready, users, "admin", "system:masters").FleetV1alpha1()
	edge := clientOf(t, o, ready, users, "system:host:edge-1", "system:hosts").FleetV1alpha1()
	other := clientOf(t, o, ready, users, "system:host:edge-2", "system:hosts").FleetV1alpha1()
	ctx := t.Context()
	allowed := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	forbidden := func(what string, err error) {
		t.Helper()
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v, want a 403", what, err)
		}
	}
	host := func(name string, labels map[string]string) *v1alpha1.Host {
		return &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}

	_, err := edge.Hosts().Create(ctx, host("edge-2", nil), metav1.CreateOptions{})
	forbidden("edge-1 registers edge-2", err)
	_, err = edge.Hosts().Create(ctx, host("edge-1", map[string]string{"host-restriction.gatehouse.dev/secure": "yes"}), metav1.CreateOptions{})
	forbidden("edge-1 registers itself as trusted", err)
	generated := host("", nil)
	generated.GenerateName = "edge-"
	_, err = edge.Hosts().Create(ctx, generated, metav1.CreateOptions{})
	forbidden("edge-1 registers whatever name comes out", err)
	_, err = edge.Hosts().Create(ctx, host("edge-1", map[string]string{"zone": "a"}), metav1.CreateOptions{})
	allowed("edge-1 registers itself", err)
	_, err = edge.Hosts().Patch(ctx, "edge-1", types.MergePatchType, []byte(`{"spec":{"unschedulable":true}}`), metav1.PatchOptions{})
	forbidden("edge-1 changes its spec", err)
	_, err = edge.Hosts().Patch(ctx, "edge-1", types.MergePatchType, []byte(`{"status":{"info":{"machineID":"m"}},"metadata":{"labels":{"gatehouse.dev/x":"y"}}}`), metav1.PatchOptions{}, "status")
	allowed("edge-1 reports its status, and what else it writes there is dropped", err)
	got, err := edge.Hosts().Get(ctx, "edge-1", metav1.GetOptions{})
	if err != nil || got.Status.Info.MachineID != "m" || got.Labels["gatehouse.dev/x"] != "" {
		t.Errorf("got %+v (%v)", got, err)
	}
	_, err = other.Hosts().Create(ctx, host("edge-2", nil), metav1.CreateOptions{})
	allowed("edge-2 registers itself", err)
	_, err = edge.Hosts().Get(ctx, "edge-2", metav1.GetOptions{})
	forbidden("edge-1 reads edge-2", err)

	bind := func(name, to string) {
		t.Helper()
		_, err := admin.Instances("default").Create(ctx, &v1alpha1.Instance{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
		}, metav1.CreateOptions{})
		allowed("the administrator creates "+name, err)
		if to != "" {
			_, err = admin.Instances("default").Bind(ctx, name, &v1alpha1.Binding{Target: v1alpha1.BindingTarget{Kind: "Host", Name: to}}, metav1.CreateOptions{})
			allowed("the administrator binds "+name, err)
		}
	}
	// Directly after each binding, when caches may not have it yet.
	for i := range 20 {
		name := fmt.Sprintf("web-%d", i)
		bind(name, "edge-1")
		_, err = edge.Instances("default").Get(ctx, name, metav1.GetOptions{})
		allowed("edge-1 reads "+name, err)
		_, err = other.Instances("default").Get(ctx, name, metav1.GetOptions{})
		forbidden("edge-2 reads "+name, err)
	}
	bind("unbound", "")
	for _, name := range []string{"unbound", "nothing"} {
		_, err = edge.Instances("default").Get(ctx, name, metav1.GetOptions{})
		forbidden("edge-1 reads "+name, err)
	}
	status := []byte(`{"status":{"phase":"Running"},"metadata":{"finalizers":["example.com/x"]},"spec":{"hostName":"edge-2"}}`)
	reported, err := edge.Instances("default").Patch(ctx, "web-0", types.MergePatchType, status, metav1.PatchOptions{}, "status")
	allowed("edge-1 reports a status", err)
	if reported.Status.Phase != v1alpha1.InstanceRunning || len(reported.Finalizers) > 0 || reported.Spec.HostName != "edge-1" {
		t.Errorf("reported %+v", reported)
	}
	_, err = other.Instances("default").Patch(ctx, "web-0", types.MergePatchType, status, metav1.PatchOptions{}, "status")
	forbidden("edge-2 reports a status of edge-1's", err)
	_, err = edge.Instances("default").Patch(ctx, "web-0", types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`), metav1.PatchOptions{})
	forbidden("edge-1 changes an instance", err)
	forbidden("edge-1 begins to delete an instance", edge.Instances("default").Delete(ctx, "web-0", metav1.DeleteOptions{}))
	forbidden("edge-1 deletes with a grace period", edge.Instances("default").Delete(ctx, "web-0", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](5)}))
	forbidden("edge-2 deletes an instance of edge-1", other.Instances("default").Delete(ctx, "web-0", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
	forbidden("edge-1 deletes all its instances", edge.Instances("default").DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}, metav1.ListOptions{FieldSelector: "spec.hostName=edge-1"}))
	if still, err := admin.Instances("default").Get(ctx, "web-0", metav1.GetOptions{}); err != nil || still.DeletionTimestamp != nil {
		t.Errorf("a refused delete began: %+v (%v)", still, err)
	}
	allowed("edge-1 deletes what has stopped", edge.Instances("default").Delete(ctx, "web-0", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}))
	if mine, err := edge.Instances("").List(ctx, metav1.ListOptions{FieldSelector: "spec.hostName=edge-1"}); err != nil || len(mine.Items) != 19 {
		t.Errorf("edge-1 lists %d instances (%v), want 19", len(mine.Items), err)
	}
	_, err = edge.Instances("default").List(ctx, metav1.ListOptions{FieldSelector: "spec.hostName=edge-1"})
	allowed("edge-1 lists its instances", err)
	_, err = edge.Instances("").List(ctx, metav1.ListOptions{FieldSelector: "spec.hostName=edge-2"})
	forbidden("edge-1 lists the instances of edge-2", err)
	_, err = edge.Instances("").Watch(ctx, metav1.ListOptions{})
	forbidden("edge-1 watches everything", err)
	lease := &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: "edge-1"}, Spec: v1alpha1.HostLeaseSpec{HolderIdentity: "edge-2"}}
	_, err = edge.HostLeases().Create(ctx, lease, metav1.CreateOptions{})
	forbidden("edge-1 lets edge-2 hold its lease", err)
	lease.Spec.HolderIdentity = "edge-1"
	_, err = edge.HostLeases().Create(ctx, lease, metav1.CreateOptions{})
	allowed("edge-1 creates its lease", err)
	forbidden("edge-1 deletes all hosts", edge.Hosts().DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
	hosts, err := admin.Hosts().List(ctx, metav1.ListOptions{})
	if err != nil || len(hosts.Items) != 2 {
		t.Errorf("%d hosts (%v)", len(hosts.Items), err)
	}
}
