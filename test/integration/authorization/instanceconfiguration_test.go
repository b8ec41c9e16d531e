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

package authorization

import (
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func TestTheBoundHostReadsTheKeysToWhichItsInstanceRefers(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	core := kubernetes.NewForConfigOrDie(server.Config).CoreV1()
	if _, err := core.Secrets("default").Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "database"}, StringData: map[string]string{"user": "u", "password": "p"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := core.ConfigMaps("default").Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"level": "info"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, object := range []struct{ path, body string }{
		{harness.HostsPath, strings.Replace(harness.GoodHost, "wrong", "edge-1", 1)},
		{harness.HostsPath, strings.Replace(harness.GoodHost, "wrong", "edge-2", 1)},
		{harness.InstancesPath, `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"web-0"},"spec":{` +
			`"volumes":[{"name":"settings","configMap":{"name":"settings"}}],"containers":[{"name":"main","image":"web:1",` +
			`"env":[{"name":"USER","valueFrom":{"secretKeyRef":{"name":"database","key":"user"}}},{"name":"B","valueFrom":{"secretKeyRef":{"name":"absent","key":"b"}}}]}]}}`},
	} {
		if answer := admin.Do(t, http.MethodPost, object.path, "application/json", "", object.body); answer.Code != http.StatusCreated {
			t.Fatalf("%s: %d %s", object.path, answer.Code, answer.Body)
		}
	}
	const path = harness.InstancesPath + "/web-0/configuration"
	edge := harness.NewRawClient(t, harness.IssueClient(t, server, "system:host:edge-1", "system:hosts"))
	if answer := edge.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusForbidden {
		t.Errorf("of an instance that is not bound: %d %s", answer.Code, answer.Body)
	}
	const binding = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","metadata":{"name":"web-0"},"target":{"kind":"Host","name":"edge-1"}}`
	if answer := admin.Do(t, http.MethodPost, harness.InstancesPath+"/web-0/binding", "application/json", "", binding); answer.Code != http.StatusCreated {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	answer := edge.Do(t, http.MethodGet, path, "", "", "")
	var got v1alpha1.InstanceConfiguration
	answer.Into(t, &got)
	if answer.Code != http.StatusOK || got.Name != "web-0" || got.UID == "" || len(got.ConfigMaps) != 1 || string(got.ConfigMaps[0].Data["level"]) != "info" {
		t.Errorf("got %d %s", answer.Code, answer.Body)
	}
	if s := got.Secrets; len(s) != 2 || s[0].Name != "absent" || s[0].Found || !s[1].Found || string(s[1].Data["user"]) != "u" || len(s[1].Data) != 1 {
		t.Errorf("got the secrets %+v: only the key to which the instance refers is for the host", s)
	}
	for _, refused := range []string{"/api/v1/namespaces/default/secrets/database", "/api/v1/namespaces/default/configmaps/settings"} {
		if answer := edge.Do(t, http.MethodGet, refused, "", "", ""); answer.Code != http.StatusForbidden {
			t.Errorf("%s: %d", refused, answer.Code)
		}
	}
	// Authorization allows these users, so that the endpoint itself is tested.
	for _, user := range []string{"system:host:edge-2", "jane"} {
		caller := harness.NewRawClient(t, harness.IssueClient(t, server, user, "system:masters", "system:hosts"))
		if answer := caller.Do(t, http.MethodGet, path, "", "", ""); answer.Code != http.StatusForbidden || !strings.Contains(string(answer.Body), "for the host to which it is bound") {
			t.Errorf("%s: %d %s", user, answer.Code, answer.Body)
		}
	}
}
