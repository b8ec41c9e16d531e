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

// Reference names an object and says which one of that name it is.
type Reference struct {
	Name string    `json:"name,omitempty"`
	UID  types.UID `json:"uid,omitempty"`
}

// ReferenceTo is a reference to an object as it is now.
func ReferenceTo(object metav1.Object) *Reference {
	return &Reference{Name: object.GetName(), UID: object.GetUID()}
}

// claims are everything that a token says.
type claims struct {
	jwt.Claims
	private
}

// private are the claims that are not registered for everybody.
type private struct {
	Kubernetes kubernetes `json:"kubernetes.io"`
}

type kubernetes struct {
	Namespace      string     `json:"namespace,omitempty"`
	ServiceAccount Reference  `json:"serviceaccount"`
	Secret         *Reference `json:"secret,omitempty"`
	Instance       *Reference `json:"instance,omitempty"`

	// What Kubernetes binds tokens to and this server does not serve. A token that is bound
	// to any of it was not issued here; it is read in order to be refused.
	Pod               *Reference `json:"pod,omitempty"`
	Node              *Reference `json:"node,omitempty"`
	ValidatingWebhook *Reference `json:"validatingwebhookconfiguration,omitempty"`
	MutatingWebhook   *Reference `json:"mutatingwebhookconfiguration,omitempty"`
}

// foreign is the kind of an object that this server does not serve, and that the token is
// bound to; none where empty.
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
