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

package serviceaccount

import (
	"gopkg.in/go-jose/go-jose.v2/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Reference identifies an object by name and UID.
type Reference struct {
	Name string    `json:"name,omitempty"`
	UID  types.UID `json:"uid,omitempty"`
}

// ReferenceTo returns a reference to an object.
func ReferenceTo(object metav1.Object) *Reference {
	return &Reference{Name: object.GetName(), UID: object.GetUID()}
}

// claims are all claims of a token.
type claims struct {
	jwt.Claims
	private
}

// private are the claims that are not registered claims of JWT.
type private struct {
	Kubernetes kubernetes `json:"kubernetes.io"`
}

type kubernetes struct {
	Namespace      string     `json:"namespace,omitempty"`
	ServiceAccount Reference  `json:"serviceaccount"`
	Secret         *Reference `json:"secret,omitempty"`
	Instance       *Reference `json:"instance,omitempty"`

	// Kinds that Kubernetes binds tokens to and that this server does not serve. A token that is
	// bound to one was not issued here; the claim is parsed so that the token is refused.
	Pod               *Reference `json:"pod,omitempty"`
	Node              *Reference `json:"node,omitempty"`
	ValidatingWebhook *Reference `json:"validatingwebhookconfiguration,omitempty"`
	MutatingWebhook   *Reference `json:"mutatingwebhookconfiguration,omitempty"`
}

// foreign returns the kind that the token is bound to if this server does not serve it, or an empty
// string.
func (k *kubernetes) foreign() string {
	switch {
	case k.Pod != nil:
		return "Pod"
	case k.Node != nil:
		return "Node"
	case k.ValidatingWebhook != nil:
		return "ValidatingWebhookConfiguration"
	case k.MutatingWebhook != nil:
		return "MutatingWebhookConfiguration"
	}
	return ""
}
