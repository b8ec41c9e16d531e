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
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// fullLists has every list of an instance's spec, with elements that have only the required fields:
// the server defaults all others.
const fullLists = `
  imagePullSecrets: [{name: a}, {name: b}]
  volumes:
  - {name: a, configMap: {name: a, items: [{key: a, path: b}]}}
  - {name: b, secret: {secretName: a, items: [{key: a, path: b}]}}
  - {name: c, emptyDir: {}}
  - {name: d, hostPath: {path: /d}}
  tolerations: [{key: a, operator: Exists}, {key: b}]
  containers:
  - name: web
    image: registry.example.com/web:1
    command: [/bin/web]
    args: [--verbose]
    env: [{name: A}, {name: B, value: "1"}, {name: C, valueFrom: {secretKeyRef: {name: a, key: b}}}]
    envFrom: [{configMapRef: {name: a}}, {secretRef: {name: a}}]
    volumeMounts: [{name: a, mountPath: /a}, {name: a, mountPath: /b}, {name: b, mountPath: /c}]
    securityContext: {capabilities: {add: [NET_ADMIN], drop: [ALL]}}
    startupProbe: {exec: {command: [/bin/web]}}
    livenessProbe: {httpGet: {port: http, httpHeaders: [{name: A, value: b}]}}
    readinessProbe: {grpc: {port: 9000}}
    ports: [{containerPort: 53}, {containerPort: 53, protocol: UDP}, {containerPort: 80, name: http, protocol: TCP}]
    resources: {limits: {cpu: "1"}}
  - {name: beside, image: registry.example.com/beside, ports: [{containerPort: 81, hostPort: 81}]}
`

// templated is a spec with fullLists as its template.
const templated = `
spec:
  replicas: 0
  selector: {matchExpressions: [{key: app, operator: In, values: [web]}]}
  template:
    metadata: {labels: {app: web}, finalizers: [example.com/a]}
    spec:`

// TestASecondApplyChangesNoList applies each kind twice with kubectl, client-side. kubectl prints
// "configured", and writes, while the file differs from the stored object.
func TestASecondApplyChangesNoList(t *testing.T) {
	server := servertesting.Start(t)
	program := kubectl.Find(t)
	for _, row := range []struct {
		kind, body string
		object     any
	}{
		{"App", templated + strings.ReplaceAll(fullLists, "\n", "\n    "), &v1alpha1.App{}},
		{"Release", templated + strings.ReplaceAll(fullLists, "\n", "\n    "), &v1alpha1.Release{}},
		{"Instance", "\nspec:" + fullLists, &v1alpha1.Instance{}},
		{"Host", "\nspec:\n  taints: [{key: a, effect: NoSchedule}, {key: a, effect: NoExecute}, {key: b, value: c, effect: NoSchedule}]\n", &v1alpha1.Host{}},
		{"HostLease", "\nspec: {holderIdentity: a}\n", &v1alpha1.HostLease{}},
	} {
		t.Run(row.kind, func(t *testing.T) {
			manifest := "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: " + row.kind + "\nmetadata: {name: web, finalizers: [example.com/a]}" + row.body
			if err := yaml.UnmarshalStrict([]byte(manifest), row.object); err != nil {
				t.Fatal(err)
			}
			for _, missing := range emptyLists(reflect.ValueOf(row.object).Elem().FieldByName("Spec"), "spec") {
				t.Errorf("the manifest has no elements for the list %s", missing)
			}
			for _, want := range []string{" created", " unchanged"} {
				command := exec.CommandContext(t.Context(), program, "--kubeconfig", server.Kubeconfig, "apply", "-f", "-")
				command.Stdin = strings.NewReader(manifest)
				output, err := command.CombinedOutput()
				if err != nil || !strings.HasSuffix(strings.TrimSpace(string(output)), want) {
					t.Fatalf("%s, want%s (%v)", output, want, err)
				}
			}
		})
	}
}

// emptyLists returns the paths of the lists of a value that have no elements. Of the metadata of
// templates it checks only finalizers, the one list that a template keeps.
func emptyLists(value reflect.Value, path string) []string {
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			return nil
		}
		return emptyLists(value.Elem(), path)
	case reflect.Slice:
		if value.Len() == 0 {
			return []string{path}
		}
		return emptyLists(value.Index(0), path)
	case reflect.Struct:
		var empty []string
		for i := range value.NumField() {
			name, _, _ := strings.Cut(value.Type().Field(i).Tag.Get("json"), ",")
			switch name {
			case "ownerReferences", "managedFields": // of templates
				continue
			}
			if field := value.Type().Field(i); field.IsExported() {
				empty = append(empty, emptyLists(value.Field(i), path+"."+name)...)
			}
		}
		return empty
	}
	return nil
}
