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

package observability

import (
	"context"
	"net/http"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/informers/externalversions"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const membersPath = "/apis/diagnostics.gatehouse.dev/v1alpha1/storagemembers"

func TestTheEmbeddedEtcdIsAStorageMember(t *testing.T) {
	server := servertesting.Start(t)
	clients := versioned.NewForConfigOrDie(server.Config)
	members := clients.DiagnosticsV1alpha1().StorageMembers()
	list, err := members.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.ResourceVersion == "" {
		t.Fatalf("got %+v", list)
	}
	m := list.Items[0]
	if m.Role != v1alpha1.StorageLeader || m.Health != v1alpha1.StorageHealthy || m.Fsync == nil || m.QuotaBytes == 0 || m.Cluster.Voters != 1 || m.Cluster.MayFail != 0 || !m.Cluster.Quorate {
		t.Errorf("got %+v", m)
	}
	if got, err := members.Get(t.Context(), m.Name, metav1.GetOptions{}); err != nil || got.MemberName != m.MemberName {
		t.Errorf("got %+v, %v", got, err)
	}
	events, err := members.Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: ptr.To(true), ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	for i, want := range []watch.EventType{watch.Added, watch.Bookmark, watch.Modified, watch.Modified} {
		event := <-events.ResultChan()
		object, ok := event.Object.(*v1alpha1.StorageMember)
		if !ok || event.Type != want || want != watch.Bookmark && object.Name != m.Name {
			t.Fatalf("event %d is %v", i, event)
		}
		if want == watch.Bookmark && object.Annotations[metav1.InitialEventsAnnotationKey] != "true" {
			t.Errorf("the bookmark has %v", object.Annotations)
		}
	}
	factory := externalversions.NewSharedInformerFactory(clients, 0)
	informer := factory.Diagnostics().V1alpha1().StorageMembers()
	hasSynced := informer.Informer().HasSynced
	factory.Start(t.Context().Done())
	if !cache.WaitForCacheSync(t.Context().Done(), hasSynced) {
		t.Fatal("the informer is not synced")
	}
	if all, err := informer.Lister().List(labels.Everything()); err != nil || len(all) != 1 {
		t.Errorf("the lister has %v, %v", all, err)
	}
}

func TestStorageMembersAreServedAsATableAndCannotBeWritten(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	var table metav1.Table
	admin.Do(t, http.MethodGet, membersPath, "", "application/json;as=Table;g=meta.k8s.io;v=v1", "").Into(t, &table)
	if len(table.Rows) != 1 {
		t.Fatalf("the table is %+v", table)
	}
	cells := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		cells[column.Name] = table.Rows[0].Cells[i]
	}
	for name, want := range map[string]string{"Role": "Leader", "Health": "Healthy", "Behind": "0", "Alarms": "<none>", "Voters": "1/1", "May-Fail": "0", "Quota": "8.0GiB", "Error": "<none>"} {
		if cells[name] != want {
			t.Errorf("%s is %v, want %s", name, cells[name], want)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		if answer := admin.Do(t, method, membersPath, "application/json", "", "{}"); answer.Code != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", method, answer.Code)
		}
	}
	if answer := admin.Do(t, http.MethodGet, membersPath+"/none", "", "", ""); answer.Code != http.StatusNotFound {
		t.Errorf("an unknown member: %d", answer.Code)
	}
}

func TestStorageMembersAreForTheRoleOfDiagnostics(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	bindings := "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
	for user, role := range map[string]string{"carol": "gatehouse:diagnostics", "vera": "view", "anna": "admin"} {
		admin.Write(t, http.MethodPost, bindings, "application/json", `{"metadata":{"name":"`+user+`"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"`+role+`"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"`+user+`"}]}`)
	}
	for _, row := range []struct {
		name   string
		config *rest.Config
		code   int
	}{
		{"the role gatehouse:diagnostics", harness.IssueClient(t, server, "carol"), http.StatusOK},
		{"the role view", harness.IssueClient(t, server, "vera"), http.StatusForbidden},
		{"the role admin", harness.IssueClient(t, server, "anna"), http.StatusForbidden},
		{"no role", harness.IssueClient(t, server, "bob"), http.StatusForbidden},
		{"a host", harness.IssueClient(t, server, fleetv1alpha1.HostUserPrefix+"edge-1", fleetv1alpha1.HostsGroup), http.StatusForbidden},
		{"no credentials", rest.AnonymousClientConfig(server.Config), http.StatusUnauthorized},
	} {
		t.Run(row.name, func(t *testing.T) {
			client := harness.NewRawClient(t, row.config)
			kit.EventuallyState(t, "the answer is as the roles say", func(context.Context) (bool, string) {
				answer := client.Do(t, http.MethodGet, membersPath, "", "", "")
				return answer.Code == row.code, string(answer.Body)
			})
		})
	}
}
