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
	"os"
	"path/filepath"
	"strings"
)

const patchedWeb = "instance.fleet.gatehouse.dev/web-$ID patched"

// images prints the images of the web instance's containers.
func (s *scene) images() result {
	s.Helper()
	return s.kubectl("get instance web-$ID -o", `jsonpath={range .spec.containers[*]}{.name}={.image}{"\n"}{end}`)
}

func patch(s *scene) {
	s.have(web)
	s.kubectl("patch instance web-$ID --type=json -p", `[{"op":"replace","path":"/spec/containers/0/image","value":"registry.example/web:1.1"},{"op":"add","path":"/metadata/labels/colour","value":"red"}]`).
		prints(patchedWeb)
	s.images().prints("web=registry.example/web:1.1", "sidecar=registry.example/sidecar:1.0")
	s.kubectl("patch instance web-$ID --type=json -p", `[{"op":"test","path":"/metadata/labels/colour","value":"blue"},{"op":"remove","path":"/metadata/labels/colour"}]`).
		fails("The request is invalid: the server rejected our request due to an error in our request")
	s.kubectl("patch instance web-$ID --type=merge -p", `{"metadata":{"labels":{"colour":null,"shape":"round"}}}`).prints(patchedWeb)
	s.kubectl("patch instance web-$ID -p", `{"spec":{"activeDeadlineSeconds":600}}`).prints(patchedWeb)
	s.kubectl("patch instance web-$ID -p", `{"spec":{"activeDeadlineSeconds":600}}`).prints(patchedWeb + " (no change)")
	s.kubectl("get instance web-$ID -o", `jsonpath={.metadata.labels.colour}/{.metadata.labels.shape}/{.spec.activeDeadlineSeconds}/{.metadata.generation}{"\n"}`).prints("/round/600/3")
	s.kubectl("patch instance web-$ID -p", `{"spec":{"activeDeadlineSeconds":601}}`).fails(
		`The Instance "web-$ID" is invalid: spec.activeDeadlineSeconds: Invalid value: 601: may only become shorter`,
	)
	s.kubectl("patch instance web-$ID -p", `{"spec":{"hostName":"host-$ID"}}`).fails(
		`The Instance "web-$ID" is invalid: spec.hostName: Forbidden: may be set only by creating a Binding at the binding subresource, and never changes after that`,
	)
	s.kubectl("patch instance web-$ID -p", `{"spec":`).fails("Error from server (BadRequest): invalid JSON patch")
}

func strategicMerge(s *scene) {
	s.have(web)
	// The patch contains one of two containers; the other stays.
	s.kubectl("patch instance web-$ID --type=strategic -p", `{"spec":{"containers":[{"name":"sidecar","image":"registry.example/sidecar:2.0"}]}}`).prints(patchedWeb)
	s.images().prints("web=registry.example/web:1.0", "sidecar=registry.example/sidecar:2.0")
	// One of two variables, with its current value: merged by name, nothing changes. A
	// merge patch would replace the whole list.
	const oneVariable = `{"spec":{"containers":[{"name":"web","image":"registry.example/web:1.0","env":[{"name":"SIZE","value":"2"}]}]}}`
	s.kubectl("patch instance web-$ID --type=strategic -p", oneVariable).prints(patchedWeb + " (no change)")
	s.kubectl("patch instance web-$ID --type=merge -p", oneVariable).fails(
		`The Instance "web-$ID" is invalid: spec.containers: Forbidden: containers cannot be added or removed after the instance was created; only their images may change`,
	)
	s.kubectl("patch instance web-$ID --type=strategic -p", `{"spec":{"containers":[{"name":"web","env":[{"name":"SIZE","value":"3"}]}]}}`).fails(
		`The Instance "web-$ID" is invalid: spec.containers[0]: Forbidden: only the image of a container may change after the instance was created`,
	)
	s.kubectl("patch instance web-$ID --type=strategic -p", `{"spec":{"containers":[{"$patch":"delete","name":"sidecar"}]}}`).fails(
		`The Instance "web-$ID" is invalid: spec.containers: Forbidden: containers cannot be added or removed after the instance was created; only their images may change`,
	)

	// Conditions are merged by type, and container statuses by name.
	s.kubectl("patch instance web-$ID --subresource=status -p", `{"status":{"containerStatuses":[{"name":"web","ready":true}],"conditions":[`+condition("ContainersReady", "True")+`]}}`).prints(patchedWeb)
	s.kubectl("patch instance web-$ID --subresource=status -p", `{"status":{"containerStatuses":[{"name":"sidecar","ready":true}],"conditions":[`+condition("Ready", "True")+`]}}`).prints(patchedWeb)
	s.kubectl("patch instance web-$ID --subresource=status -p", `{"status":{"conditions":[`+condition("ContainersReady", "False")+`]}}`).prints(patchedWeb)
	s.kubectl("get instance web-$ID -o", `jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="ContainersReady")].status} {.status.containerStatuses[*].ready}{"\n"}`).prints("True False true true")
}

// condition returns one condition as JSON.
func condition(kind, status string) string {
	return `{"type":"` + kind + `","status":"` + status + `","reason":"AgentSaysSo","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}`
}

func labelAndAnnotate(s *scene) {
	s.have(web + "---\n" + host)
	const labeled, unlabeled, annotated = "instance.fleet.gatehouse.dev/web-$ID labeled", "instance.fleet.gatehouse.dev/web-$ID unlabeled", "instance.fleet.gatehouse.dev/web-$ID annotated"
	s.kubectl("label instance web-$ID colour=blue").prints(labeled)
	s.kubectl("label instance web-$ID colour=red").fails("error: 'colour' already has a value (blue), and --overwrite is false")
	s.kubectl("label instance web-$ID colour=red --overwrite").prints(labeled)
	s.kubectl("get instance web-$ID -o", "jsonpath={.metadata.labels.colour}{\"\\n\"}").prints("red")
	s.kubectl("label instance web-$ID colour-").prints(unlabeled)
	s.kubectl("label instance web-$ID colour-").expect(0, "label \"colour\" not found.\ninstance.fleet.gatehouse.dev/web-$ID not labeled\n", "")
	s.kubectl("label instance web-$ID --list").printsInAnyOrder("app=web", "tier=front", "tour=$ID")
	s.kubectl("label instances -l tour=$ID,app=web seen=yes").prints(labeled)
	s.kubectl("label host host-$ID zone=north").prints("host.fleet.gatehouse.dev/host-$ID labeled")
	s.kubectl("annotate instance web-$ID example.com/note=hello").prints(annotated)
	s.kubectl("annotate instance web-$ID example.com/note=bye").fails("error: --overwrite is false but found the following declared annotation(s): 'example.com/note' already has a value (hello)")
	s.kubectl("annotate instance web-$ID --overwrite example.com/note=bye").prints(annotated)
	s.kubectl("annotate instance web-$ID --list").printsInAnyOrder("example.com/note=bye")
	s.kubectl("annotate instance web-$ID example.com/note-").prints(annotated)
	s.kubectl("get instance web-$ID -o", "jsonpath={.metadata.annotations} {.metadata.generation}{\"\\n\"}").prints(" 1")
	s.kubectl("patch instance web-$ID --type=merge -p", `{"metadata":{"labels":{"colour":"very red"}}}`).fails(
		`The Instance "web-$ID" is invalid: metadata.labels: Invalid value: "very red": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`,
	)
}

func replace(s *scene) {
	s.have(web)
	stored := s.kubectl("get instance web-$ID -o yaml").succeeds().stdout
	changed := strings.Replace(stored, "web:1.0", "web:2.0", 1)
	s.pipe(changed, "replace -f -").prints("instance.fleet.gatehouse.dev/web-$ID replaced")
	s.images().prints("web=registry.example/web:2.0", "sidecar=registry.example/sidecar:1.0")
	s.pipe(changed, "replace -f -").fails(
		`Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on instances.fleet.gatehouse.dev "web-$ID": the object has been modified; please apply your changes to the latest version and try again`,
	)
	// kubectl sets a missing resourceVersion to the latest.
	s.pipe(strings.Replace(web, "web:1.0", "web:3.0", 1), "replace -f -").prints("instance.fleet.gatehouse.dev/web-$ID replaced")
	s.images().prints("web=registry.example/web:3.0", "sidecar=registry.example/sidecar:1.0")
	s.pipe(strings.Replace(web, "blue", "red", 1), "replace -f -").fails(
		`The Instance "web-$ID" is invalid: spec.containers[0]: Forbidden: only the image of a container may change after the instance was created`,
	)
	s.pipe(job, "replace -f -").fails(`Error from server (NotFound): error when replacing "STDIN": instances.fleet.gatehouse.dev "job-$ID" not found`)
	s.pipe(strings.Replace(web, "blue", "red", 1), "replace --force -f -").prints(
		`instance.fleet.gatehouse.dev "web-$ID" deleted from $NS namespace`, "instance.fleet.gatehouse.dev/web-$ID replaced",
	)
	s.kubectl("get instance web-$ID -o", `jsonpath={.spec.containers[0].env[0].value} {.metadata.generation}{"\n"}`).prints("red 1")
}

// editor installs the editor that kubectl edit starts: a shell script with the file's
// name as $1.
func (s *scene) editor(script string) {
	s.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "editor"), []byte("#!/bin/sh\nset -e\n"+script+"\n"), 0o700); err != nil {
		s.Fatal(err)
	}
}

func edit(s *scene) {
	s.have(web)
	s.editor(`sed 's,registry.example/web:1.0,registry.example/web:2.0,' "$1" >changed && cat changed >"$1"`)
	s.kubectl("edit instance web-$ID").prints("instance.fleet.gatehouse.dev/web-$ID edited")
	s.images().prints("web=registry.example/web:2.0", "sidecar=registry.example/sidecar:1.0")
	s.editor(`:`)
	s.kubectl("edit instance web-$ID").warns("Edit cancelled, no changes made.")
	s.editor(`sed 's,phase: Pending,phase: Running,' "$1" >changed && cat changed >"$1"`)
	s.kubectl("edit instance web-$ID --subresource=status").prints("instance.fleet.gatehouse.dev/web-$ID edited")
	s.kubectl("get instance web-$ID -o", "jsonpath={.status.phase}{\"\\n\"}").prints("Running")

	// kubectl opens the editor again with the server's error on top; an unchanged file
	// ends the edit.
	s.editor(`cat "$1" >>shown; sed 's,restartPolicy: Always,restartPolicy: Never,' "$1" >changed && cat changed >"$1"`)
	if r := s.kubectl("edit instance web-$ID"); r.code != 1 || r.stdout != "" || !strings.HasSuffix(r.stderr, "error: Edit cancelled, no valid changes were saved.\n") {
		s.Fatalf("%s\n--- wanted: the edit cancelled", r)
	}
	shown, err := os.ReadFile(filepath.Join(s.dir, "shown"))
	if err != nil {
		s.Fatal(err)
	}
	objection := s.expand.Replace("# instances.fleet.gatehouse.dev \"web-$ID\" was not valid:\n# * spec.restartPolicy: Invalid value: \"Never\": field is immutable\n")
	if !strings.Contains(withoutWay(string(shown)), objection) {
		s.Errorf("the editor was shown:\n%s--- wanted in it:\n%s", shown, objection)
	}
}

func statusSubresource(s *scene) {
	s.have(web)
	s.kubectl("patch instance web-$ID --subresource=status --type=merge -p", `{"status":{"phase":"Running"},"spec":{"restartPolicy":"Never"},"metadata":{"labels":{"colour":"red"}}}`).prints(patchedWeb)
	s.kubectl("patch instance web-$ID --type=merge -p", `{"status":{"phase":"Failed"}}`).prints(patchedWeb + " (no change)")
	const facts = `jsonpath={.status.phase} {.spec.restartPolicy} {.metadata.generation}{.metadata.labels.colour}{"\n"}`
	s.kubectl("get instance web-$ID -o", facts).prints("Running Always 1")
	s.kubectl("get instance web-$ID --subresource=status -o", facts).prints("Running Always 1")
	s.kubectl("get instance web-$ID --subresource=status").table("NAME | READY | STATUS | RESTARTS | AGE", "web-$ID | 0/2 | Running | 0 | <age>")

	stored := s.kubectl("get instance web-$ID --subresource=status -o yaml").succeeds().stdout
	changed := strings.Replace(stored, "phase: Running", "phase: Unknown", 1)
	s.pipe(changed, "replace --subresource=status -f -").prints("instance.fleet.gatehouse.dev/web-$ID replaced")
	s.pipe(changed, "replace --subresource=status -f -").fails(
		`Error from server (Conflict): error when replacing "STDIN": Operation cannot be fulfilled on instances.fleet.gatehouse.dev "web-$ID": the object has been modified; please apply your changes to the latest version and try again`,
	)
	s.kubectl("get instance web-$ID -o", facts).prints("Unknown Always 1")
	s.kubectl("patch instance web-$ID --subresource=status --type=merge -p", `{"status":{"phase":"Tired","instanceIP":"here"}}`).fails(
		`The Instance "web-$ID" is invalid: `,
		`* status.instanceIP: Invalid value: "here": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`,
		`* status.phase: Unsupported value: "Tired": supported values: "Failed", "Pending", "Running", "Succeeded", "Unknown"`,
	)
	s.pipe(instanceHeader+"metadata: {name: web-$ID}\nstatus: {phase: Succeeded}\n", "apply --server-side --subresource=status --field-manager=agent --force-conflicts -f -").
		prints("instance.fleet.gatehouse.dev/web-$ID serverside-applied")
	s.kubectl("get instance web-$ID -o", facts).prints("Succeeded Always 1")
	s.kubectl("patch instance web-$ID --subresource=status --type=merge -p", `{"status":{"phase":"Running"}}`).fails(
		`The Instance "web-$ID" is invalid: status.phase: Invalid value: "Running": must stay Succeeded: an instance that has ended does not run again; delete it and create another`,
	)
}
