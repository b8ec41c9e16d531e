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

package pages

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The modes of docs/debugging.md, which are suffixes of the names of its blocks.
const (
	Standalone = "standalone"
	Aggregated = "kube-apiserver"
)

// setups are the scripts that make the state which the blocks of docs/debugging.md need, in their order.
var setups = map[string]string{
	"instances": `kubectl -n shop create quota few --hard=count/instances.fleet.gatehouse.dev=0
until kubectl -n shop get quota few -o jsonpath={.status.used} | grep -q instances; do sleep 0.1; done
kubectl gatehouse -n shop create app web --image=registry.example.com/web:1.0 --replicas=3
until [ "$(kubectl -n shop get app web -o 'jsonpath={.status.conditions[?(@.type=="Stalled")].status}')" = True ]; do sleep 0.1; done
`,
	"permission, " + Standalone: `kubectl -n shop create rolebinding bob --clusterrole=view --user=bob
`,
	"permission, " + Aggregated: `kubectl -n shop create role look --verb=get,list --resource=instances.fleet.gatehouse.dev
kubectl -n shop create rolebinding bob --role=look --user=bob
until [ "$(kubectl -n shop auth can-i list instances.fleet.gatehouse.dev --as=bob)" = yes ]; do sleep 0.1; done
`,
	"webhook, " + Standalone: webhooks("", "configmaps") + called("configmap/settings", "create configmap settings --from-literal=color=blue"),
	"webhook, " + Aggregated: "kubectl -n shop delete quota few\nkubectl delete hosts --all\n" + webhooks("fleet.gatehouse.dev", "instances") + `cat >instance.yaml <<END
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Instance
metadata: {name: cart}
spec: {containers: [{name: cart, image: "registry.example.com/cart:1.0"}]}
END
` + called("instance/cart", "create -f instance.yaml"),
	"slow": `kubectl -n shop get instance nothing || true
`,
}

// webhooks returns the script that creates a webhook that cannot be reached, and one whose selector does not match.
func webhooks(group, resource string) string {
	rule := "[{operations: [CREATE], apiGroups: ['" + group + "'], apiVersions: ['*'], resources: [" + resource + "]}]"
	hook := "\n- {name: NAME, clientConfig: {url: 'https://127.0.0.1:1/NAME'}, sideEffects: None, failurePolicy: Ignore, admissionReviewVersions: [v1], rules: " + rule + ", objectSelector: SELECTOR}"
	made := func(name, selector string) string {
		return strings.NewReplacer("NAME", name, "SELECTOR", selector).Replace(hook)
	}
	return "kubectl apply -f - <<END\napiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: sidecars}\nwebhooks:" +
		made("inject.example.com", "{}") + made("labelled.example.com", "{matchLabels: {inject: 'yes'}}") + "\nEND\n"
}

// called returns the script that creates an object until the webhook is in force.
func called(object, create string) string {
	return "until kubectl gatehouse -n shop why " + object + " | grep -q inject.example.com; do\n" +
		"kubectl -n shop delete " + object + " --ignore-not-found\nkubectl -n shop " + create + "\ndone\n"
}

// Debugging runs the blocks of docs/debugging.md of a mode on a new server, in a namespace shop, which must exist
// with its default service account. The directory of the shell has the kubeconfig bob.kubeconfig.
func Debugging(t *testing.T, path, mode string, shell Shell) {
	page := Read(t, path)
	blocks := page.Blocks(", " + mode)
	if len(blocks) < 4 {
		t.Fatalf("%s has only the blocks %q", path, blocks)
	}
	for _, name := range blocks {
		t.Run(name, func(t *testing.T) {
			topic, _, _ := strings.Cut(name, ",")
			script, ok := setups[name]
			if !ok {
				script = setups[topic]
			}
			file := filepath.Join(shell.Dir, "setup")
			if err := os.WriteFile(file, []byte("set -e\n"+script), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, line := range shell.run(t, "bash setup") {
				t.Log(line)
			}
			page.Run(t, name, shell)
		})
	}
}
