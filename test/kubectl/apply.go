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
	"regexp"
	"strings"
)

// usingPattern matches the API version and the time of the other manager's write.
var usingPattern = regexp.MustCompile(` using fleet.gatehouse.dev/v1alpha1( at [-0-9T:Z]+)?`)

func apply(s *scene) {
	const created, unchanged, configured = "instance.fleet.gatehouse.dev/web-$ID created", "instance.fleet.gatehouse.dev/web-$ID unchanged", "instance.fleet.gatehouse.dev/web-$ID configured"
	s.pipe(web, "apply -f -").prints(created)
	s.pipe(web, "apply -f -").prints(unchanged)
	s.kubectl("label instance web-$ID colour=red").succeeds()

	// kubectl's patch contains only the change: it knows from OpenAPI that containers are merged by name.
	newImage := strings.Replace(web, "web:1.0", "web:1.1", 1)
	r := s.pipe(newImage, "apply -f - -v=9")
	for _, want := range []string{
		`"Content-Type: application/strategic-merge-patch+json"`,
		`\"spec\":{\"$setElementOrder/containers\":[{\"name\":\"web\"},{\"name\":\"sidecar\"}],\"containers\":[{\"image\":\"registry.example/web:1.1\",\"name\":\"web\"}]}}"`,
	} {
		if !strings.Contains(r.stderr, want) {
			s.Errorf("%s\n--- wanted in the log: %s", r, want)
		}
	}
	r.stderr = ""
	r.prints(configured)
	s.images().prints("web=registry.example/web:1.1", "sidecar=registry.example/sidecar:1.0")

	// A field that was applied and is no longer in the manifest is removed; fields of others stay.
	s.pipe(strings.Replace(newImage, ", tier: front", "", 1), "apply -f -").prints(configured)
	s.kubectl("label instance web-$ID --list").printsInAnyOrder("app=web", "colour=red", "tour=$ID")
	s.kubectl("apply view-last-applied instance web-$ID").shows("  labels:\n    app: web\n    tour: $ID\n")
	s.pipe(web+"---\n"+host, "apply -f -").prints(configured, "host.fleet.gatehouse.dev/host-$ID created")
	s.pipe(strings.Replace(host, "NoSchedule", "NoExecute", 1), "apply -f -").prints("host.fleet.gatehouse.dev/host-$ID configured")
	s.kubectl("get host host-$ID -o", `jsonpath={.spec.taints[*].effect}{"\n"}`).prints("NoExecute")

	s.have(job)
	s.pipe(job, "apply -f -").warns(
		"Warning: resource instances/job-$ID is missing the kubectl.kubernetes.io/last-applied-configuration annotation which is required by kubectl apply. kubectl apply should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. The missing annotation will be patched automatically.",
		"instance.fleet.gatehouse.dev/job-$ID configured",
	)
}

func applyImmutable(s *scene) {
	s.pipe(web+"---\n"+job, "apply -f -").succeeds()
	const envAnswer = `The Instance "web-$ID" is invalid: spec.containers[0]: Forbidden: only the image of a container may change after the instance was created`
	otherEnv := strings.Replace(web, "value: blue", "value: red", 1)
	s.pipe(otherEnv, "apply -f -").fails(envAnswer)
	s.pipe(otherEnv, "apply --dry-run=server -f -").fails(envAnswer)
	s.pipe(otherEnv, "apply --server-side --force-conflicts -f -").fails(envAnswer)
	s.pipe(strings.NewReplacer("Never", "Always", "builder", "cleaner", ": 60", ": 61").Replace(job), "apply -f -").fails(
		`The Instance "job-$ID" is invalid: `,
		`* spec.restartPolicy: Invalid value: "Always": field is immutable`,
		`* spec.serviceAccountName: Invalid value: "cleaner": field is immutable`,
		`* spec.terminationGracePeriodSeconds: Invalid value: 61: field is immutable`,
	)
	// An error in one manifest of a list does not stop the others.
	s.pipe(otherEnv+"---\n"+strings.Replace(job, "registry.example/job", "registry.example/job:2", 1), "apply -f -").expect(1,
		"instance.fleet.gatehouse.dev/job-$ID configured\n", envAnswer+"\n")
	s.kubectl("get instances -l tour=$ID -o", `jsonpath={range .items[*]}{.spec.containers[0].image} {.metadata.generation}{"\n"}{end}`).prints(
		"registry.example/job:2 2", "registry.example/web:1.0 1",
	)
}

// conflictHelp is kubectl's text after the conflicts of a server-side apply.
const conflictHelp = "Please review the fields above--they currently have other managers. Here\n" +
	"are the ways you can resolve this warning:\n" +
	"* If you intend to manage all of these fields, please re-run the apply\n" +
	"  command with the `--force-conflicts` flag.\n" +
	"* If you do not intend to manage all of the fields, please edit your\n" +
	"  manifest to remove references to the fields that should keep their\n" +
	"  current managers.\n" +
	"* You may co-own fields by updating your manifest to match the existing\n" +
	"  value; in this case, you'll become the manager if the other manager(s)\n" +
	"  stop managing the field (remove it from their configuration).\n" +
	"See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"

func serverSideApply(s *scene) {
	const applied = "instance.fleet.gatehouse.dev/web-$ID serverside-applied"
	managers := func() result {
		return s.kubectl("get instance web-$ID --show-managed-fields -o", `jsonpath={range .metadata.managedFields[*]}{.manager} {.operation} {.fieldsV1.f:spec.f:containers.k:\{"name":"web"\}.f:image}{"\n"}{end}`)
	}
	s.pipe(web, "apply --server-side --field-manager=alice -f -").prints(applied)
	s.pipe(web, "apply --server-side --field-manager=bob -f -").prints(applied) // the same values: both own them
	managers().printsInAnyOrder("alice Apply {}", "bob Apply {}")

	newImage := strings.Replace(web, "web:1.0", "web:2.0", 1)
	s.pipe(newImage, "apply --server-side --field-manager=bob -f -").fails(
		`error: Apply failed with 1 conflict: conflict with "alice": .spec.containers[name="web"].image`, conflictHelp,
	)
	s.images().prints("web=registry.example/web:1.0", "sidecar=registry.example/sidecar:1.0")
	s.pipe(newImage, "apply --server-side --field-manager=bob --force-conflicts -f -").prints(applied)
	s.images().prints("web=registry.example/web:2.0", "sidecar=registry.example/sidecar:1.0")
	managers().printsInAnyOrder("alice Apply ", "bob Apply {}")

	const twoImages = instanceHeader + "metadata: {name: web-$ID}\nspec:\n  containers:\n  - {name: web, image: registry.example/web:3.0}\n  - {name: sidecar, image: registry.example/sidecar:3.0}\n"
	s.pipe(twoImages, "apply --server-side --field-manager=carol -f -").fails(
		"error: Apply failed with 3 conflicts: conflicts with \"alice\":\n- .spec.containers[name=\"sidecar\"].image\nconflicts with \"bob\":\n- .spec.containers[name=\"sidecar\"].image\n- .spec.containers[name=\"web\"].image",
		conflictHelp,
	)

	// A label that only one manager owns is removed when the manager omits it.
	const label = instanceHeader + "metadata: {name: web-$ID, labels: {colour: red}}\n"
	s.pipe(label, "apply --server-side --field-manager=dave -f -").prints(applied)
	s.kubectl("label instance web-$ID --list").printsInAnyOrder("app=web", "colour=red", "tier=front", "tour=$ID")
	s.pipe(strings.Replace(label, ", labels: {colour: red}", "", 1), "apply --server-side --field-manager=dave -f -").prints(applied)
	s.kubectl("label instance web-$ID --list").printsInAnyOrder("app=web", "tier=front", "tour=$ID")

	// Taints are merged by key and effect: two managers can each own one.
	taints := func(key string) string {
		return hostHeader + "metadata: {name: host-$ID, labels: {tour: $ID}}\nspec:\n  taints: [{key: " + key + ", effect: NoSchedule}]\n"
	}
	s.pipe(taints("example.com/a"), "apply --server-side --field-manager=alice -f -").prints("host.fleet.gatehouse.dev/host-$ID serverside-applied")
	s.pipe(taints("example.com/b"), "apply --server-side --field-manager=bob -f -").prints("host.fleet.gatehouse.dev/host-$ID serverside-applied")
	s.kubectl("get host host-$ID -o", `jsonpath={.spec.taints[*].key}{"\n"}`).prints("example.com/a example.com/b")

	// A field that a plain write changed belongs to its field manager, which the conflict names, too.
	s.kubectl("patch instance web-$ID --field-manager=erin --type=merge -p", `{"metadata":{"labels":{"tier":"back"}}}`).prints(patchedWeb)
	r := s.pipe(newImage, "apply --server-side --field-manager=bob -f -")
	r.stderr = usingPattern.ReplaceAllString(r.stderr, " using")
	r.fails(`error: Apply failed with 1 conflict: conflict with "erin" using: .metadata.labels.tier`, conflictHelp)
}

func diff(s *scene) {
	s.pipe(web, "apply -f -").succeeds()
	s.pipe(web, "diff -f -").prints()
	newImage := strings.Replace(web, "web:1.0", "web:1.1", 1)
	for _, line := range []string{"diff -f -", "diff --server-side --force-conflicts -f -"} {
		r := s.pipe(newImage, line)
		var changes []string
		for line := range strings.Lines(r.stdout) {
			if (strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+")) && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "+++") && !strings.Contains(line, `{"apiVersion":`) {
				changes = append(changes, strings.TrimSuffix(line, "\n"))
			}
		}
		want := "-  generation: 1\n+  generation: 2\n-    image: registry.example/web:1.0\n+    image: registry.example/web:1.1\n"
		if r.code != 1 || r.stderr != "" || text(changes) != want {
			s.Fatalf("%s\n--- wanted: exit code 1 and the changes\n%s", r, want)
		}
	}
	s.images().prints("web=registry.example/web:1.0", "sidecar=registry.example/sidecar:1.0")
	if r := s.pipe(job, "diff -f -"); r.code != 1 || r.stderr != "" || !strings.Contains(r.stdout, "\n+kind: Instance\n") {
		s.Fatalf("%s\n--- wanted: exit code 1 and the whole of a new object", r)
	}
	s.pipe(strings.Replace(web, "value: blue", "value: red", 1), "diff -f -").expect(2, "",
		"The Instance \"web-$ID\" is invalid: spec.containers[0]: Forbidden: only the image of a container may change after the instance was created\n")
	s.pipe(newImage, "apply -f -").prints("instance.fleet.gatehouse.dev/web-$ID configured")
	s.pipe(newImage, "diff -f -").prints()
}
