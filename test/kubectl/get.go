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

// hostReport is the status that an agent reports for its host.
const hostReport = `{"status":{
  "conditions":[{"type":"Ready","status":"True","reason":"AgentReady","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}],
  "addresses":[{"type":"Hostname","address":"edge.example"},{"type":"InternalIP","address":"192.0.2.7"}],
  "info":{"operatingSystem":"linux","architecture":"arm64","agentVersion":"v0.3.0","runtimeVersion":"containerd://2.2.0"}}}`

// webReport is the status that an agent reports for the web instance.
const webReport = `{"status":{"phase":"Running","instanceIP":"192.0.2.70","containerStatuses":[
  {"name":"web","ready":true,"restartCount":1},{"name":"sidecar","ready":false,"restartCount":2}]}}`

// report writes a status as an agent does.
func (s *scene) report(object, status string) {
	s.Helper()
	s.kubectl("patch "+object+" --subresource=status --type=merge -p", status).succeeds()
}

func getTables(s *scene) {
	s.have(all)
	s.kubectl("get instances -l tour=$ID").table(
		"NAME | READY | STATUS | RESTARTS | AGE",
		"job-$ID | 0/1 | Pending | 0 | <age>",
		"web-$ID | 0/2 | Pending | 0 | <age>",
	)
	s.kubectl("get instances -l tour=$ID -o wide").table(
		"NAME | READY | STATUS | RESTARTS | AGE | IP | HOST",
		"job-$ID | 0/1 | Pending | 0 | <age> | <none> | <none>",
		"web-$ID | 0/2 | Pending | 0 | <age> | <none> | <none>",
	)
	s.kubectl("get hosts -l tour=$ID -o wide").table(
		"NAME | STATUS | AGE | VERSION | ADDRESS | OS | ARCH | RUNTIME",
		"host-$ID | Unknown | <age> |  | <none> |  |  | ",
	)
	s.kubectl("get hostleases -l tour=$ID").table(
		"NAME | HOLDER | RENEWED | AGE",
		"host-$ID | host-$ID | <never> | <age>",
	)

	s.report("host host-$ID", hostReport)
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").succeeds()
	s.report("instance web-$ID", webReport)
	s.report("instance job-$ID", `{"status":{"phase":"Failed","reason":"Evicted"}}`)
	s.kubectl("patch hostlease host-$ID --type=merge -p", `{"spec":{"renewTime":"2026-01-01T00:00:00.000001Z"}}`).succeeds()
	s.kubectl("get instances -l tour=$ID -o wide").table(
		"NAME | READY | STATUS | RESTARTS | AGE | IP | HOST",
		"job-$ID | 0/1 | Evicted | 0 | <age> | <none> | <none>",
		"web-$ID | 1/2 | Running | 3 | <age> | 192.0.2.70 | host-$ID",
	)
	s.kubectl("get hosts -l tour=$ID").table(
		"NAME | STATUS | AGE | VERSION",
		"host-$ID | Ready | <age> | v0.3.0",
	)
	s.kubectl("patch host host-$ID --type=merge -p", `{"spec":{"unschedulable":true}}`).succeeds()
	s.kubectl("get host host-$ID -o wide").table(
		"NAME | STATUS | AGE | VERSION | ADDRESS | OS | ARCH | RUNTIME",
		"host-$ID | Ready,SchedulingDisabled | <age> | v0.3.0 | 192.0.2.7 | linux | arm64 | containerd://2.2.0",
	)
	s.kubectl("get hostlease host-$ID").table(
		"NAME | HOLDER | RENEWED | AGE",
		"host-$ID | host-$ID | <age> | <age>",
	)
}

func getNames(s *scene) {
	s.have(all)
	for _, name := range []string{"instances", "instance", "inst", "instances.fleet.gatehouse.dev", "instance.fleet.gatehouse.dev", "instances.v1alpha1.fleet.gatehouse.dev"} {
		s.kubectl("get "+name+" -l tour=$ID -o name").prints("instance.fleet.gatehouse.dev/job-$ID", "instance.fleet.gatehouse.dev/web-$ID")
	}
	for _, name := range []string{"hosts", "host", "ho"} {
		s.kubectl("get " + name + " -l tour=$ID -o name").prints("host.fleet.gatehouse.dev/host-$ID")
	}
	for _, name := range []string{"hostleases", "hostlease", "hl"} {
		s.kubectl("get " + name + " -l tour=$ID -o name").prints("hostlease.fleet.gatehouse.dev/host-$ID")
	}
	s.kubectl("get fleet -l tour=$ID").table(
		"NAME | STATUS | AGE | VERSION",
		"host.fleet.gatehouse.dev/host-$ID | Unknown | <age> | ",
		"",
		"NAME | READY | STATUS | RESTARTS | AGE",
		"instance.fleet.gatehouse.dev/job-$ID | 0/1 | Pending | 0 | <age>",
		"instance.fleet.gatehouse.dev/web-$ID | 0/2 | Pending | 0 | <age>",
	)
	if all := s.kubectl("get all -l tour=$ID"); !s.env.Aggregated {
		all.table(
			"NAME | READY | STATUS | RESTARTS | AGE",
			"instance.fleet.gatehouse.dev/job-$ID | 0/1 | Pending | 0 | <age>",
			"instance.fleet.gatehouse.dev/web-$ID | 0/2 | Pending | 0 | <age>",
		)
	} else {
		// The cluster's own kinds belong to "all" as well, and the user of the scenes may not list them.
		for _, name := range []string{"job-$ID", "web-$ID"} {
			if !strings.Contains(all.stdout, s.expand.Replace("instance.fleet.gatehouse.dev/"+name)) {
				s.Errorf("%s\n--- wanted in it: %s", all, name)
			}
		}
	}
	s.kubectl("get inst,ho -l tour=$ID -o name").prints(
		"instance.fleet.gatehouse.dev/job-$ID", "instance.fleet.gatehouse.dev/web-$ID", "host.fleet.gatehouse.dev/host-$ID",
	)
	s.kubectl("get inst/web-$ID ho/host-$ID -o name").prints("instance.fleet.gatehouse.dev/web-$ID", "host.fleet.gatehouse.dev/host-$ID")
	s.kubectl("get instances --all-namespaces -l tour=$ID --no-headers -o custom-columns=A:.metadata.namespace,B:.metadata.name").prints(
		"$NS   job-$ID", "$NS   web-$ID",
	)
	s.kubectl("get airships").fails(`error: the server doesn't have a resource type "airships"`)
}

func getFormats(s *scene) {
	s.have(web + "---\n" + job)
	getJSON(s)
	s.kubectl("get instances -l tour=$ID -o yaml").shows(
		"apiVersion: v1\nitems:\n- apiVersion: fleet.gatehouse.dev/v1alpha1\n  kind: Instance\n",
		"    name: job-$ID\n    namespace: $NS\n",
		"    name: web-$ID\n    namespace: $NS\n",
		"\nkind: List\n",
	)
	s.kubectl("get instance web-$ID -o", `jsonpath={range .spec.containers[*]}{.name}={.image}{"\n"}{end}`).prints(
		"web=registry.example/web:1.0", "sidecar=registry.example/sidecar:1.0",
	)
	s.kubectl("get instances -l tour=$ID -o", `go-template={{range .items}}{{.metadata.name}} {{.spec.restartPolicy}}{{"\n"}}{{end}}`).prints(
		"job-$ID Never", "web-$ID Always",
	)
	s.kubectl("get instances -l tour=$ID --sort-by=.spec.terminationGracePeriodSeconds -o custom-columns=NAME:.metadata.name,GRACE:.spec.terminationGracePeriodSeconds").table(
		"NAME | GRACE", "web-$ID | 30", "job-$ID | 60",
	)
	s.kubectl("get instance web-$ID -o json --show-managed-fields").shows(`"managedFields": [`, `"manager": "kubectl-create"`, `"operation": "Update"`)
	s.kubectl("get --raw $API/namespaces/$NS/instances/web-$ID").shows(`{"kind":"Instance","apiVersion":"fleet.gatehouse.dev/v1alpha1","metadata":{"name":"web-$ID","namespace":"$NS",`)
}

func getJSON(s *scene) {
	s.kubectl("get instance web-$ID -o json").masked().prints(
		`{`,
		`    "apiVersion": "fleet.gatehouse.dev/v1alpha1",`,
		`    "kind": "Instance",`,
		`    "metadata": {`,
		`        "creationTimestamp": <creationTimestamp>,`,
		`        "generation": 1,`,
		`        "labels": {`,
		`            "app": "web",`,
		`            "tier": "front",`,
		`            "tour": "$ID"`,
		`        },`,
		`        "name": "web-$ID",`,
		`        "namespace": "$NS",`,
		`        "resourceVersion": <resourceVersion>,`,
		`        "uid": <uid>`,
		`    },`,
		`    "spec": {`,
		`        "containers": [`,
		`            {`,
		`                "env": [`,
		`                    {`,
		`                        "name": "COLOUR",`,
		`                        "value": "blue"`,
		`                    },`,
		`                    {`,
		`                        "name": "SIZE",`,
		`                        "value": "2"`,
		`                    }`,
		`                ],`,
		`                "image": "registry.example/web:1.0",`,
		`                "imagePullPolicy": "IfNotPresent",`,
		`                "name": "web",`,
		`                "resources": {}`,
		`            },`,
		`            {`,
		`                "image": "registry.example/sidecar:1.0",`,
		`                "imagePullPolicy": "IfNotPresent",`,
		`                "name": "sidecar",`,
		`                "resources": {}`,
		`            }`,
		`        ],`,
		`        "restartPolicy": "Always",`,
		`        "serviceAccountName": "default",`,
		`        "terminationGracePeriodSeconds": 30`,
		`    },`,
		`    "status": {`,
		`        "conditions": [`,
		`            {`,
		`                "lastTransitionTime": <lastTransitionTime>,`,
		`                "message": "no host has reported the instance yet",`,
		`                "observedGeneration": 1,`,
		`                "reason": "Pending",`,
		`                "status": "False",`,
		`                "type": "Ready"`,
		`            }`,
		`        ],`,
		`        "phase": "Pending"`,
		`    }`,
		`}`,
	)
}

func describe(s *scene) {
	s.have(all)
	s.report("instance web-$ID", webReport)
	s.kubectl("describe instance web-$ID").shows(
		"Name:         web-$ID\nNamespace:    $NS\nLabels:       app=web\n              tier=front\n              tour=$ID\nAnnotations:  <none>\nAPI Version:  fleet.gatehouse.dev/v1alpha1\nKind:         Instance\n",
		"Spec:\n  Containers:\n",
		"    Image:              registry.example/web:1.0\n    Image Pull Policy:  IfNotPresent\n    Name:               web\n",
		"  Restart Policy:                    Always\n  Service Account Name:              default\n  Termination Grace Period Seconds:  30\n",
		"Status:\n", "    Name:           web\n    Ready:          true\n    Restart Count:  1\n",
		"  Instance IP:  192.0.2.70\n  Phase:        Running\nEvents:         <none>\n",
	)
	s.kubectl("describe host host-$ID").shows(
		"Name:         host-$ID\nNamespace:    \n", "Kind:         Host\n",
		"  Taints:\n    Effect:  NoSchedule\n    Key:     example.com/gpu\n    Value:   a100\n", "Events:  <none>\n",
	)
	s.kubectl("describe hl host-$ID").shows("Kind:         HostLease\n", "  Holder Identity:         host-$ID\n  Lease Duration Seconds:  40\n")
	s.kubectl("describe instances -l tour=$ID").shows("Name:         job-$ID\n", "\n\n\nName:         web-$ID\n")
}
