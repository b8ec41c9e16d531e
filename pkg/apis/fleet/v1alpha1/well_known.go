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

const (
	// TaintHostNotReady is the key of the taint on hosts whose condition Ready is False.
	TaintHostNotReady = "fleet.gatehouse.dev/not-ready"
	// TaintHostUnreachable is the key of the taint on hosts that have not been heard of for
	// too long: their condition Ready is Unknown.
	TaintHostUnreachable = "fleet.gatehouse.dev/unreachable"
	// TaintHostOutOfService is the key of a taint that an operator sets on a host that will
	// not come back by itself: what is being deleted there need not wait for it.
	TaintHostOutOfService = "fleet.gatehouse.dev/out-of-service"
)

const (
	// RevisionAnnotation is on a release the number of the app's revision that it is, and on an
	// app the number of the newest one. It counts up from 1.
	RevisionAnnotation = GroupName + "/revision"
	// RevisionHistoryAnnotation is on a release the earlier numbers of the same template, after
	// the app came back to it; separated by commas.
	RevisionHistoryAnnotation = GroupName + "/revision-history"
	// DesiredReplicasAnnotation is on a release the number of replicas that its app wanted when
	// the release was last scaled.
	DesiredReplicasAnnotation = GroupName + "/desired-replicas"
	// MaxReplicasAnnotation is on a release the most replicas that its app might have had,
	// surge and all, when the release was last scaled.
	MaxReplicasAnnotation = GroupName + "/max-replicas"
	// TemplateHashLabel is on releases and their instances the hash of the template: it keeps
	// the releases of one app from choosing each other's instances.
	TemplateHashLabel = GroupName + "/template-hash"
	// DeletionCostAnnotation is on an instance how dear its deletion is, a whole number: where
	// a release has too many, the cheaper ones go first. 0 where nothing is said.
	DeletionCostAnnotation = GroupName + "/deletion-cost"
)
