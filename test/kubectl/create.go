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

import "strings"

func create(s *scene) {
	s.pipe(all, "create -f -").prints(
		"instance.fleet.gatehouse.dev/web-$ID created",
		"instance.fleet.gatehouse.dev/job-$ID created",
		"host.fleet.gatehouse.dev/host-$ID created",
		"hostlease.fleet.gatehouse.dev/host-$ID created",
	)
	s.pipe(host, "create -f -").fails(
		`Error from server (AlreadyExists): error when creating "STDIN": hosts.fleet.gatehouse.dev "host-$ID" already exists`,
	)

	s.kubectl("get instance job-$ID -o yaml").masked().prints(
		"apiVersion: fleet.gatehouse.dev/v1alpha1",
		"kind: Instance",
		"metadata:",
		"  creationTimestamp: <creationTimestamp>",
		"  generation: 1",
		"  labels:",
		"    app: job",
		"    tour: $ID",
		"  name: job-$ID",
		"  namespace: $NS",
		"  resourceVersion: <resourceVersion>",
		"  uid: <uid>",
		"spec:",
		"  containers:",
		"  - image: registry.example/job",
		"    imagePullPolicy: Always",
		"    name: job",
		"    resources: {}",
		"  restartPolicy: Never",
		"  serviceAccountName: builder",
		"  terminationGracePeriodSeconds: 60",
		"status:",
		"  conditions:",
		"  - lastTransitionTime: <lastTransitionTime>",
		"    message: no host has reported the instance yet",
		"    observedGeneration: 1",
		"    reason: Pending",
		"    status: \"False\"",
		"    type: Ready",
		"  phase: Pending",
	)
	s.kubectl("get instance web-$ID -o", "jsonpath={.spec.restartPolicy} {.spec.terminationGracePeriodSeconds} {.spec.containers[*].imagePullPolicy}{\"\\n\"}").prints(
		"Always 30 IfNotPresent IfNotPresent",
	)
	s.kubectl("get hostlease host-$ID -o", "jsonpath={.spec.leaseDurationSeconds}{\"\\n\"}").prints("40")

	generated := strings.Replace(job, "name: job-$ID", "generateName: many-$ID-", 1)
	for range 2 {
		s.pipe(generated, "create -f - -o name").shows("instance.fleet.gatehouse.dev/many-$ID-")
	}

	createRefused(s)
}

func createRefused(s *scene) {
	s.pipe(instanceHeader+"metadata: {name: Bad_Name, labels: {tour: $ID}}\nspec: {restartPolicy: Sometimes}\n", "create -f -").fails(
		`The Instance "Bad_Name" is invalid: `,
		`* metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
		`* spec.containers: Required value`,
		`* spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"`,
	)
	s.pipe(strings.Replace(strings.Replace(job, "job-$ID", "pinned-$ID", 1), "spec:", "spec:\n  hostName: host-$ID", 1), "create -f -").fails(
		`The Instance "pinned-$ID" is invalid: spec.hostName: Forbidden: an instance is created unbound; create a Binding at its binding subresource instead`,
	)
	s.pipe(strings.Replace(job, "v1alpha1", "v9", 1), "create -f -").fails(
		`error: resource mapping not found for name: "job-$ID" namespace: "" from "STDIN": no matches for kind "Instance" in version "fleet.gatehouse.dev/v9"`,
		`ensure CRDs are installed first`,
	)
}

func strictValidation(s *scene) {
	unknown := strings.Replace(job, "spec:", "spec:\n  colour: red", 1)
	const refusal = `Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: unknown field "spec.colour"`
	const created = "instance.fleet.gatehouse.dev/job-$ID created (server dry run)"
	for _, line := range []string{"create --dry-run=server -f -", "create --dry-run=server --validate=strict -f -", "create --dry-run=server --validate=true -f -"} {
		s.pipe(unknown, line).fails(`Error from server (BadRequest): error when creating "STDIN": ` + refusal)
	}
	s.pipe(unknown, "apply --dry-run=server -f -").fails(`Error from server (BadRequest): error when creating "STDIN": ` + refusal)
	s.pipe(unknown, "apply --server-side --dry-run=server -f -").fails(
		`Error from server: failed to create typed patch object ($NS/job-$ID; fleet.gatehouse.dev/v1alpha1, Kind=Instance): .spec.colour: field not declared in schema`,
	)
	s.pipe(unknown, "create --dry-run=server --validate=warn -f -").warns(`Warning: unknown field "spec.colour"`, created)
	s.pipe(unknown, "create --dry-run=server --validate=ignore -f -").prints(created)
	s.pipe(unknown, "create --dry-run=server --validate=false -f -").prints(created)

	// kubectl drops the first of two equal fields when it reads a manifest. Only a raw
	// request shows the server's behaviour.
	const doubled = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"job-$ID","labels":{"tour":"$ID"}},` +
		`"spec":{"restartPolicy":"Never","restartPolicy":"Always","containers":[{"name":"job","image":"registry.example/job"}]}}`
	const raw = "create --raw $API/namespaces/$NS/instances?dryRun=All&fieldValidation="
	s.pipe(doubled, raw+"Strict -f -").fails(
		`Error from server (BadRequest): Instance in version "v1alpha1" cannot be handled as a Instance: strict decoding error: duplicate field "spec.restartPolicy"`,
	)
	if r := s.pipe(doubled, raw+"Warn -f -"); r.code != 0 || r.stderr != "Warning: duplicate field \"spec.restartPolicy\"\n" || !strings.Contains(r.stdout, `"restartPolicy":"Always"`) {
		s.Fatalf("%s\n--- wanted: a warning, and the last of the two values", r)
	}
	s.pipe(doubled, raw+"Ignore -f -").shows(`"restartPolicy":"Always"`)

	s.have(job)
	const patched = "instance.fleet.gatehouse.dev/job-$ID patched (no change)"
	s.kubectl("patch instance job-$ID --type=merge -p", `{"spec":{"colour":"red"}}`).warns(`Warning: unknown field "spec.colour"`, patched)
	s.kubectl("patch instance job-$ID --type=merge -p", `{"spec":{"restartPolicy":"Always","restartPolicy":"Never"}}`).warns(`Warning: duplicate field "spec.restartPolicy"`, patched)
}

func dryRun(s *scene) {
	s.pipe(all, "create --dry-run=server -f -").prints(
		"instance.fleet.gatehouse.dev/web-$ID created (server dry run)",
		"instance.fleet.gatehouse.dev/job-$ID created (server dry run)",
		"host.fleet.gatehouse.dev/host-$ID created (server dry run)",
		"hostlease.fleet.gatehouse.dev/host-$ID created (server dry run)",
	)
	s.pipe(web, "apply --dry-run=server -f -").prints("instance.fleet.gatehouse.dev/web-$ID created (server dry run)")
	s.pipe(web, "apply --server-side --dry-run=server -f -").prints("instance.fleet.gatehouse.dev/web-$ID serverside-applied (server dry run)")
	s.pipe(web, "create --dry-run=server -f - -o", "jsonpath={.spec.restartPolicy} {.status.phase}{\"\\n\"}").prints("Always Pending")
	s.kubectl("get fleet -l tour=$ID").warns("No resources found")

	s.have(web + "---\n" + host)
	before := s.kubectl("get instance web-$ID -o json --show-managed-fields").succeeds()
	s.pipe(strings.ReplaceAll(web, ":1.0", ":2.0"), "apply --server-side --force-conflicts --dry-run=server -f -").prints("instance.fleet.gatehouse.dev/web-$ID serverside-applied (server dry run)")
	s.kubectl("label --dry-run=server instance web-$ID colour=red").prints("instance.fleet.gatehouse.dev/web-$ID labeled (server dry run)")
	s.kubectl("patch --dry-run=server instance web-$ID --subresource=status --type=merge -p", `{"status":{"phase":"Running"}}`).prints("instance.fleet.gatehouse.dev/web-$ID patched")
	s.kubectl("patch --dry-run=server instance web-$ID --type=merge -p", `{"spec":{"restartPolicy":"Never"}}`).fails(
		`The Instance "web-$ID" is invalid: spec.restartPolicy: Invalid value: "Never": field is immutable`,
	)
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding?dryRun=All -f -").
		shows(`"status":"Success","code":201`)
	s.kubectl("delete --dry-run=server instance web-$ID").prints(`instance.fleet.gatehouse.dev "web-$ID" deleted from $NS namespace (server dry run)`)
	s.kubectl("delete --dry-run=server host host-$ID").warns(
		"Warning: deleting cluster-scoped resources, not scoped to the provided namespace",
		`host.fleet.gatehouse.dev "host-$ID" deleted (server dry run)`,
	)
	s.kubectl("get instance web-$ID -o json --show-managed-fields").expect(0, before.stdout, "")
	s.kubectl("get host host-$ID -o name").prints("host.fleet.gatehouse.dev/host-$ID")
}
