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

package diagnostics

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// UISession asks for a link to the page of a server.
type UISession struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	Spec   UISessionSpec
	Status UISessionStatus
}

// UISessionSpec has the hash of the secret of a link.
type UISessionSpec struct {
	SecretHash string
}

// UISessionStatus has the address of the page.
type UISessionStatus struct {
	URL                 string
	Username            string
	ExpirationTimestamp metav1.Time
}
