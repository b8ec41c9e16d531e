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
	gocontext "context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

type context = gocontext.Context

func TestUsersReadTheirOwnTracesOnly(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	clients := map[string]harness.RawClient{}
	for name, groups := range map[string][]string{"alice": nil, "bob": nil, fleetv1alpha1.HostUserPrefix + "edge-1": {fleetv1alpha1.HostsGroup}} {
		clients[name] = harness.NewRawClient(t, harness.IssueClient(t, server, name, groups...))
		clients[name].Do(t, http.MethodGet, mapsPath, "", "", "")
	}
	nobody := harness.NewRawClient(t, rest.AnonymousClientConfig(server.Config))
	nobody.Do(t, http.MethodGet, mapsPath, "", "", "")
	all := list(t, admin, "?fieldSelector=verdict%3DRefused")
	if len(all) < 4 {
		t.Fatalf("the administrator reads %d refusals", len(all))
	}
	for name, client := range clients {
		own := list(t, client, "")
		if len(own) == 0 {
			t.Errorf("%s reads no trace", name)
		}
		for _, trace := range own {
			if trace.User.Username != name {
				t.Errorf("%s reads a trace of %q", name, trace.User.Username)
			}
		}
		for _, trace := range all {
			want := http.StatusNotFound
			if trace.User.Username == name {
				want = http.StatusOK
			}
			if answer := client.Do(t, http.MethodGet, tracesPath+"/"+trace.Name, "", "", ""); answer.Code != want {
				t.Errorf("%s gets a trace of %q: %d", name, trace.User.Username, answer.Code)
			}
		}
	}
	if answer := nobody.Do(t, http.MethodGet, tracesPath, "", "", ""); answer.Code != http.StatusUnauthorized {
		t.Errorf("a client without credentials got %d", answer.Code)
	}
	for _, trace := range list(t, admin, "") {
		if trace.Request.Resource == v1alpha1.RequestTraces {
			t.Errorf("a read of traces is traced: %+v", trace)
		}
	}
}

func TestTheRoleOfDiagnosticsReadsAllTraces(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	harness.NewRawClient(t, harness.IssueClient(t, server, "bob")).Do(t, http.MethodGet, mapsPath, "", "", "")
	carol := harness.NewRawClient(t, harness.IssueClient(t, server, "carol"))
	must(t, admin, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{"metadata":{"name":"carol"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"gatehouse:diagnostics"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"carol"}]}`)
	harness.ComesTrue(t, func(context) string {
		if len(list(t, carol, "?fieldSelector=user%3Dbob")) == 0 {
			return "carol reads no trace of bob"
		}
		return ""
	})
}

func TestTracesAreListedInPagesAndWatched(t *testing.T) {
	server := servertesting.Start(t)
	client, err := versioned.NewForConfig(server.Config)
	if err != nil {
		t.Fatal(err)
	}
	traces := client.DiagnosticsV1alpha1().RequestTraces()
	bob := harness.NewRawClient(t, harness.IssueClient(t, server, "bob"))
	for range 5 {
		bob.Do(t, http.MethodGet, mapsPath, "", "", "")
	}
	selector := "user=bob"
	options := metav1.ListOptions{FieldSelector: selector, Limit: 2}
	var names []string
	for {
		page, err := traces.List(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		for _, trace := range page.Items {
			names = append(names, trace.Name)
		}
		if page.Continue == "" {
			break
		}
		options.Continue = page.Continue
	}
	if len(names) != 5 {
		t.Errorf("the pages have %d traces: %v", len(names), names)
	}
	yes := true
	events, err := traces.Watch(t.Context(), metav1.ListOptions{
		FieldSelector: selector, SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	for i := range 6 {
		event := <-events.ResultChan()
		trace, ok := event.Object.(*v1alpha1.RequestTrace)
		switch {
		case !ok:
			t.Fatalf("event %d is %+v", i, event.Object)
		case i < 5 && (event.Type != watch.Added || trace.Name != names[i]):
			t.Errorf("event %d is %s %s", i, event.Type, trace.Name)
		case i == 5 && (event.Type != watch.Bookmark || trace.Annotations[metav1.InitialEventsAnnotationKey] != "true"):
			t.Errorf("event %d is %s %v", i, event.Type, trace.Annotations)
		}
	}
	bob.Do(t, http.MethodGet, mapsPath, "", "", "")
	if event := <-events.ResultChan(); event.Type != watch.Added {
		t.Errorf("a new trace is %s", event.Type)
	}
	if _, err := traces.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "7"}); err == nil || !strings.Contains(err.Error(), "no longer in memory") {
		t.Errorf("a version of another start: %v", err)
	}
}

func TestTokensAreInNoTrace(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	const token = "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJpc3MiOiJrdWJlcm5ldGVzIiwic3ViIjoicyJ9.c2lnbmF0dXJlLXRoYXQtaXMtbG9uZw"
	for _, given := range []string{token, "short-token", "a.b.c"} {
		harness.NewRawClient(t, harness.WithToken(server, given)).Do(t, http.MethodGet, mapsPath, "", "", "")
	}
	text, err := json.Marshal(list(t, admin, "?fieldSelector=code%3D401"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range append(strings.Split(token, "."), "short-token") {
		if strings.Contains(string(text), part) {
			t.Errorf("a trace has %q: %s", part, text)
		}
	}
	if strings.Count(string(text), `"code":401`) != 3 {
		t.Errorf("the traces are %s", text)
	}
}

func TestARefusalByRolesHasNearMissesAndItsCureForThoseWhoMayBind(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	bob := harness.NewRawClient(t, harness.IssueClient(t, server, "bob"))
	must(t, admin, "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings", `{"metadata":{"name":"bobs"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"bob"}]}`)
	harness.ComesTrue(t, func(context) string {
		if answer := bob.Do(t, http.MethodGet, mapsPath, "", "", ""); answer.Code != http.StatusOK {
			return string(answer.Body)
		}
		return ""
	})
	name := bob.Do(t, http.MethodDelete, mapsPath+"/a", "", "", "").Header.Get("Audit-Id")
	for _, row := range []struct {
		name   string
		client harness.RawClient
		cure   string
	}{
		{"the administrator", admin, "kubectl create rolebinding bob-configmaps --clusterrole=edit --user=bob --namespace=default"},
		{"the user itself", bob, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			var trace v1alpha1.RequestTrace
			row.client.Do(t, http.MethodGet, tracesPath+"/"+name, "", "", "").Into(t, &trace)
			if len(trace.NearMisses) == 0 || trace.NearMisses[0].Binding.Name != "bobs" || strings.Join(trace.NearMisses[0].Misfits, " ") != "verb" {
				t.Errorf("the near misses are %+v", trace.NearMisses)
			}
			if trace.Cure != row.cure {
				t.Errorf("the cure is %q, want %q", trace.Cure, row.cure)
			}
		})
	}
}

func TestWithoutTracesRefusalsDoNotLeadToThem(t *testing.T) {
	server := servertesting.Start(t, func(o *options.Options) { o.Traces.Mode = "off" })
	answer := harness.NewRawClient(t, harness.IssueClient(t, server, "bob")).Do(t, http.MethodGet, mapsPath, "", "", "")
	if answer.Code != http.StatusForbidden || strings.Contains(string(answer.Body), "why:") {
		t.Errorf("got %d: %s", answer.Code, answer.Body)
	}
	if all := list(t, harness.NewRawClient(t, server.Config), ""); len(all) != 0 {
		t.Errorf("%d traces are kept", len(all))
	}
}
