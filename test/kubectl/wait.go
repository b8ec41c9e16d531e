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

const conditionMet = "instance.fleet.gatehouse.dev/web-$ID condition met"

// waits starts a kubectl wait and returns when its watch is open.
func (s *scene) waits(line string, args ...string) *process {
	s.Helper()
	waiting := s.start("-v=6 "+line, args...)
	waiting.until(waiting.stderr, "watch=true")
	return waiting
}

// endsWith expects the wait to succeed, with this line.
func (p *process) endsWith(line string) {
	p.Helper()
	r := p.end()
	r.stderr = "" // the log
	r.prints(line)
}

func waitCondition(s *scene) {
	s.have(web + "---\n" + host)
	s.kubectl("wait --for=condition=Ready --timeout=0 instance/web-$ID").fails("error: condition not met for instances/web-$ID")
	s.kubectl("wait --for=condition=Ready --timeout=1ms instance/web-$ID").fails("error: timed out waiting for the condition on instances/web-$ID")
	ready := s.waits("wait --for=condition=Ready --timeout=2m instance/web-$ID")
	s.kubectl("patch instance web-$ID --subresource=status -p", `{"status":{"conditions":[`+condition("ContainersReady", "True")+`]}}`).succeeds()
	s.kubectl("patch instance web-$ID --subresource=status -p", `{"status":{"conditions":[`+condition("Ready", "True")+`]}}`).prints(patchedWeb)
	ready.endsWith(conditionMet)
	s.kubectl("wait --for=condition=Ready --timeout=0 instance/web-$ID").prints(conditionMet)

	notReady := s.waits("wait --for=condition=Ready=False --timeout=2m instances -l tour=$ID")
	s.kubectl("patch instance web-$ID --subresource=status -p", `{"status":{"conditions":[`+condition("Ready", "False")+`]}}`).prints(patchedWeb)
	notReady.endsWith(conditionMet)

	hostReady := s.waits("wait --for=condition=Ready --timeout=2m host/host-$ID")
	s.report("host host-$ID", hostReport)
	hostReady.endsWith("host.fleet.gatehouse.dev/host-$ID condition met")
}

func waitJSONPath(s *scene) {
	s.have(web + "---\n" + host)
	running := s.waits("wait --timeout=2m instance/web-$ID --for", "jsonpath={.status.phase}=Running")
	bound := s.waits("wait --timeout=2m instance/web-$ID --for", "jsonpath={.spec.hostName}")
	s.pipe(bindingToHost, "create --raw "+bindingOf+" -f -").succeeds()
	bound.endsWith(conditionMet)
	s.report("instance web-$ID", `{"status":{"phase":"Running"}}`)
	running.endsWith(conditionMet)
	s.kubectl("wait --timeout=1ms instance/web-$ID --for", "jsonpath={.status.phase}=Failed").fails("error: timed out waiting for the condition on instances/web-$ID")
}

func waitDelete(s *scene) {
	s.bound()
	gone := s.waits("wait --for=delete --timeout=2m instance/web-$ID")
	s.kubectl("delete instance web-$ID --wait=false").succeeds()
	s.kubectl("wait --for=delete --timeout=0 instance/web-$ID").fails("error: condition not met for instances/web-$ID")
	s.kubectl("delete --raw $API/namespaces/$NS/instances/web-$ID?gracePeriodSeconds=0").succeeds()
	gone.endsWith(conditionMet)
	s.kubectl("wait --for=delete --timeout=1s host/nobody-$ID").prints()
	s.kubectl("wait --for=create --timeout=1s host/host-$ID").prints("host.fleet.gatehouse.dev/host-$ID condition met")
}
