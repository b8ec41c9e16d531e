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
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/selfsubjectreview"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenreview"
)

// NewStorage builds the endpoints of the group, by version and path. tokens knows callers by
// their token, and audiences are the names of this server.
func NewStorage(tokens authenticator.Token, audiences authenticator.Audiences) map[string]map[string]rest.Storage {
	return map[string]map[string]rest.Storage{
		authenticationv1.SchemeGroupVersion.Version: {
			"selfsubjectreviews": selfsubjectreview.NewREST(),
			"tokenreviews":       tokenreview.NewREST(tokens, audiences),
		},
	}
}
