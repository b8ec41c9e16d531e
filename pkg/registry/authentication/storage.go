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
	"errors"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/selfsubjectreview"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenreview"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// StorageProvider builds the endpoints of authentication.k8s.io.
type StorageProvider struct {
	// Tokens processes TokenReviews; it is required. Audiences are those of the server.
	Tokens    authenticator.Token
	Audiences authenticator.Audiences
}

var _ base.StorageProvider = StorageProvider{}

// GroupName implements base.StorageProvider.
func (StorageProvider) GroupName() string { return authenticationv1.GroupName }

// NewStorage implements base.StorageProvider.
func (p StorageProvider) NewStorage(*runtime.Scheme, base.StorageOptions) (base.GroupStorage, error) {
	if p.Tokens == nil {
		return nil, errors.New("TokenReviews cannot be served without an authenticator of tokens")
	}
	return base.GroupStorage{authenticationv1.GroupName: {authenticationv1.SchemeGroupVersion.Version: {
		"selfsubjectreviews": selfsubjectreview.NewREST(),
		"tokenreviews":       tokenreview.NewREST(p.Tokens, p.Audiences),
	}}}, nil
}
