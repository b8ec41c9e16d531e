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

package kubectl

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// RunBuiltins runs kubectl's commands for Kubernetes' own kinds, on a standalone server. Each
// scene has its own namespace, with the scene's identifier as its name.
func RunBuiltins(t *testing.T, env Env) {
	t.Helper()
	scenes := []struct {
		sentence string
		play     func(*scene)
	}{
		{"a namespace has a service account, and is deleted with its content", namespaces},
		{"the root certificates are in a namespace, and come back", rootCertificates},
		{"a namespace with 500 objects in it is emptied", crowdedNamespace},
		{"a token of a service account has its identity and its rights", accountTokens},
		{"roles are created, bound, described, read and reconciled", roles},
		{"a user without rights gets the missing right", refusals},
		{"secrets and config maps are created, described and read", configuration},
		{"a quota is created and described", quota},
		{"a limit range is applied, described, and kept by instances", limitRange},
		{"events are listed by what they are about", events},
		{"apply --prune deletes what was applied before and is not any more", prune},
		{"delete --cascade=foreground waits for dependents, and orphan leaves them", cascade},
		{"a lease is taken and seen", leases},
		{"flow schemas and priority levels are listed, applied, described and explained", flowControl},
		{"trust bundles are applied, listed by their signer, described and refused", trustBundles},
		{"a storage version migration is applied, carried out and explained", migration},
		{"webhooks and policies are applied, described and explained, and refused where they are wrong", policies},
	}
	home := t.TempDir()
	t.Run("kubectl", func(t *testing.T) {
		for _, s := range scenes {
			t.Run(s.sentence, func(t *testing.T) {
				t.Parallel()
				scene := newScene(t, env, home)
				scene.kubectl("create namespace $ID").prints("namespace/$ID created")
				scene.kubectl("wait --for=create serviceaccount/default -n $ID --timeout=2m").prints("serviceaccount/default condition met")
				scene.kubectl("wait --for=create configmap/kube-root-ca.crt -n $ID --timeout=2m").prints("configmap/kube-root-ca.crt condition met")
				s.play(scene)
			})
		}
	})
}

// bearing returns the same scene with a bearer token as its only credential.
func (s *scene) bearing(token string) *scene {
	s.Helper()
	config, err := clientcmd.LoadFromFile(s.env.Kubeconfig)
	if err != nil {
		s.Fatal(err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	other := *s
	other.env.Kubeconfig = filepath.Join(s.dir, "bearing")
	if err := clientcmd.WriteToFile(*config, other.env.Kubeconfig); err != nil {
		s.Fatal(err)
	}
	return &other
}

func namespaces(s *scene) {
	s.kubectl("get namespace $ID").table("NAME | STATUS | AGE", "$ID | Active | <age>")
	s.kubectl("get ns $ID -o", `jsonpath={.metadata.labels.kubernetes\.io/metadata\.name}{"\n"}`).prints("$ID")
	s.kubectl("describe namespace $ID").shows("Name:", "$ID", "Status:", "Active", "No resource quota.")
	s.kubectl("create namespace $ID").fails(`Error from server (AlreadyExists): namespaces "$ID" already exists`)
	s.kubectl("create configmap a -n nowhere-$ID --from-literal=a=b").fails(`error: failed to create configmap: namespaces "nowhere-$ID" not found (admission plugin NamespaceLifecycle: name a namespace that exists and is not going away; the ones of the system stay)`)
	s.kubectl("delete serviceaccount default -n $ID").prints(`serviceaccount "default" deleted from $ID namespace`)
	s.kubectl("wait --for=create serviceaccount/default -n $ID --timeout=2m").prints("serviceaccount/default condition met")
	s.kubectl("create configmap a -n $ID --from-literal=a=b").prints("configmap/a created")
	s.kubectl("delete namespace $ID").warns("Warning: deleting cluster-scoped resources, not scoped to the provided namespace", `namespace "$ID" deleted`)
	s.kubectl("get namespace $ID").fails(`Error from server (NotFound): namespaces "$ID" not found`)
	s.kubectl("get configmap a -n $ID").fails(`Error from server (NotFound): namespaces "$ID" not found`)
}

func rootCertificates(s *scene) {
	s.kubectl("describe configmap kube-root-ca.crt -n $ID").shows("Name:", "kube-root-ca.crt", "Annotations:", "kubernetes.io/description:", "Contains a CA bundle", "ca.crt:", "-----BEGIN CERTIFICATE-----")
	s.kubectl("delete configmap kube-root-ca.crt -n $ID").prints(`configmap "kube-root-ca.crt" deleted from $ID namespace`)
	s.kubectl("wait --for=create configmap/kube-root-ca.crt -n $ID --timeout=2m").prints("configmap/kube-root-ca.crt condition met")
	s.kubectl("patch configmap kube-root-ca.crt -n $ID --type=merge -p", `{"data":{"ca.crt":"forged"}}`).prints("configmap/kube-root-ca.crt patched")
	kit.EventuallyState(s, "the certificates are corrected", func(context.Context) (bool, string) {
		last := s.kubectl("get configmap kube-root-ca.crt -n $ID -o", `jsonpath={.data.ca\.crt}`)
		return strings.Contains(last.stdout, "-----BEGIN CERTIFICATE-----"), last.String()
	})
}

func crowdedNamespace(s *scene) {
	var objects strings.Builder
	for i := range 500 {
		fmt.Fprintf(&objects, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d, namespace: $ID}\n", i)
	}
	s.pipe(objects.String(), "create -n $ID -f -").succeeds()
	s.kubectl("delete namespace $ID --timeout=2m").warns("Warning: deleting cluster-scoped resources, not scoped to the provided namespace", `namespace "$ID" deleted`)
	s.kubectl("get namespace $ID --ignore-not-found").prints()
}

func accountTokens(s *scene) {
	s.kubectl("create serviceaccount robot -n $ID").prints("serviceaccount/robot created")
	r := s.kubectl("create token robot -n $ID --duration=10m").succeeds()
	token := strings.TrimSpace(r.stdout)
	robot := s.bearing(token)
	robot.kubectl("auth whoami -o", `jsonpath={.status.userInfo.username} {.status.userInfo.groups}{"\n"}`).prints(
		`system:serviceaccount:$ID:robot ["system:serviceaccounts","system:serviceaccounts:$ID","system:authenticated"]`)
	robot.kubectl("get configmaps -n $ID").fails(
		`Error from server (Forbidden): configmaps is forbidden: User "system:serviceaccount:$ID:robot" cannot list resource "configmaps" in API group "" in the namespace "$ID"`)
	s.kubectl("create rolebinding robots -n $ID --clusterrole=view --serviceaccount=$ID:robot").prints("rolebinding.rbac.authorization.k8s.io/robots created")
	awaitRight(robot, "list configmaps -n $ID")
	robot.kubectl("get configmaps -n $ID -o name").prints("configmap/kube-root-ca.crt")
	robot.kubectl("auth can-i list secrets -n $ID").expect(1, "no\n", "")
	s.kubectl("delete serviceaccount robot -n $ID").prints(`serviceaccount "robot" deleted from $ID namespace`)
	robot.kubectl("get configmaps -n $ID").fails("error: You must be logged in to the server (Unauthorized)")
}

// awaitRight waits until a grant is in effect, a moment after it is stored.
func awaitRight(s *scene, what string) {
	s.Helper()
	kit.EventuallyState(s, "the user can "+what, func(context.Context) (bool, string) {
		last := s.kubectl("auth can-i " + what)
		return last.stdout == "yes\n", last.String()
	})
}

func roles(s *scene) {
	s.kubectl("create role reader -n $ID --verb=get,list --resource=configmaps,instances.fleet.gatehouse.dev").prints("role.rbac.authorization.k8s.io/reader created")
	s.kubectl("create clusterrole $ID --verb=get --resource=hosts").prints("clusterrole.rbac.authorization.k8s.io/$ID created")
	s.kubectl("create rolebinding reader -n $ID --role=reader --user=$ID-ann").prints("rolebinding.rbac.authorization.k8s.io/reader created")
	s.kubectl("create clusterrolebinding $ID --clusterrole=$ID --group=$ID-team").prints("clusterrolebinding.rbac.authorization.k8s.io/$ID created")
	s.kubectl("get role reader -n $ID -o", `jsonpath={.rules[*].verbs}{"\n"}`).prints(`["get","list"] ["get","list"]`)
	s.kubectl("describe role reader -n $ID").shows("Name:", "reader", "PolicyRule:", "configmaps", "[get list]")
	s.kubectl("describe clusterrole $ID").shows("hosts.fleet.gatehouse.dev", "[get]")
	s.kubectl("describe rolebinding reader -n $ID").shows("Role:", "Kind:", "Role", "Subjects:", "User", "$ID-ann")
	s.kubectl("describe clusterrolebinding $ID").shows("ClusterRole", "$ID", "Group", "$ID-team")
	s.kubectl("get rolebinding reader -n $ID -o wide").table("NAME | ROLE | AGE | USERS | GROUPS | SERVICEACCOUNTS", "reader | Role/reader | <age> | $ID-ann |  | ")

	awaitRight(s, "get configmaps -n $ID --as=$ID-ann")
	s.kubectl("auth can-i delete configmaps -n $ID --as=$ID-ann").expect(1, "no\n", "")
	s.kubectl("auth can-i get configmaps -n default --as=$ID-ann").expect(1, "no\n", "")
	s.kubectl("auth can-i get hosts --as=$ID-bob --as-group=$ID-team").expect(0, "yes\n", "Warning: resource 'hosts' is not namespace scoped in group 'fleet.gatehouse.dev'\n\n")
	s.kubectl("auth can-i --list -n $ID --as=$ID-ann").shows("configmaps", "[get list]")
	// kubectl has no command for this review. It discovers custom resources before it sends it.
	const review = `apiVersion: authorization.k8s.io/v1
kind: SubjectAccessReview
spec: {user: $ID-ann, resourceAttributes: {namespace: $ID, verb: VERB, resource: configmaps}}
`
	for verb, allowed := range map[string]string{"list": "true", "delete": "false"} {
		s.pipe(strings.Replace(review, "VERB", verb, 1), "create -f - -o", `jsonpath={.status.allowed}{"\n"}`).prints(allowed)
	}
	s.kubectl("get configmaps -n $ID --as=$ID-ann -o name").prints("configmap/kube-root-ca.crt")

	const wider = `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: $ID}
rules:
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}
`
	// kubectl prints its result on standard error.
	if r := s.pipe(wider, "auth reconcile -n $ID -f -"); r.code != 0 || !strings.Contains(r.stdout+r.stderr, "role.rbac.authorization.k8s.io/reader reconciled") || !strings.Contains(r.stdout+r.stderr, "watch") {
		s.Fatalf("%s\n--- wanted: the role is reconciled, with the verb that it lacked", r)
	}
	awaitRight(s, "watch configmaps -n $ID --as=$ID-ann")
	if r := s.kubectl("delete clusterrole,clusterrolebinding $ID"); r.code != 0 {
		s.Fatal(r)
	}
}

func refusals(s *scene) {
	const who = `User "$ID-nobody"`
	s.kubectl("get hosts --as=$ID-nobody").fails(`Error from server (Forbidden): hosts.fleet.gatehouse.dev is forbidden: ` + who + ` cannot list resource "hosts" in API group "fleet.gatehouse.dev" at the cluster scope`)
	s.kubectl("create configmap a -n $ID --from-literal=a=b --as=$ID-nobody").fails(`error: failed to create configmap: configmaps is forbidden: ` + who + ` cannot create resource "configmaps" in API group "" in the namespace "$ID"`)
	s.kubectl("create rolebinding admins -n $ID --clusterrole=admin --user=$ID-admin").succeeds()
	awaitRight(s, "create roles -n $ID --as=$ID-admin")
	r := s.kubectl("create role more -n $ID --verb=create --resource=hosts.fleet.gatehouse.dev --as=$ID-admin")
	if r.code != 1 || !strings.Contains(r.stderr, "is attempting to grant RBAC permissions not currently held") {
		s.Fatalf("%s\n--- wanted: a user that grants more rights than it holds is refused", r)
	}
	s.kubectl("auth whoami --as=$ID-admin -o", `jsonpath={.status.userInfo.username}{"\n"}`).prints("$ID-admin")
}

func configuration(s *scene) {
	s.kubectl("create configmap settings -n $ID --from-literal=color=blue").prints("configmap/settings created")
	s.kubectl("create secret generic pass -n $ID --from-literal=word=sesame").prints("secret/pass created")
	s.kubectl("get configmap settings -n $ID").table("NAME | DATA | AGE", "settings | 1 | <age>")
	s.kubectl("get secret pass -n $ID").table("NAME | TYPE | DATA | AGE", "pass | Opaque | 1 | <age>")
	s.kubectl("describe configmap settings -n $ID").shows("color:", "blue")
	s.kubectl("describe secret pass -n $ID").shows("Type:  Opaque", "word:  6 bytes")
	s.kubectl("get secret pass -n $ID -o", `go-template={{.data.word | base64decode}}{{"\n"}}`).prints("sesame")
	s.kubectl("get secrets -n $ID --field-selector type=Opaque -o name").prints("secret/pass")
	s.kubectl("get secrets -n $ID --field-selector type=kubernetes.io/tls -o name").prints()
	s.kubectl("describe serviceaccount default -n $ID").shows("Name:", "default", "Namespace:", "$ID")
}

func quota(s *scene) {
	const hard, apps = "fleet.gatehouse.dev/requests.memory", "count/apps.fleet.gatehouse.dev"
	s.kubectl("create quota few -n $ID --hard=" + apps + "=3," + hard + "=1k").prints("resourcequota/few created")
	s.kubectl("wait --timeout=2m quota few -n $ID --for", `jsonpath={.status.used.fleet\.gatehouse\.dev/requests\.memory}=0`).prints("resourcequota/few condition met")
	const asks = "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Instance\nmetadata: {name: asks, namespace: $ID}\nspec: {containers: [{name: main, image: \"example.com/app:1\", resources: {requests: {memory: 600}}}]}\n"
	s.pipe(asks, "create -n $ID -f -").prints("instance.fleet.gatehouse.dev/asks created")
	s.kubectl("describe quota few -n $ID").shows("Name:", "few", "Namespace:", "$ID", "Resource", "Used", "Hard", apps, "0", "3", hard, "600", "1k")
	s.pipe(strings.ReplaceAll(asks, "asks", "more"), "create -n $ID -f -").fails(
		`Error from server (Forbidden): error when creating "STDIN": instances.fleet.gatehouse.dev "more" is forbidden: exceeded quota: few, requested: ` + hard + "=600, used: " + hard + "=600, limited: " + hard + "=1k (admission plugin ResourceQuota: use less, set what is missing, or have spec.hard of the quota raised)")
	s.kubectl("get quota few -n $ID").table("NAME | REQUEST | LIMIT | AGE", "few | "+apps+": 0/3, "+hard+": 600/1k |  | <age>")
	s.kubectl("describe namespace $ID").shows("Resource Quotas", "few", apps, hard)
	s.kubectl("create quota other -n $ID --hard=pods=1").warns("Warning: spec.hard[pods]: this server counts nothing by this name, so it limits nothing here; see docs/quota.md for what can be limited", "resourcequota/other created")
}

func limitRange(s *scene) {
	const limits = `apiVersion: v1
kind: LimitRange
metadata: {name: team, namespace: $ID}
spec:
  limits:
  - {type: Container, default: {cpu: "1"}, defaultRequest: {cpu: 500m}, min: {memory: 64Mi}, max: {memory: 1Gi}, maxLimitRequestRatio: {cpu: "4"}}
  - {type: Pod, max: {cpu: "3"}}
`
	s.pipe(limits, "apply -n $ID -f -").prints("limitrange/team created")
	s.kubectl("describe limits team -n $ID").shows("Name:       team", "Type", "Resource", "Min", "Max", "Default Request", "Default Limit", "Max Limit/Request Ratio", "Container", "64Mi", "1Gi", "Pod", "3")
	s.kubectl("describe limits team -n $ID").shows("Container", "500m", "Pod") // kubectl prints the rows of an item in any order
	s.kubectl("describe namespace $ID").shows("Resource Limits", "Container", "memory", "64Mi", "1Gi")
	s.kubectl("get limits -n $ID -o name").prints("limitrange/team")
	if r := s.kubectl("get limits -n $ID"); r.code != 0 || !strings.HasPrefix(r.stdout, "NAME   CREATED AT\nteam   2") {
		s.Fatal(r)
	}
	s.kubectl("explain limitrange.spec.limits.maxLimitRequestRatio").shows("FIELD: maxLimitRequestRatio", "MaxLimitRequestRatio if specified")
	const asks = "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Instance\nmetadata: {name: NAME, namespace: $ID}\nspec: {containers: [{name: main, image: \"example.com/app:1\", resources: {limits: {memory: MEMORY}}}]}\n"
	ask := func(name, memory string) string {
		return strings.NewReplacer("NAME", name, "MEMORY", memory).Replace(asks)
	}
	kit.EventuallyState(s, "the limits are in effect", func(context.Context) (bool, string) {
		last := s.pipe(ask("probe", "2Gi"), "create -n $ID --dry-run=server -f -")
		return last.code != 0, last.String()
	})
	s.pipe(ask("fits", "128Mi"), "create -n $ID -f -").prints("instance.fleet.gatehouse.dev/fits created")
	s.kubectl("get instance fits -n $ID -o", `jsonpath={.spec.containers[0].resources} {.metadata.annotations.kubernetes\.io/limit-ranger}{"\n"}`).prints(
		`{"limits":{"cpu":"1","memory":"128Mi"},"requests":{"cpu":"500m","memory":"128Mi"}} LimitRanger plugin set: cpu request for container main; cpu limit for container main`)
	s.pipe(ask("large", "2Gi"), "create -n $ID -f -").fails(
		`Error from server (Forbidden): error when creating "STDIN": instances.fleet.gatehouse.dev "large" is forbidden: spec.containers[0].resources.limits[memory]: 2Gi is more than the maximum of 1Gi per container (limit range team) (admission plugin LimitRanger: set resources.requests and resources.limits of the containers within the bounds, which kubectl describe limits prints)`)
	s.pipe(strings.ReplaceAll(limits, "name: team", "name: claims")+"  - {type: PersistentVolumeClaim, max: {storage: 1Gi}}\n", "create -n $ID -f -").warns(
		"Warning: spec.limits[2].type: this server stores nothing that a limit of type PersistentVolumeClaim applies to, so it limits nothing here; Container and Pod apply to instances", "limitrange/claims created")
	s.pipe(strings.ReplaceAll(limits, "max: {memory: 1Gi}", "max: {memory: 1}"), "apply -n $ID -f -").fails(
		`The LimitRange "team" is invalid: `,
		`* spec.limits[0].min[memory]: Invalid value: "64Mi": min 64Mi is greater than max 1`,
		`* spec.limits[0].defaultRequest[memory]: Invalid value: "1": min 64Mi is greater than defaultRequest 1`,
		`* spec.limits[0].default[memory]: Invalid value: "1": min 64Mi is greater than default 1`)
}

func events(s *scene) {
	const event = `apiVersion: v1
kind: Event
metadata: {name: noticed.1, namespace: $ID}
involvedObject: {apiVersion: v1, kind: ConfigMap, name: settings, namespace: $ID, uid: u-1}
reason: Noticed
message: something was noticed
type: Normal
source: {component: tour}
firstTimestamp: "2026-01-02T03:04:05Z"
lastTimestamp: "2026-01-02T03:04:05Z"
count: 1
`
	s.pipe(event, "create -n $ID -f -").prints("event/noticed.1 created")
	s.kubectl("events -n $ID --for=configmap/settings").shows("Normal", "Noticed", "ConfigMap/settings", "something was noticed")
	s.kubectl("get events -n $ID --field-selector involvedObject.name=settings -o name").prints("event/noticed.1")
	s.kubectl("get events -n $ID --field-selector involvedObject.name=other -o name").prints()
	s.kubectl("get events.events.k8s.io -n $ID -o", `jsonpath={.items[*].note}{"\n"}`).prints("something was noticed")
}

func prune(s *scene) {
	const one = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one, namespace: $ID, labels: {set: $ID}}\n"
	two := strings.ReplaceAll(one, "name: one", "name: two")
	s.pipe(one+"---\n"+two, "apply -n $ID -f -").prints("configmap/one created", "configmap/two created")
	s.pipe(one, "apply -n $ID -f - --prune -l set=$ID --prune-allowlist=core/v1/ConfigMap").prints("configmap/one unchanged", "configmap/two pruned")
	s.kubectl("get configmaps -n $ID -l set=$ID -o name").prints("configmap/one")
}

func cascade(s *scene) {
	for _, policy := range []string{"foreground", "orphan"} {
		s.kubectl("create configmap owner -n $ID --from-literal=a=b").prints("configmap/owner created")
		uid := s.kubectl("get configmap owner -n $ID -o", "jsonpath={.metadata.uid}").succeeds().stdout
		s.pipe(fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata:
  name: %s
  namespace: $ID
  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: owner, uid: %s, blockOwnerDeletion: true}]
`, policy, uid), "create -n $ID -f -").prints("configmap/" + policy + " created")
		s.kubectl("delete configmap owner -n $ID --timeout=2m --cascade=" + policy).prints(`configmap "owner" deleted from $ID namespace`)
	}
	s.kubectl("get configmap foreground -n $ID --ignore-not-found").prints()
	s.kubectl("get configmap orphan -n $ID -o", `jsonpath=owners: {.metadata.ownerReferences}{"\n"}`).prints("owners: ")
}

func leases(s *scene) {
	s.pipe("apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: leader, namespace: $ID}\nspec: {holderIdentity: me, leaseDurationSeconds: 15}\n", "create -n $ID -f -").prints("lease.coordination.k8s.io/leader created")
	s.kubectl("get lease leader -n $ID").table("NAME | HOLDER | AGE", "leader | me | <age>")
}
