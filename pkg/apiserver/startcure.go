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

package apiserver

import (
	"net/http"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// mayCure reports whether an administrator's request passes before the start is over. A damaged stored
// object prevents its kind from being read, and so the end of the start: an administrator must be
// able to delete it. Members of system:masters with a client certificate are authenticated and
// authorized without stored objects; admission needs them and refuses what it cannot decide yet.
func mayCure(authenticate authenticator.Request) func(*http.Request) bool {
	return func(r *http.Request) bool {
		if r.Method != http.MethodGet && r.Method != http.MethodDelete || r.TLS == nil || len(r.TLS.PeerCertificates) == 0 || r.Header.Get("Authorization") != "" {
			return false
		}
		for name := range r.Header {
			if strings.HasPrefix(name, "Impersonate-") {
				return false // the right to impersonate depends on roles
			}
		}
		// Authenticators remove headers.
		response, ok, err := authenticate.AuthenticateRequest(r.Clone(r.Context()))
		return err == nil && ok && slices.Contains(response.User.GetGroups(), user.SystemPrivilegedGroup)
	}
}
