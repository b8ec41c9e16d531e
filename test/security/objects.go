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

package security

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// Objects describes one kind in one namespace, for attacks that apply to any kind.
type Objects struct {
	Path, APIVersion, Kind string
	// Spec is the JSON of a spec; empty if the kind has none.
	Spec string
}

// Instances describes the instances of a namespace.
func Instances(namespace string) Objects {
	return Objects{
		Path: fleet + "/namespaces/" + namespace + "/instances", APIVersion: "fleet.gatehouse.dev/v1alpha1", Kind: "Instance",
		Spec: `{"containers":[{"name":"a","image":"a:1"}],"serviceAccountName":"default"}`,
	}
}

// named returns the JSON of an object; metadata follows its name, beginning with the comma.
func (o Objects) named(name, metadata string) string {
	spec := ""
	if o.Spec != "" {
		spec = `,"spec":` + o.Spec
	}
	return fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q%s}%s}`, o.APIVersion, o.Kind, name, metadata, spec)
}

// UntypedBodies sends, as a web page with the credentials of an administrator, a body without a media
// type, or with one that a page may send to another site without a preflight request.
func UntypedBodies(t *testing.T, admin *rest.Config, objects Objects) {
	t.Helper()
	c := newClient(t, admin)
	for _, types := range [][]string{nil, {""}, {"text/plain"}, {"text/plain;charset=UTF-8"}, {"application/x-www-form-urlencoded"}, {"multipart/form-data; boundary=x"}} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.host+objects.Path, strings.NewReader(objects.named("untyped", "")))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
		for _, one := range types {
			request.Header.Add("Content-Type", one)
		}
		response, err := c.http.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusUnsupportedMediaType {
			t.Errorf("a body of types %q: %s", types, response.Status)
		}
	}
	if code, body := c.send(t, attack{path: objects.Path + "/untyped"}); code != http.StatusNotFound {
		t.Errorf("it was stored: %d %s", code, body)
	}
}

// StrangeOwners sets owner references without the rights that they need. The user attack-smith may edit
// the objects, and attack-patcher may patch them. It leaves the host attack-owner.
func StrangeOwners(t *testing.T, env Env, objects Objects) {
	t.Helper()
	admin, smith, patcher := newClient(t, env.Admin), newClient(t, env.As("attack-smith")), newClient(t, env.As("attack-patcher"))
	hostUID := field(t, admin.must(t, http.MethodPost, hosts, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-owner"}}`), "metadata", "uid")
	owners := func(block bool) string {
		return fmt.Sprintf(`"ownerReferences":[{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","name":"attack-owner","uid":%q,"blockOwnerDeletion":%t}]`, hostUID, block)
	}
	if code, body := smith.send(t, attack{method: http.MethodPost, path: objects.Path, body: objects.named("holds", ","+owners(true))}); code != http.StatusForbidden || !strings.Contains(body, "hosts.fleet.gatehouse.dev/finalizers") {
		t.Errorf("an editor holds up the deletion of a host: %d %s", code, body)
	}
	if code, body := smith.send(t, attack{method: http.MethodPost, path: objects.Path, body: objects.named("belongs", ","+owners(false))}); code != http.StatusCreated {
		t.Errorf("an editor may not name an owner: %d %s", code, body)
	}
	if code, body := smith.send(t, attack{method: http.MethodPatch, path: objects.Path + "/belongs", body: `{"metadata":{` + owners(true) + `}}`}); code != http.StatusForbidden {
		t.Errorf("an editor holds up the deletion of a host by a patch: %d %s", code, body)
	}
	admin.must(t, http.MethodPost, objects.Path, "", objects.named("victim", ""))
	if code, body := patcher.send(t, attack{method: http.MethodPatch, path: objects.Path + "/victim", body: `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"00000000-0000-0000-0000-000000000000"}]}}`}); code != http.StatusForbidden || !strings.Contains(body, "may delete it") {
		t.Errorf("a user that may not delete has the garbage collector do it: %d %s", code, body)
	}
}

// LargeObjects creates apps of these sizes in bytes in a namespace. The first is accepted, and the
// others exceed the limit of the server's etcd.
func LargeObjects(t *testing.T, admin *rest.Config, namespace string, taken int, refused ...int) {
	t.Helper()
	c := newClient(t, admin)
	create := func(bytes int) (int, string) {
		body := fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"attack-large-%d"},"spec":{"replicas":0,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"a","image":"a:1","args":[%q]}]}}}}`, bytes, strings.Repeat("x", bytes))
		return c.send(t, attack{method: http.MethodPost, path: fleet + "/namespaces/" + namespace + "/apps", body: body})
	}
	if code, body := create(taken); code != http.StatusCreated {
		t.Errorf("an app of %d bytes: %d %.300s", taken, code, body)
	}
	for _, bytes := range refused {
		if code, body := create(bytes); code != http.StatusRequestEntityTooLarge || !strings.Contains(body, "larger than etcd accepts") {
			t.Errorf("an app of %d bytes: %d %.300s", bytes, code, body)
		}
	}
}
