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

package traces

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// TestControllersAreUntroubledByKindsThatAreNotStored runs the controllers that follow all resources of a server.
func TestControllersAreUntroubledByKindsThatAreNotStored(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.BuiltinClient(t, server)
	admin := harness.NewRawClient(t, server.Config)
	t.Run("a storage version migration ends at once and says why", func(t *testing.T) {
		migrations := client.StoragemigrationV1().StorageVersionMigrations()
		_, err := migrations.Create(t.Context(), &storagemigrationv1.StorageVersionMigration{
			ObjectMeta: metav1.ObjectMeta{Name: "traces"},
			Spec:       storagemigrationv1.StorageVersionMigrationSpec{Resource: metav1.GroupResource{Group: v1alpha1.GroupName, Resource: v1alpha1.RequestTraces}},
		}, metav1.CreateOptions{})
		check(t, err)
		harness.ComesTrue(t, func(ctx context) string {
			m, err := migrations.Get(ctx, "traces", metav1.GetOptions{})
			if err != nil {
				return err.Error()
			}
			failed := meta.FindStatusCondition(m.Status.Conditions, string(storagemigrationv1.MigrationFailed))
			if failed == nil || failed.Status != metav1.ConditionTrue || !strings.Contains(failed.Message, "does not support the verbs") {
				return fmt.Sprint(m.Status.Conditions)
			}
			return ""
		})
	})
	t.Run("a quota of them leaves the rest of the quota in force", func(t *testing.T) { quotaOfTraces(t, client) })
	t.Run("a namespace and a dependent are deleted", func(t *testing.T) {
		controlled := harness.Controlled{FleetClient: harness.NewFleetClient(t, server.Config), Core: client}
		controlled.CreateNamespace(t, "short")
		check(t, client.CoreV1().Namespaces().Delete(t.Context(), "short", metav1.DeleteOptions{}))
		harness.Gone(t, "the namespace", func(ctx context) error { return controlled.Namespace(ctx, "short") })
		owner := controlled.CreateMap(t, "default", "owner")
		controlled.CreateMap(t, "default", "dependent", owner)
		controlled.DeleteMap(t, "owner", metav1.DeletePropagationBackground)
		harness.Gone(t, "the dependent", controlled.GetMap("default", "dependent"))
	})
	t.Run("no controller watches them", func(t *testing.T) {
		samples, err := metrics.Read(t.Context(), client.Discovery().RESTClient())
		check(t, err)
		for _, sample := range samples {
			if sample.Name == "apiserver_longrunning_requests" && sample.Labels["resource"] == v1alpha1.RequestTraces && sample.Value != 0 {
				t.Errorf("%s %v: %v", sample.Name, sample.Labels, sample.Value)
			}
		}
	})
	t.Run("kubectl get all has none of them", func(t *testing.T) {
		must(t, admin, mapsPath, createMap("any", "x")) // has a trace
		out, err := exec.CommandContext(t.Context(), kubectl.Find(t), "--kubeconfig", server.Kubeconfig, "get", "all", "--all-namespaces").CombinedOutput()
		if err != nil || strings.Contains(string(out), "requesttrace") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// quotaOfTraces bounds traces and secrets.
func quotaOfTraces(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	what := corev1.ResourceName("count/" + v1alpha1.RequestTraces + "." + v1alpha1.GroupName)
	_, err := client.CoreV1().ResourceQuotas("default").Create(t.Context(), &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "traces"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{
		what: resource.MustParse("0"), corev1.ResourceSecrets: resource.MustParse("1"),
	}}}, metav1.CreateOptions{})
	check(t, err)
	created := 0
	harness.ComesTrue(t, func(ctx context) string {
		_, err := client.CoreV1().Secrets("default").Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "s-"}}, metav1.CreateOptions{})
		if err == nil {
			created++
		}
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "exceeded quota: traces") {
			return fmt.Sprint(created, " secrets are created: ", err)
		}
		return ""
	})
}

// TestUsersSeeNoTraceOfOthersInWatchesAndBySelectors has rows of all ways to select.
func TestUsersSeeNoTraceOfOthersInWatchesAndBySelectors(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	host := fleetv1alpha1.HostUserPrefix + "edge-1"
	clients := map[string]harness.RawClient{
		"alice": harness.NewRawClient(t, harness.IssueClient(t, server, "alice")), "bob": harness.NewRawClient(t, harness.IssueClient(t, server, "bob")),
		host: harness.NewRawClient(t, harness.IssueClient(t, server, host, fleetv1alpha1.HostsGroup)), fleetv1alpha1.HostUserPrefix + "edge-2": harness.NewRawClient(t, harness.IssueClient(t, server, fleetv1alpha1.HostUserPrefix+"edge-2", fleetv1alpha1.HostsGroup)),
	}
	for _, client := range clients {
		client.Do(t, http.MethodGet, mapsPath, "", "", "")
	}
	all := list(t, admin, "")
	for name, client := range clients {
		for _, trace := range all {
			if trace.User.Username == name {
				continue
			}
			for _, selector := range []string{
				"metadata.name=" + trace.Name, "user=" + trace.User.Username, "user!=" + name, "verb=" + trace.Request.Verb + ",user=" + trace.User.Username, "user=",
			} {
				for _, found := range list(t, client, "?fieldSelector="+strings.NewReplacer("=", "%3D", ",", "%2C", "!", "%21").Replace(selector)) {
					if found.User.Username != name {
						t.Errorf("%s selects a trace of %q by %s", name, found.User.Username, selector)
					}
				}
			}
		}
		readInAllForms(t, client, name, all)
	}
}

// readInAllForms lists and watches traces as objects, tables and metadata, in pages and whole. The user has one trace
// at least, and reads none of the others.
func readInAllForms(t *testing.T, client harness.RawClient, user string, all []v1alpha1.RequestTrace) {
	t.Helper()
	const meta = ";g=meta.k8s.io;v=v1"
	for form, accept := range map[string]string{
		"objects": "application/json", "tables": "application/json;as=Table" + meta, "metadata of a list": "application/json;as=PartialObjectMetadataList" + meta,
		"metadata": "application/json;as=PartialObjectMetadata" + meta, "protobuf": "application/vnd.kubernetes.protobuf",
	} {
		for way, query := range map[string]string{"list": "", "page": "?limit=1", "watch": "?watch=true&timeoutSeconds=1&resourceVersion=0", "table with objects": "?includeObject=Object"} {
			if watches := way == "watch"; watches == (form == "metadata of a list") || form == "metadata" && !watches {
				continue
			}
			own := 0
			for pages, token := 0, ""; pages == 0 || token != ""; pages++ {
				if token != "" {
					query = "?limit=1&continue=" + token
				}
				answer := client.Do(t, http.MethodGet, tracesPath+query, "", accept, "")
				if answer.Code != http.StatusOK {
					t.Fatalf("%s of %s by %s: %d %.300s", way, form, user, answer.Code, answer.Body)
				}
				for _, trace := range all {
					switch has := strings.Contains(string(answer.Body), trace.Name); {
					case has && trace.User.Username == user:
						own++
					case has:
						t.Errorf("%s of %s: %s reads a trace of %q", way, form, user, trace.User.Username)
					}
				}
				token = ""
				if way == "page" && form != "protobuf" {
					var list struct{ Metadata struct{ Continue string } }
					answer.Into(t, &list)
					token = list.Metadata.Continue
				}
			}
			if own == 0 {
				t.Errorf("%s of %s: %s reads no trace", way, form, user)
			}
		}
	}
}
