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

package authentication

import (
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	"k8s.io/apiserver/pkg/authentication/request/union"
	"k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
)

// HealthPaths are the only paths that answer without knowing the caller.
var HealthPaths = []string{"/healthz", "/livez", "/readyz"}

// Standalone says how the standalone mode gets to know its callers.
type Standalone struct {
	// ClientCA verifies client certificates; it may change while the server runs.
	ClientCA dynamiccertificates.CAContentProvider
}

// NewStandalone recognises callers by client certificate (user = CN, groups = O), and
// health checks without one. Everybody else is a 401.
func NewStandalone(c Standalone) authenticator.Request {
	known := union.New(
		x509.NewDynamic(c.ClientCA.VerifyOptions, x509.CommonNameUserConversion),
	)
	// The group adder stands around what recognises callers and not around anonymous:
	// system:authenticated means somebody proved who they are.
	return union.NewFailOnError(group.NewAuthenticatedGroupAdder(known), anonymousForHealth())
}

// anonymousForHealth lets health checks through. With no condition at all the library's
// authenticator would let everybody through, so the list must never be empty.
func anonymousForHealth() authenticator.Request {
	conditions := make([]apiserver.AnonymousAuthCondition, 0, len(HealthPaths))
	for _, path := range HealthPaths {
		conditions = append(conditions, apiserver.AnonymousAuthCondition{Path: path})
	}
	return anonymous.NewAuthenticator(conditions)
}
