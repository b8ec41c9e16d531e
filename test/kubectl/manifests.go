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

// header begins every manifest; a scene finds its own objects by the label.
const (
	instanceHeader = "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Instance\n"
	hostHeader     = "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: Host\n"
	leaseHeader    = "apiVersion: fleet.gatehouse.dev/v1alpha1\nkind: HostLease\n"
)

// web is an instance with two containers, of which one has environment variables.
const web = instanceHeader + `metadata:
  name: web-$ID
  labels: {tour: $ID, app: web, tier: front}
spec:
  containers:
  - name: web
    image: registry.example/web:1.0
    env:
    - {name: COLOUR, value: blue}
    - {name: SIZE, value: "2"}
  - name: sidecar
    image: registry.example/sidecar:1.0
`

// job is an instance that differs from web in every selectable field.
const job = instanceHeader + `metadata:
  name: job-$ID
  labels: {tour: $ID, app: job}
spec:
  restartPolicy: Never
  serviceAccountName: builder
  terminationGracePeriodSeconds: 60
  containers:
  - name: job
    image: registry.example/job
`

// host is a host with a taint.
const host = hostHeader + `metadata:
  name: host-$ID
  labels: {tour: $ID}
spec:
  taints:
  - {key: example.com/gpu, value: a100, effect: NoSchedule}
`

// lease is the heartbeat of host.
const lease = leaseHeader + `metadata:
  name: host-$ID
  labels: {tour: $ID}
spec:
  holderIdentity: host-$ID
`

// all has one object of each kind, and two instances.
const all = web + "---\n" + job + "---\n" + host + "---\n" + lease

// bindingToHost binds a scene's web instance to its host.
const bindingToHost = `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","metadata":{"name":"web-$ID"},"target":{"kind":"Host","name":"host-$ID"}}`

// have creates objects that the scene needs and does not test.
func (s *scene) have(manifest string) {
	s.Helper()
	s.pipe(manifest, "create -f -").succeeds()
}

// bound creates web and host and binds web to host.
func (s *scene) bound() {
	s.Helper()
	s.have(web + "---\n" + host)
	s.pipe(bindingToHost, "create --raw $API/namespaces/$NS/instances/web-$ID/binding -f -").succeeds()
}
