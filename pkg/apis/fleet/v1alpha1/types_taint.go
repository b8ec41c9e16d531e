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

// TaintEffect is the effect of a taint on instances that do not tolerate it.
// +enum
// +k8s:enum
type TaintEffect string

const (
	// TaintEffectNoSchedule prevents the scheduling of new instances. Existing instances remain.
	TaintEffectNoSchedule TaintEffect = "NoSchedule"
	// TaintEffectNoExecute prevents the scheduling of new instances and evicts existing ones.
	TaintEffectNoExecute TaintEffect = "NoExecute"
)

// Taint repels instances that do not tolerate it from a host.
type Taint struct {
	// key of the taint: a label key, such as fleet.gatehouse.dev/not-ready.
	// +required
	// +k8s:required
	// +k8s:format=k8s-label-key
	Key string `json:"key" protobuf:"bytes,1,opt,name=key"`

	// value of the taint: a label value. May be empty.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-value
	Value string `json:"value,omitempty" protobuf:"bytes,2,opt,name=value"`

	// effect of the taint on instances that do not tolerate it: NoSchedule prevents the
	// scheduling of new instances; NoExecute also evicts existing ones.
	// +required
	// +k8s:required
	Effect TaintEffect `json:"effect" protobuf:"bytes,3,opt,name=effect,casttype=TaintEffect"`
}

// TolerationOperator is the relation between the value of a toleration and that of a taint.
// +enum
// +k8s:enum
type TolerationOperator string

const (
	// TolerationOpExists matches every value.
	TolerationOpExists TolerationOperator = "Exists"
	// TolerationOpEqual matches an equal value only.
	TolerationOpEqual TolerationOperator = "Equal"
)

// Toleration allows an instance to be scheduled on hosts with the taints that it matches.
type Toleration struct {
	// key of the taint. If empty, all keys match, and the operator must be Exists.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-key
	Key string `json:"key,omitempty" protobuf:"bytes,1,opt,name=key"`

	// operator is the relation between the values: Equal or Exists. Defaults to Equal.
	// +optional
	// +k8s:optional
	Operator TolerationOperator `json:"operator,omitempty" protobuf:"bytes,2,opt,name=operator,casttype=TolerationOperator"`

	// value of the taint to match. Must be empty if the operator is Exists.
	// +optional
	// +k8s:optional
	// +k8s:format=k8s-label-value
	Value string `json:"value,omitempty" protobuf:"bytes,3,opt,name=value"`

	// effect of the taint to match. If empty, all effects match.
	// +optional
	// +k8s:optional
	Effect TaintEffect `json:"effect,omitempty" protobuf:"bytes,4,opt,name=effect,casttype=TaintEffect"`

	// tolerationSeconds is the time in seconds for which a NoExecute taint is tolerated. If
	// absent, the taint is tolerated forever; 0 or less evicts immediately. Only allowed with
	// effect NoExecute.
	// +optional
	TolerationSeconds *int64 `json:"tolerationSeconds,omitempty" protobuf:"varint,5,opt,name=tolerationSeconds"`
}
