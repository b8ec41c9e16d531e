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
	"slices"
	"strings"
)

// sees reads the next lines of a watch and compares them cell by cell; <age> is any age.
func (p *process) sees(rows ...string) {
	p.Helper()
	for _, want := range rows {
		line, _ := p.next(p.stdout)
		if !slices.EqualFunc(strings.Fields(line), strings.Fields(p.expand.Replace(want)), func(got, want string) bool {
			return got == want || want == anAge && agePattern.MatchString(got)
		}) {
			p.Fatalf("kubectl %s\n%s--- wanted as the last line:\n%s", strings.Join(p.command.Args[1:], " "), p.seen.String(), p.expand.Replace(want))
		}
	}
}

func watchTable(s *scene) {
	s.have(web + "---\n" + host)
	plain := s.start("get instances -l tour=$ID --watch")
	plain.sees("NAME READY STATUS RESTARTS AGE", "web-$ID 0/2 Pending 0 <age>")
	events := s.start("get instances -l tour=$ID --watch -o wide --output-watch-events")
	events.sees("EVENT NAME READY STATUS RESTARTS AGE IP HOST", "ADDED web-$ID 0/2 Pending 0 <age> <none> <none>")

	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").succeeds()
	plain.sees("web-$ID 0/2 Pending 0 <age>")
	events.sees("MODIFIED web-$ID 0/2 Pending 0 <age> <none> host-$ID")
	s.report("instance web-$ID", webReport)
	plain.sees("web-$ID 1/2 Running 3 <age>")
	events.sees("MODIFIED web-$ID 1/2 Running 3 <age> 192.0.2.70 host-$ID")
	s.have(job)
	plain.sees("job-$ID 0/1 Pending 0 <age>")
	events.sees("ADDED job-$ID 0/1 Pending 0 <age> <none> <none>")
	s.kubectl("delete instance web-$ID --wait=false").succeeds()
	plain.sees("web-$ID 1/2 Terminating 3 <age>")
	events.sees("MODIFIED web-$ID 1/2 Terminating 3 <age> 192.0.2.70 host-$ID")
	// The agent's last delete writes grace period 0, and then removes the object.
	s.kubectl("delete --raw $API/namespaces/$NS/instances/web-$ID?gracePeriodSeconds=0").succeeds()
	events.sees("MODIFIED web-$ID 1/2 Terminating 3 <age> 192.0.2.70 host-$ID", "DELETED web-$ID 1/2 Terminating 3 <age> 192.0.2.70 host-$ID")

	hosts := s.start("get hosts -l tour=$ID --watch")
	hosts.sees("NAME STATUS AGE VERSION", "host-$ID Unknown <age>")
	s.report("host host-$ID", hostReport)
	hosts.sees("host-$ID Ready <age> v0.3.0")

	only := s.start("get hosts -l tour=$ID --watch-only -v=6")
	only.until(only.stderr, "watch=true")
	s.kubectl("label host host-$ID colour=red").succeeds()
	only.sees("NAME STATUS AGE VERSION", "host-$ID Ready <age> v0.3.0")
}

func watchYAML(s *scene) {
	s.have(job)
	watch := s.start("get instances -l tour=$ID -o yaml --watch")
	document := func(lastLine string, wanted ...string) {
		s.Helper()
		read := watch.until(watch.stdout, lastLine)
		for _, want := range append(wanted, "  name: job-$ID") {
			if !slices.Contains(read, s.expand.Replace(want)) {
				s.Fatalf("get -o yaml --watch\n%s--- wanted in the last document: %s", text(read), s.expand.Replace(want))
			}
		}
		if read[0] == "---" {
			read = read[1:]
		}
		if read[0] != "apiVersion: fleet.gatehouse.dev/v1alpha1" || read[1] != "kind: Instance" || slices.Contains(read, "---") {
			s.Fatalf("get -o yaml --watch\n%s--- wanted: one Instance", text(read))
		}
	}
	document("  phase: Pending")
	s.kubectl("label instance job-$ID colour=red").succeeds()
	document("  phase: Pending", "    colour: red")
	s.report("instance job-$ID", `{"status":{"phase":"Succeeded"}}`)
	document("  phase: Succeeded", "    colour: red")
	s.kubectl("delete instance job-$ID --wait=false").succeeds()
	document("  phase: Succeeded", "  deletionGracePeriodSeconds: 0")
}

func watchSelector(s *scene) {
	s.have(web + "---\n" + job + "---\n" + host)
	watch := s.start("get instances -l tour=$ID --watch --output-watch-events --field-selector spec.hostName=host-$ID -v=6")
	watch.until(watch.stderr, "watch=true")
	s.kubectl("label instance job-$ID colour=red").succeeds() // on no host: not in the selection
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").succeeds()
	watch.sees("EVENT NAME READY STATUS RESTARTS AGE", "ADDED web-$ID 0/2 Pending 0 <age>")
	pending := s.start("get instances -l tour=$ID --watch --output-watch-events --field-selector status.phase=Pending,spec.hostName=host-$ID")
	pending.sees("EVENT NAME READY STATUS RESTARTS AGE", "ADDED web-$ID 0/2 Pending 0 <age>")
	s.report("instance web-$ID", webReport)
	watch.sees("MODIFIED web-$ID 1/2 Running 3 <age>")
	// An object that leaves the selection is a DELETED event with its previous state.
	pending.sees("DELETED web-$ID 0/2 Pending 0 <age>")
	s.kubectl("delete instance web-$ID --grace-period=0 --force").expect(0,
		"instance.fleet.gatehouse.dev \"web-$ID\" force deleted from $NS namespace\n",
		"Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The resource may continue to run on the cluster indefinitely.\n")
	watch.sees("MODIFIED web-$ID 1/2 Terminating 3 <age>", "DELETED web-$ID 1/2 Terminating 3 <age>")
}
