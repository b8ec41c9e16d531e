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

package v1alpha1

// TaintEffect is what a taint does to instances that do not tolerate it.
// +enum
// +k8s:enum
type TaintEffect string

const (
	// TaintEffectNoSchedule keeps new instances off the host; those already there stay.
	TaintEffectNoSchedule TaintEffect = "NoSchedule"
	// TaintEffectNoExecute keeps new instances off the host and evicts those already there.
	TaintEffectNoExecute TaintEffect = "NoExecute"
)

// Taint keeps instances that do not tolerate it away from a host.
type Taint struct {
	// key names the taint, as a label key: fleet.gatehouse.dev/not-ready.
	// +required
	// +k8s:required
	// +k8s:format=k8s-label-key
	Key string `json:"key" protobuf:"bytes,1,opt,name=key"`

	// value belongs to the key, as a label value. May be empty.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-value
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`

	// effect is what happens to instances that do not tolerate the taint: NoSchedule keeps
	// new ones off, NoExecute also evicts those already there.
	// +required
	// +k8s:required
	Effect TaintEffect `json:"effect" protobuf:"bytes,3,opt,name=effect,casttype=TaintEffect"`
}

// TolerationOperator says how a toleration compares a taint's value with its own.
// +enum
// +k8s:enum
type TolerationOperator string

const (
	// TolerationOpExists matches every value.
	TolerationOpExists TolerationOperator = "Exists"
	// TolerationOpEqual matches the same value only.
	TolerationOpEqual TolerationOperator = "Equal"
)

// Toleration lets an instance onto hosts in spite of the taints that it matches.
type Toleration struct {
	// key is the key of the taint. Empty matches every key, and then the operator must be Exists.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-key
	Key string `json:"key,omitempty" protobuf:"bytes,1,opt,name=key"`

	// operator says how the values are compared: Equal (default) or Exists.
	// +optional
	// +k8s:optional
	Operator TolerationOperator `json:"operator,omitempty" protobuf:"bytes,2,opt,name=operator,casttype=TolerationOperator"`

	// value is the taint's value to match. Must be empty when the operator is Exists.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-value
	Value string `json:"value,omitempty" protobuf:"bytes,3,opt,name=value"`

	// effect is the effect of the taint. Empty matches every effect.
	// +optional
	// +k8s:optional
	Effect TaintEffect `json:"effect,omitempty" protobuf:"bytes,4,opt,name=effect,casttype=TaintEffect"`

	// tolerationSeconds is for how long a NoExecute taint is tolerated, in seconds; absent
	// means forever, zero or less evicts at once. Only with effect NoExecute.
	// +optional
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty" protobuf:"varint,5,opt,name=tolerationSeconds"`
}
