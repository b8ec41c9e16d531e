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

const bindingOf = "$API/namespaces/$NS/instances/web-$ID/binding"

func binding(s *scene) {
	s.have(web + "---\n" + host + "---\n" + strings.ReplaceAll(host, "host-$ID", "other-$ID"))
	s.pipe(strings.Replace(bindingToHost, "host-$ID", "nobody-$ID", 1), "create --raw "+bindingOf+" -f -").fails(
		`The Binding "web-$ID" is invalid: target.name: Not found: "nobody-$ID"`,
	)
	s.pipe(strings.Replace(bindingToHost, `"Host"`, `"Moon"`, 1), "create --raw "+bindingOf+" -f -").fails(
		`The Binding "web-$ID" is invalid: target.kind: Unsupported value: "Moon": supported values: "Host"`,
	)
	s.pipe(strings.Replace(bindingToHost, `"name":"web-$ID"`, `"name":"job-$ID"`, 1), "create --raw "+bindingOf+" -f -").fails(
		`Error from server (BadRequest): metadata.name of the Binding is "job-$ID", but the URL names the instance "web-$ID"`,
	)
	if r := s.pipe(strings.Replace(bindingToHost, `"name":"web-$ID"`, `"name":"web-$ID","uid":"not-this-one"`, 1), "create --raw "+bindingOf+" -f -"); r.code != 1 || !strings.HasPrefix(r.stderr, "Error from server (Conflict): ") || !strings.Contains(r.stderr, "Precondition failed: UID in precondition: not-this-one") {
		s.Fatalf("%s\n--- wanted: a conflict of UIDs", r)
	}
	s.kubectl("get instance web-$ID -o", `jsonpath={.spec.hostName}`).prints()

	s.pipe(bindingToHost, "create --raw "+bindingOf+" -f -").expect(0, `{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}`+"\n", "")
	const conflict = `Error from server (Conflict): Operation cannot be fulfilled on instances/binding.fleet.gatehouse.dev "web-$ID": instance "web-$ID" is already bound to host "host-$ID"`
	s.pipe(bindingToHost, "create --raw "+bindingOf+" -f -").fails(conflict)
	s.pipe(strings.Replace(bindingToHost, "host-$ID", "other-$ID", 1), "create --raw "+bindingOf+" -f -").fails(conflict)
	s.kubectl("get instance web-$ID -o", `jsonpath={.spec.hostName} {.status.conditions[?(@.type=="Scheduled")].status}{"\n"}`).prints("host-$ID True")
	s.kubectl("get --raw " + bindingOf).fails("Error from server (MethodNotAllowed): the server does not allow this method on the requested resource")
}

func deleteObjects(s *scene) {
	s.have(all)
	s.kubectl("delete instance web-$ID").prints(`instance.fleet.gatehouse.dev "web-$ID" deleted from $NS namespace`)
	s.kubectl("delete instance web-$ID").fails(`Error from server (NotFound): instances.fleet.gatehouse.dev "web-$ID" not found`)
	s.kubectl("delete inst/job-$ID -o name").prints("instance.fleet.gatehouse.dev/job-$ID")
	s.kubectl("delete host").fails("error: resource(s) were provided, but no name was specified")
	const clusterScoped = "Warning: deleting cluster-scoped resources, not scoped to the provided namespace"
	s.kubectl("delete hosts,hostleases,instances -l tour=$ID").warns(clusterScoped,
		`host.fleet.gatehouse.dev "host-$ID" deleted`, `hostlease.fleet.gatehouse.dev "host-$ID" deleted`)
	s.kubectl("get fleet -l tour=$ID").warns("No resources found")

	s.have(all)
	s.pipe(all, "delete -f -").warns(clusterScoped,
		`instance.fleet.gatehouse.dev "web-$ID" deleted from $NS namespace`,
		`instance.fleet.gatehouse.dev "job-$ID" deleted from $NS namespace`,
		`host.fleet.gatehouse.dev "host-$ID" deleted`,
		`hostlease.fleet.gatehouse.dev "host-$ID" deleted`,
	)
	s.pipe(all, "delete --ignore-not-found -f -").expect(0, "", clusterScoped+"\n")

	// An object with finalizers is kept until they are removed.
	s.have(strings.Replace(job, "name: job-$ID", "name: job-$ID\n  finalizers: [example.com/last-words]", 1))
	s.kubectl("delete instance job-$ID --wait=false").prints(`instance.fleet.gatehouse.dev "job-$ID" deleted from $NS namespace`)
	s.kubectl("get instance job-$ID").table("NAME | READY | STATUS | RESTARTS | AGE", "job-$ID | 0/1 | Terminating | 0 | <age>")
	s.kubectl("patch instance job-$ID --type=merge -p", `{"metadata":{"finalizers":null}}`).succeeds()
	s.kubectl("get instance job-$ID --ignore-not-found").prints()
}

func gracefulDelete(s *scene) {
	const deleted = `instance.fleet.gatehouse.dev "web-$ID" deleted from $NS namespace`
	const grace = `jsonpath={.metadata.deletionGracePeriodSeconds}{"\n"}`
	s.bound()
	s.kubectl("delete instance web-$ID --wait=false").prints(deleted)
	s.kubectl("get instance web-$ID -o wide").table(
		"NAME | READY | STATUS | RESTARTS | AGE | IP | HOST",
		"web-$ID | 0/2 | Terminating | 0 | <age> | <none> | host-$ID",
	)
	s.kubectl("get instance web-$ID -o yaml").shows("  deletionGracePeriodSeconds: 30\n  deletionTimestamp: \"2")
	// The grace period can be shortened. kubectl sends 1 for 0 without --force, so
	// that no user removes an instance before its agent by mistake.
	s.kubectl("delete instance web-$ID --wait=false --grace-period=10").prints(deleted)
	s.kubectl("get instance web-$ID -o", grace).prints("10")
	s.kubectl("delete instance web-$ID --wait=false --grace-period=0").prints(deleted)
	s.kubectl("get instance web-$ID -o", grace).prints("1")
	s.pipe(bindingToHost, "create --raw "+bindingOf+" -f -").fails(
		`Error from server (Conflict): Operation cannot be fulfilled on instances/binding.fleet.gatehouse.dev "web-$ID": instance "web-$ID" is being deleted and cannot be bound`,
	)
	s.kubectl("delete instance web-$ID --grace-period=0 --force").expect(0,
		"instance.fleet.gatehouse.dev \"web-$ID\" force deleted from $NS namespace\n",
		"Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n")
	s.kubectl("get instance web-$ID --ignore-not-found").prints()

	// The agent's steps, observed by a kubectl that waits for the deletion.
	s.have(web)
	s.pipe(bindingToHost, "create --raw "+bindingOf+" -f -").succeeds()
	waiting := s.start("delete instance web-$ID -v=6")
	waiting.until(waiting.stderr, "watch=true")
	s.kubectl("delete --raw $API/namespaces/$NS/instances/web-$ID?gracePeriodSeconds=0").shows(`"name":"web-$ID"`, `"deletionGracePeriodSeconds":0`)
	r := waiting.end()
	r.stderr = "" // the log
	r.prints(deleted)

	// An ended instance is deleted without its agent.
	s.have(web)
	s.pipe(bindingToHost, "create --raw "+bindingOf+" -f -").succeeds()
	s.report("instance web-$ID", `{"status":{"phase":"Succeeded"}}`)
	s.kubectl("delete instance web-$ID").prints(deleted)
}

// propagation deletes with every propagation policy. The object has no dependents, so
// each deletion ends as soon as the garbage collector has processed it.
func propagation(s *scene) {
	for _, policy := range []string{"foreground", "orphan", "background"} {
		s.have(web + "---\n" + host)
		s.kubectl("delete instance web-$ID --cascade=" + policy).prints(`instance.fleet.gatehouse.dev "web-$ID" deleted from $NS namespace`)
		s.kubectl("delete host host-$ID --cascade="+policy).expect(0, "host.fleet.gatehouse.dev \"host-$ID\" deleted\n", "Warning: deleting cluster-scoped resources, not scoped to the provided namespace\n")
		s.kubectl("get instances,hosts -l tour=$ID -o name").prints()
	}
}
