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
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

func fieldSelectors(s *scene) {
	s.have(all)
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").succeeds()
	s.report("instance web-$ID", `{"status":{"phase":"Running"}}`)
	const webName, jobName = "instance.fleet.gatehouse.dev/web-$ID", "instance.fleet.gatehouse.dev/job-$ID"
	for selector, names := range map[string][]string{
		"metadata.name=web-$ID":                             {webName},
		"metadata.namespace=$NS":                            {jobName, webName},
		"metadata.namespace!=$NS":                           nil,
		"spec.hostName=host-$ID":                            {webName},
		"spec.hostName=":                                    {jobName},
		"spec.hostName!=host-$ID":                           {jobName},
		"spec.serviceAccountName=builder":                   {jobName},
		"spec.restartPolicy=Never":                          {jobName},
		"spec.restartPolicy!=Never":                         {webName},
		"status.phase=Pending":                              {jobName},
		"status.phase=Running":                              {webName},
		"status.phase=Running,spec.hostName=host-$ID":       {webName},
		"status.phase=Running,spec.restartPolicy=Never":     nil,
		"status.phase!=Running,spec.serviceAccountName!=me": {jobName},
	} {
		s.kubectl("get instances -l tour=$ID -o name --field-selector", selector).prints(names...)
	}
	s.kubectl("get hosts -o name --field-selector metadata.name=host-$ID").prints("host.fleet.gatehouse.dev/host-$ID")
	s.kubectl("get hostleases -o name --field-selector metadata.name=host-$ID").prints("hostlease.fleet.gatehouse.dev/host-$ID")

	r := s.kubectl("get instances --field-selector spec.image=web")
	if r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, `Error from server (BadRequest): Unable to find "fleet.gatehouse.dev/v1alpha1, Resource=instances" that match label selector "", field selector "spec.image=web": field label not supported: "spec.image"; `) {
		s.Fatalf("%s\n--- wanted: a refusal that names the field", r)
	}
	for _, selectable := range []string{"metadata.name", "metadata.namespace", "spec.hostName", "spec.serviceAccountName", "spec.restartPolicy", "status.phase"} {
		if !strings.Contains(r.stderr, selectable) {
			s.Errorf("%s\n--- does not name %s as selectable", r, selectable)
		}
	}
	s.kubectl("get hosts --field-selector spec.unschedulable=true").fails(
		`Error from server (BadRequest): Unable to find "fleet.gatehouse.dev/v1alpha1, Resource=hosts" that match label selector "", field selector "spec.unschedulable=true": "spec.unschedulable" is not a known field selector: only "metadata.name", "metadata.namespace"`,
	)
}

func labelSelectors(s *scene) {
	s.have(all)
	const webName, jobName = "instance.fleet.gatehouse.dev/web-$ID", "instance.fleet.gatehouse.dev/job-$ID"
	for selector, names := range map[string][]string{
		"tour=$ID,app=web":                    {webName},
		"tour=$ID,app!=web":                   {jobName},
		"tour=$ID,tier":                       {webName},
		"tour=$ID,!tier":                      {jobName},
		"tour=$ID,app in (web,job)":           {jobName, webName},
		"tour=$ID,app notin (web),tier=front": nil,
	} {
		s.kubectl("get instances -o name -l", selector).prints(names...)
	}
	s.kubectl("get instances -l tour=$ID -L app,tier").table(
		"NAME | READY | STATUS | RESTARTS | AGE | APP | TIER",
		"job-$ID | 0/1 | Pending | 0 | <age> | job | ",
		"web-$ID | 0/2 | Pending | 0 | <age> | web | front",
	)
	s.kubectl("get instances -l tour=$ID --show-labels").table(
		"NAME | READY | STATUS | RESTARTS | AGE | LABELS",
		"job-$ID | 0/1 | Pending | 0 | <age> | app=job,tour=$ID",
		"web-$ID | 0/2 | Pending | 0 | <age> | app=web,tier=front,tour=$ID",
	)
}

// requestPattern matches the requests in kubectl's log with -v=8.
var requestPattern = regexp.MustCompile(`"Request" verb="GET" url="([^"]+/instances\?[^"]*)"`)

func chunks(s *scene) {
	manifests, rows := make([]string, 5), []string{"NAME | READY | STATUS | RESTARTS | AGE"}
	for i := range manifests {
		name := fmt.Sprintf("page%d-$ID", i)
		manifests[i] = strings.Replace(job, "job-$ID", name, 1)
		rows = append(rows, name+" | 0/1 | Pending | 0 | <age>")
	}
	s.have(strings.Join(manifests, "---\n"))

	pages := func(chunkSize int) []url.Values {
		r := s.kubectl(fmt.Sprintf("get instances -l tour=$ID --chunk-size=%d -v=8", chunkSize))
		var queries []url.Values
		for _, match := range requestPattern.FindAllStringSubmatch(r.stderr, -1) {
			request, err := url.Parse(match[1])
			if err != nil {
				s.Fatal(err)
			}
			queries = append(queries, request.Query())
		}
		r.stderr = "" // the log
		r.table(rows...)
		return queries
	}
	queries := pages(2)
	if len(queries) != 3 {
		s.Fatalf("--chunk-size=2 of 5 objects made %d requests, wanted 3: %v", len(queries), queries)
	}
	for i, query := range queries {
		if query.Get("limit") != "2" || query.Has("continue") != (i > 0) {
			s.Errorf("page %d was requested with %v", i+1, query)
		}
	}
	if queries = pages(0); len(queries) != 1 || queries[0].Has("limit") {
		s.Errorf("--chunk-size=0 requested %v, wanted one request without a limit", queries)
	}
	s.kubectl("get --raw $API/namespaces/$NS/instances?labelSelector=tour%3D$ID&limit=2").shows(`"continue":"`, `"name":"page0-$ID"`, `"name":"page1-$ID"`)
}

func notFound(s *scene) {
	const answer = `Error from server (NotFound): instances.fleet.gatehouse.dev "nobody-$ID" not found`
	s.kubectl("delete instance nobody-$ID").fails(answer)
	s.kubectl("get --raw $API/namespaces/$NS/instances/nobody-$ID").fails(answer)
	s.kubectl("delete --raw $API/namespaces/$NS/instances/nobody-$ID").fails(answer)
	s.kubectl("get host nobody-$ID").fails(`Error from server (NotFound): hosts.fleet.gatehouse.dev "nobody-$ID" not found`)
	s.kubectl("get hl nobody-$ID").fails(`Error from server (NotFound): hostleases.fleet.gatehouse.dev "nobody-$ID" not found`)
	s.kubectl("describe host nobody-$ID").fails(`Error from server (NotFound): hosts.fleet.gatehouse.dev "nobody-$ID" not found`)
	s.kubectl("patch host nobody-$ID --type=merge -p {}").fails(`Error from server (NotFound): hosts.fleet.gatehouse.dev "nobody-$ID" not found`)
	s.kubectl("get instance nobody-$ID --ignore-not-found").prints()
	s.kubectl("delete instance nobody-$ID --ignore-not-found").prints()
	s.kubectl("get instances -l tour=$ID").warns("No resources found in $NS namespace.")
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").fails(
		`The Binding "web-$ID" is invalid: target.name: Not found: "host-$ID"`,
	)
	s.have(host)
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").fails(
		`Error from server (NotFound): instances.fleet.gatehouse.dev "web-$ID" not found`,
	)

	namespaced := answer
	if s.namespaceHidesObject() {
		namespaced = "Error from server (NotFound): the server could not find the requested resource"
	}
	for _, line := range []string{"get instance nobody-$ID", "get instance nobody-$ID -o yaml", "describe instance nobody-$ID", "label instance nobody-$ID a=b", "patch instance nobody-$ID --type=merge -p {}", "wait --for=condition=Ready --timeout=0 instance/nobody-$ID"} {
		s.kubectl(line).fails(namespaced)
	}
}

// namespaceHidesObject reports whether kubectl hides which object is missing. If a get
// in a namespace other than default returns 404, kubectl also gets the namespace, and
// if that returns 404 as well, it prints the latter error. This happens on a server that serves no
// namespaces.
func (s *scene) namespaceHidesObject() bool {
	return s.env.Namespace != "default" && strings.HasPrefix(s.kubectl("get --raw /api/v1/namespaces/$NS").stderr, "Error from server (NotFound)")
}

func scopes(s *scene) {
	// A cluster-scoped kind has no namespace, and kubectl drops it.
	s.pipe(strings.Replace(host, "name: host-$ID", "name: nowhere-$ID\n  namespace: elsewhere-$ID", 1), "create -f -").prints("host.fleet.gatehouse.dev/nowhere-$ID created")
	s.kubectl("get host nowhere-$ID -o", "jsonpath={.metadata.namespace}").prints()
	s.have(all)
	s.kubectl("get host host-$ID --namespace=elsewhere-$ID -o name").prints("host.fleet.gatehouse.dev/host-$ID")
	s.kubectl("get instances -l tour=$ID --namespace=elsewhere-$ID").warns("No resources found in elsewhere-$ID namespace.")
	s.pipe(strings.Replace(web, "name: web-$ID", "name: web-$ID\n  namespace: elsewhere-$ID", 1), "create -f -").fails(
		`error: the namespace from the provided object "elsewhere-$ID" does not match the namespace "$NS". You must pass '--namespace=elsewhere-$ID' to perform this operation.`,
	)
	s.pipe(strings.Replace(bindingToHost, `"name":"web-$ID"`, `"name":"web-$ID","namespace":"elsewhere-$ID"`, 1), "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").fails(
		"Error from server (BadRequest): the namespace of the provided object does not match the namespace sent on the request",
	)
	s.kubectl("get instance web-$ID --all-namespaces").fails("error: a resource cannot be retrieved by name across all namespaces")
	s.kubectl("get --raw $API/namespaces/$NS/hosts").fails("Error from server (NotFound): the server could not find the requested resource")
	s.pipe(job, "create --raw $API/instances -f -").fails("Error from server (MethodNotAllowed): the server does not allow this method on the requested resource")
	s.kubectl("get hostlease host-$ID --subresource=status").fails("Error from server (NotFound): the server could not find the requested resource")
	s.kubectl("get --raw $API/instances?labelSelector=tour%3D$ID").shows(`"name":"job-$ID"`, `"name":"web-$ID"`)
}
