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

package requests

// Bodies that fill every list and map of their kind, and the fields of those bodies.
const (
	appliedHost = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Host
metadata: {name: owned, labels: {zone: a}}
spec:
  unschedulable: true
  taints:
  - {key: example.com/dedicated, effect: NoSchedule, value: batch}
  - {key: example.com/dedicated, effect: NoExecute}
`
	appliedHostFields = `{
"f:metadata":{"f:labels":{"f:zone":{}}},
"f:spec":{
  "f:unschedulable":{},
  "f:taints":{
    "k:{\"effect\":\"NoSchedule\",\"key\":\"example.com/dedicated\"}":{".":{},"f:key":{},"f:effect":{},"f:value":{}},
    "k:{\"effect\":\"NoExecute\",\"key\":\"example.com/dedicated\"}":{".":{},"f:key":{},"f:effect":{}}}}}`

	appliedHostStatus = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Host
metadata: {name: owned}
status:
  capacity: {cpu: "4", example.com/gpu: "1"}
  addresses: [{type: InternalIP, address: 192.0.2.1}]
  conditions:
  - {type: Ready, status: "True", reason: Tested, message: "", lastTransitionTime: "2024-01-01T00:00:00Z"}
  info: {operatingSystem: linux}
`
	appliedHostStatusFields = `{
"f:status":{
  "f:capacity":{"f:cpu":{},"f:example.com/gpu":{}},
  "f:addresses":{},
  "f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:type":{},"f:status":{},"f:reason":{},"f:message":{},"f:lastTransitionTime":{}}},
  "f:info":{"f:operatingSystem":{}}}}`

	appliedLease = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: HostLease
metadata: {name: owned}
spec: {holderIdentity: owned, renewTime: "2024-01-01T00:00:00.000000Z"}
`
	appliedLeaseFields = `{"f:spec":{"f:holderIdentity":{},"f:renewTime":{}}}`

	appliedInstance = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Instance
metadata: {name: owned}
spec:
  containers:
  - name: web
    image: web:1
    command: [web]
    env: [{name: LOG_LEVEL, value: info}, {name: EMPTY}]
    ports: [{containerPort: 80, name: http}, {containerPort: 53, protocol: UDP}]
    resources: {requests: {cpu: 500m}}
  - {name: log, image: log:1}
  hostSelector: {zone: a}
  tolerations: [{operator: Exists}]
`
	appliedInstanceFields = `{
"f:spec":{
  "f:containers":{
    "k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:image":{},"f:command":{},
      "f:env":{
        "k:{\"name\":\"LOG_LEVEL\"}":{".":{},"f:name":{},"f:value":{}},
        "k:{\"name\":\"EMPTY\"}":{".":{},"f:name":{}}},
      "f:ports":{
        "k:{\"containerPort\":80,\"protocol\":\"TCP\"}":{".":{},"f:containerPort":{},"f:name":{}},
        "k:{\"containerPort\":53,\"protocol\":\"UDP\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},
      "f:resources":{"f:requests":{"f:cpu":{}}}},
    "k:{\"name\":\"log\"}":{".":{},"f:name":{},"f:image":{}}},
  "f:hostSelector":{},
  "f:tolerations":{}}}`

	appliedInstanceStatus = `
apiVersion: fleet.gatehouse.dev/v1alpha1
kind: Instance
metadata: {name: owned}
status:
  phase: Running
  conditions:
  - {type: Ready, status: "True", reason: Tested, message: "", lastTransitionTime: "2024-01-01T00:00:00Z"}
  containerStatuses:
  - {name: web, ready: true, restartCount: 1, state: {running: {startedAt: "2024-01-01T00:00:00Z"}}}
`
	appliedInstanceStatusFields = `{
"f:status":{
  "f:phase":{},
  "f:conditions":{"k:{\"type\":\"Ready\"}":{".":{},"f:type":{},"f:status":{},"f:reason":{},"f:message":{},"f:lastTransitionTime":{}}},
  "f:containerStatuses":{"k:{\"name\":\"web\"}":{".":{},"f:name":{},"f:ready":{},"f:restartCount":{},"f:state":{"f:running":{"f:startedAt":{}}}}}}}`
)
