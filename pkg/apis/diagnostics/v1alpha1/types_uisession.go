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

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// UISessions is the resource of UI sessions.
const UISessions = "uisessions"

// +genclient
// +genclient:nonNamespaced
// +genclient:onlyVerbs=create
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// UISession asks for a link to the page of a server, which has --ui-listen. It can only be created, and is
// not stored. The client chooses the secret and sends its hash, so that neither the request nor the response
// contains the secret. The link is status.url with the secret in the fragment: URL#secret=SECRET. It starts
// one session, which reads as the user that created the UISession.
type UISession struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata. It has no effect.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty" protobuf:"bytes,1,opt,name=metadata"`

	// spec has the hash of the secret.
	Spec UISessionSpec `json:"spec" protobuf:"bytes,2,opt,name=spec"`

	// status has the address of the page.
	// +optional
	Status UISessionStatus `json:"status,omitempty" protobuf:"bytes,3,opt,name=status"`
}

// UISessionSpec has the hash of the secret of a link.
type UISessionSpec struct {
	// secretHash is the SHA-256 of the secret, as 64 hexadecimal digits in lower case. The secret must be
	// random and have 128 bits of entropy at least.
	SecretHash string `json:"secretHash" protobuf:"bytes,1,opt,name=secretHash"`
}

// UISessionStatus has the address of the page.
type UISessionStatus struct {
	// url is the address of the page, without the secret.
	// +optional
	URL string `json:"url,omitempty" protobuf:"bytes,1,opt,name=url"`

	// username is the user that the session reads as.
	// +optional
	Username string `json:"username,omitempty" protobuf:"bytes,2,opt,name=username"`

	// expirationTimestamp is the time until which the link must be opened.
	// +optional
	ExpirationTimestamp metav1.Time `json:"expirationTimestamp,omitempty" protobuf:"bytes,3,opt,name=expirationTimestamp"`
}
