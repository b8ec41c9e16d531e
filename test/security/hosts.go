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
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	fleet = "/apis/fleet.gatehouse.dev/v1alpha1"
	hosts = fleet + "/hosts"
	lease = fleet + "/hostleases"
)

// Hosts plays attacks of one host on others. namespace must exist and allow instances.
// A ClusterRole may grant the group system:hosts everything, which must have no effect.
func Hosts(t *testing.T, env Env, namespace string) {
	t.Helper()
	prepareHosts(t, env, namespace)
	forged := http.StatusForbidden
	if env.FrontProxy {
		forged = http.StatusUnauthorized
	}
	rows := append(hostRows(namespace, fleet+"/namespaces/"+namespace+"/instances"), attack{
		name: "A host forges the front proxy's headers", as: "attack-1", path: hosts + "/attack-2", code: forged,
		headers: map[string][]string{"X-Remote-User": {"system:host:attack-2"}, "X-Remote-Group": {"system:hosts", "system:masters"}},
	})
	play(t, env, hostPeople(), rows, []string{hosts, lease, fleet + "/instances"})
}

func hostPeople() map[string]person {
	return map[string]person{
		"attack-1":          {"system:host:attack-1", []string{"system:hosts"}},
		"a host of no name": {"system:host:", []string{"system:hosts"}},
		"no host at all":    {"alice", []string{"system:hosts"}},
	}
}

// prepareHosts creates two hosts with an instance each, and waits until the first may what a host may.
func prepareHosts(t *testing.T, env Env, namespace string) {
	t.Helper()
	admin := newClient(t, env.Admin)
	instances := fleet + "/namespaces/" + namespace + "/instances"
	for _, name := range []string{"attack-1", "attack-2"} {
		admin.must(t, http.MethodPost, hosts, "", fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":%q}}`, name))
		admin.must(t, http.MethodPost, lease, "", fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":%q}}`, name))
	}
	for instance, host := range map[string]string{"mine": "attack-1", "theirs": "attack-2", "unbound": ""} {
		admin.must(t, http.MethodPost, instances, "", fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":%q},"spec":{"containers":[{"name":"a","image":"a:1"}],"serviceAccountName":"default"}}`, instance))
		if host != "" {
			admin.must(t, http.MethodPost, instances+"/"+instance+"/binding", "", fmt.Sprintf(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","target":{"kind":"Host","name":%q}}`, host))
		}
	}
	// Allowed requests first, so that the refusals below do not come from missing rights.
	self := newClient(t, env.As("system:host:attack-1", "system:hosts"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, path := range []string{hosts + "/attack-1", lease + "/attack-1", fleet + "/instances?fieldSelector=spec.hostName%3Dattack-1", instances + "/mine"} {
		self.awaitCode(ctx, t, attack{path: path}, http.StatusOK)
	}
}

func hostRows(namespace, instances string) []attack {
	const forbidden = http.StatusForbidden
	all := fleet + "/instances"
	rows := []attack{
		{name: "A host lists secrets", path: "/api/v1/secrets", code: forbidden},
		{name: "A host gets a secret of an instance's namespace", path: "/api/v1/namespaces/" + namespace + "/secrets/any", code: forbidden},

		{name: "A host lists all hosts", path: hosts, code: forbidden},
		{name: "A host watches all hosts", path: hosts + "?watch=1", code: forbidden},
		{name: "A host watches another host by name", path: hosts + "?watch=1&fieldSelector=metadata.name%3Dattack-2", code: forbidden},
		{name: "A host gets another host", path: hosts + "/attack-2", code: forbidden},
		{name: "A host patches another host", method: http.MethodPatch, path: hosts + "/attack-2", body: `{"metadata":{"labels":{"a":"b"}}}`, code: forbidden},
		{name: "A host patches the status of another host", method: http.MethodPatch, path: hosts + "/attack-2/status", body: `{"status":{"info":{"agentVersion":"evil"}}}`, code: forbidden},
		{name: "A host replaces another host by apply", method: http.MethodPatch, path: hosts + "/attack-2?fieldManager=x&force=true", contentType: "application/apply-patch+yaml", body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-2","labels":{"a":"b"}}}`, code: forbidden},
		{name: "A host creates a host of another name", method: http.MethodPost, path: hosts, body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-3"}}`, code: forbidden},
		{name: "A host creates a host of a generated name", method: http.MethodPost, path: hosts, body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"generateName":"attack-1"}}`, code: forbidden},
		{name: "A host creates a host of another name by apply", method: http.MethodPatch, path: hosts + "/attack-3?fieldManager=x", contentType: "application/apply-patch+yaml", body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"attack-3"}}`, code: forbidden},
		{name: "A host deletes another host", method: http.MethodDelete, path: hosts + "/attack-2", code: forbidden},
		{name: "A host deletes itself", method: http.MethodDelete, path: hosts + "/attack-1", code: forbidden},
		{name: "A host deletes all hosts", method: http.MethodDelete, path: hosts, code: forbidden},
		{name: "A host takes its own taints away", method: http.MethodPatch, path: hosts + "/attack-1", body: `{"spec":{"taints":[{"key":"a","effect":"NoSchedule"}]}}`, code: forbidden},
		{name: "A host makes itself unschedulable", method: http.MethodPatch, path: hosts + "/attack-1", body: `{"spec":{"unschedulable":true}}`, code: forbidden},
		{name: "A host makes itself schedulable by a JSON patch", method: http.MethodPatch, path: hosts + "/attack-1", contentType: "application/json-patch+json", body: `[{"op":"add","path":"/spec/unschedulable","value":true}]`, code: forbidden},

		{name: "A host lists all instances", path: all, code: forbidden},
		{name: "A host lists the instances of a namespace", path: instances, code: forbidden},
		{name: "A host lists the instances of another host", path: all + "?fieldSelector=spec.hostName%3Dattack-2", code: forbidden},
		{name: "A host lists what is not bound", path: all + "?fieldSelector=spec.hostName%3D", code: forbidden},
		{name: "A host lists the instances of all other hosts", path: all + "?fieldSelector=spec.hostName%21%3Dattack-1", code: forbidden},
		{name: "A host lists by a label in place of the field", path: all + "?labelSelector=spec.hostName%3Dattack-1", code: forbidden},
		{name: "A host lists by another field", path: all + "?fieldSelector=metadata.name%3Dtheirs", code: forbidden},
		{name: "A host watches all instances", path: all + "?watch=1", code: forbidden},
		{name: "A host watches the instances of another host", path: all + "?watch=1&fieldSelector=spec.hostName%3Dattack-2", code: forbidden},
		{name: "A host watches from an old version without a selector", path: all + "?watch=1&resourceVersion=1", code: forbidden},
		{name: "A host watches by the old path", path: fleet + "/watch/instances", code: forbidden},
		{name: "A host watches an instance by the old path", path: strings.Replace(instances, fleet, fleet+"/watch", 1) + "/theirs", code: forbidden},
		{name: "A host names two selectors", path: all + "?fieldSelector=spec.hostName%3Dattack-2&fieldSelector=spec.hostName%3Dattack-1", code: forbidden},
		{name: "A host names itself and another in one selector", path: all + "?fieldSelector=spec.hostName%3Dattack-2,spec.hostName%3Dattack-1", code: forbidden},
		{name: "A host sends a selector that cannot be read", path: all + "?fieldSelector=spec.hostName%3D%3D%3Dattack-1%5C", code: forbidden},
		{name: "A host gets an instance of another host", path: instances + "/theirs", code: forbidden},
		{name: "A host gets an instance that is not bound", path: instances + "/unbound", code: forbidden},
		{name: "A host gets an instance that does not exist", path: instances + "/nothing", code: forbidden},
		{name: "A host gets the status of another's instance", path: instances + "/theirs/status", code: forbidden},
		{name: "A host creates an instance", method: http.MethodPost, path: instances, body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"new"},"spec":{"containers":[{"name":"a","image":"a:1"}]}}`, code: forbidden},
		{name: "A host binds an instance to itself", method: http.MethodPost, path: instances + "/unbound/binding", body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","target":{"kind":"Host","name":"attack-1"}}`, code: forbidden},
		{name: "A host changes the spec of its own instance", method: http.MethodPatch, path: instances + "/mine", body: `{"spec":{"containers":[{"name":"a","image":"evil:1"}]}}`, code: forbidden},
		{name: "A host patches the status of another's instance", method: http.MethodPatch, path: instances + "/theirs/status", body: `{"status":{"phase":"Failed"}}`, code: forbidden},
		// The status endpoint ignores labels, so the check at the end proves that nothing changed.
		{name: "A host labels its instance through the status", method: http.MethodPatch, path: instances + "/mine/status", body: `{"metadata":{"labels":{"a":"b"}}}`, code: http.StatusOK},
		{name: "A host deletes an instance of another", method: http.MethodDelete, path: instances + "/theirs?gracePeriodSeconds=0", code: forbidden},
		{name: "A host deletes its own instance with an endless grace period", method: http.MethodDelete, path: instances + "/mine?gracePeriodSeconds=3600", code: forbidden},
		{name: "A host deletes all instances", method: http.MethodDelete, path: instances, code: forbidden},
		{name: "A host deletes all its instances at once", method: http.MethodDelete, path: instances + "?fieldSelector=spec.hostName%3Dattack-1", code: forbidden},
		{name: "A host requests a token of another's instance", method: http.MethodPost, path: instances + "/theirs/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, code: forbidden},
		{name: "A host requests a token of an unbound instance", method: http.MethodPost, path: instances + "/unbound/token", body: `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`, code: forbidden},
		{name: "A host reads the configuration of another's instance", path: instances + "/theirs/configuration", code: forbidden},
		{name: "A host reads the configuration of an unbound instance", path: instances + "/unbound/configuration", code: forbidden},
		{name: "A host gets the lease of another", path: lease + "/attack-2", code: forbidden},
		{name: "A host renews the lease of another", method: http.MethodPatch, path: lease + "/attack-2", body: `{"spec":{"holderIdentity":"attack-1"}}`, code: forbidden},
		{name: "A host creates a lease of another name", method: http.MethodPost, path: lease, body: `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"HostLease","metadata":{"name":"attack-3"}}`, code: forbidden},
		{name: "A host lists all leases", path: lease, code: forbidden},
		{name: "A host deletes a lease", method: http.MethodDelete, path: lease + "/attack-2", code: forbidden},
		{name: "A host reads the metrics", path: "/metrics", code: forbidden},
		{name: "A host reads a profile of the server", path: "/debug/pprof/", code: forbidden},
		{name: "A host acts as another host", path: hosts + "/attack-2", headers: map[string][]string{"Impersonate-User": {"system:host:attack-2"}, "Impersonate-Group": {"system:hosts"}}, code: forbidden},
		{name: "A host acts as an administrator", path: hosts, headers: map[string][]string{"Impersonate-User": {"admin"}, "Impersonate-Group": {"system:masters"}}, code: forbidden},
	}
	for i := range rows {
		rows[i].as = "attack-1"
	}
	return append(rows,
		attack{name: "A host of no name gets a host", as: "a host of no name", path: hosts + "/attack-1", code: forbidden},
		attack{name: "A host of no name lists what is not bound", as: "a host of no name", path: all + "?fieldSelector=spec.hostName%3D", code: forbidden},
		attack{name: "A member of the hosts' group that is no host gets a host", as: "no host at all", path: hosts + "/attack-1", code: forbidden},
		attack{name: "A member of the hosts' group that is no host lists instances", as: "no host at all", path: all, code: forbidden},
	)
}
