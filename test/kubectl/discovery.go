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

func apiResources(s *scene) {
	s.kubectl("api-resources --api-group=fleet.gatehouse.dev").tableHas(
		"NAME | SHORTNAMES | APIVERSION | NAMESPACED | KIND",
		"apps | app | fleet.gatehouse.dev/v1alpha1 | true | App",
		"hostleases | hl | fleet.gatehouse.dev/v1alpha1 | false | HostLease",
		"hosts | ho | fleet.gatehouse.dev/v1alpha1 | false | Host",
		"instances | inst | fleet.gatehouse.dev/v1alpha1 | true | Instance",
		"releases | rel | fleet.gatehouse.dev/v1alpha1 | true | Release",
	)
	const verbs = "create,delete,deletecollection,get,list,patch,update,watch"
	s.kubectl("api-resources --categories=fleet -o wide").tableHas(
		"NAME | SHORTNAMES | APIVERSION | NAMESPACED | KIND | VERBS | CATEGORIES",
		"apps | app | fleet.gatehouse.dev/v1alpha1 | true | App | "+verbs+" | all,fleet",
		"hosts | ho | fleet.gatehouse.dev/v1alpha1 | false | Host | "+verbs+" | fleet",
		"instances | inst | fleet.gatehouse.dev/v1alpha1 | true | Instance | "+verbs+" | all,fleet",
		"releases | rel | fleet.gatehouse.dev/v1alpha1 | true | Release | "+verbs+" | all,fleet",
	)
	s.kubectl("api-resources --api-group=fleet.gatehouse.dev --namespaced=false -o name").shows("hostleases.fleet.gatehouse.dev\nhosts.fleet.gatehouse.dev\n")
	s.kubectl("api-resources --api-group=fleet.gatehouse.dev --namespaced=true -o name").shows("apps.fleet.gatehouse.dev\ninstances.fleet.gatehouse.dev\nreleases.fleet.gatehouse.dev\n")
	if r := s.kubectl("api-versions").succeeds(); !slices.Contains(strings.Split(r.stdout, "\n"), "fleet.gatehouse.dev/v1alpha1") {
		s.Errorf("%s\n--- wanted in it: fleet.gatehouse.dev/v1alpha1", r)
	}
}

func explain(s *scene) {
	s.kubectl("explain instance.spec.containers.image").prints(
		"GROUP:      fleet.gatehouse.dev", "KIND:       Instance", "VERSION:    v1alpha1", "",
		"FIELD: image <string>", "", "",
		"DESCRIPTION:", "    image is the reference of the container image to run.", "    ", "",
	)
	s.kubectl("explain inst.spec.restartPolicy").shows(
		"FIELD: restartPolicy <string>\nENUM:\n    Always\n    Never\n    OnFailure\n",
		"    restartPolicy describes when terminated containers are restarted: Always,\n    OnFailure or Never. Defaults to Always.\n",
	)
	s.kubectl("explain hosts").shows(
		"KIND:       Host\n", "    Host is a machine outside the cluster on which instances run.",
		"  spec\t<HostSpec>\n    spec is the desired state of the host, which an operator sets.\n", "  status\t<HostStatus>\n",
	)
	s.kubectl("explain instance.spec.containers --recursive").shows(
		"FIELD: containers <[]Container>\n",
		"  args\t<[]string>\n  command\t<[]string>\n  env\t<[]EnvVar>\n    name\t<string> -required-\n    value\t<string>\n",
		"  image\t<string> -required-\n  imagePullPolicy\t<string>\n  enum: Always, IfNotPresent, Never\n  livenessProbe\t<Probe>\n    exec\t<ExecAction>\n      command\t<[]string> -required-\n",
		"  name\t<string> -required-\n",
		"  ports\t<[]ContainerPort>\n    containerPort\t<integer> -required-\n    hostPort\t<integer>\n    name\t<string>\n    protocol\t<string>\n    enum: SCTP, TCP, UDP\n",
		"  resources\t<ResourceRequirements>\n    limits\t<map[string]Quantity>\n    requests\t<map[string]Quantity>\n  securityContext\t<SecurityContext>\n",
		"  volumeMounts\t<[]VolumeMount>\n    mountPath\t<string> -required-\n    name\t<string> -required-\n    readOnly\t<boolean>\n  workingDir\t<string>\n",
	)
	for _, kind := range []string{"instance", "host", "hostlease"} {
		s.kubectl("explain "+kind+" --recursive").shows("FIELDS:\n", "  apiVersion\t<string>\n  kind\t<string>\n  metadata\t<ObjectMeta>\n", "  spec\t<")
		s.everyFieldIsExplained(kind)
	}
	s.kubectl("explain --output=plaintext-openapiv2 instance.spec.hostName").shows("KIND:     Instance\nVERSION:  fleet.gatehouse.dev/v1alpha1\n", "FIELD:    hostName <string>\n")
	s.kubectl("explain host.spec.colour").expect(1, "GROUP:      fleet.gatehouse.dev\nKIND:       Host\nVERSION:    v1alpha1\n\n", "error: field \"colour\" does not exist\n")
	s.kubectl("explain airships").fails(`the server doesn't have a resource type "airships"`)
}

// everyFieldIsExplained descends from spec and status through the fields that explain lists, one level
// at a time: each field of our kinds must have a description.
func (s *scene) everyFieldIsExplained(kind string) {
	s.Helper()
	paths := []string{kind}
	for i := 0; i < len(paths); i++ {
		path := paths[i]
		_, fields, hasFields := strings.Cut(s.kubectl("explain "+path).succeeds().stdout, "\nFIELDS:\n")
		if !hasFields {
			continue
		}
		for block := range strings.SplitSeq(strings.TrimRight(fields, "\n"), "\n\n") {
			heading, description, _ := strings.Cut(block, "\n")
			name, kindOfField, isField := strings.Cut(strings.TrimSpace(heading), "\t")
			if !isField {
				continue // the enum or the second paragraph of the field before
			}
			if strings.TrimSpace(description) == "" || strings.Contains(description, "<no description>") {
				s.Errorf("explain %s: field %s has no description", path, name)
			}
			if ours := strings.Trim(strings.TrimSuffix(kindOfField, " -required-"), "<>[]"); strings.ToUpper(ours[:1]) == ours[:1] && !slices.Contains([]string{"ObjectMeta", "Quantity", "Condition", "Time", "MicroTime"}, ours) {
				paths = append(paths, path+"."+name)
			}
		}
	}
	if !slices.Contains(paths, kind+".spec") {
		s.Errorf("explain %s: there is no spec: %v", kind, paths)
	}
}

func readyz(s *scene) {
	s.kubectl("get --raw /readyz").shows("ok")
	r := s.kubectl("get --raw /readyz?verbose").succeeds()
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	for _, line := range lines[:len(lines)-1] {
		if !strings.HasPrefix(line, "[+]") {
			s.Errorf("%s\n--- wanted: nothing but [+]", r)
		}
	}
	if last := lines[len(lines)-1]; last != "readyz check passed" {
		s.Errorf("%s\n--- wanted as the last line: readyz check passed", r)
	}
	checks := []string{"[+]ping ok", "[+]etcd ok"}
	if !s.env.Aggregated {
		checks = append(checks, "[+]watch-caches-fleet.gatehouse.dev ok")
	}
	for _, check := range checks {
		if !slices.Contains(lines, check) {
			s.Errorf("%s\n--- wanted in it: %s", r, check)
		}
	}
}

// version skips a server without a version, as in `go test`;
// CheckVersion tests the one that make builds.
func version(s *scene) {
	if r := s.kubectl("get --raw /version").succeeds(); strings.Contains(r.stdout, `"gitVersion": "v0.0.0-master`) {
		s.Skip("the server was not built by make, which stamps its version")
	}
	noSkew(s)
}

func noSkew(s *scene) {
	r := s.kubectl("version").succeeds() // a skew would be an error
	for _, line := range []string{"Client Version: v1.37.", "Server Version: v1.37."} {
		if !strings.Contains(r.stdout, line) {
			s.Errorf("%s\n--- wanted in it: %s", r, line)
		}
	}
}
