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

// Package tokenrequest has the common code of the token endpoints of service accounts and of instances.
//
// Stage 5 of the request's path (see ARCHITECTURE.md). Read Issuer.
package tokenrequest

import (
	"context"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Issuer processes a TokenRequest for the named service account with a token that this server or
// the cluster signs. RequestToken calls admit, which may be nil, with the complete request. A dry
// run issues no token.
type Issuer interface {
	RequestToken(ctx context.Context, namespace, account string, request *authenticationv1.TokenRequest, admit func(context.Context, runtime.Object) error, dryRun bool) (*authenticationv1.TokenRequest, error)
}

// Endpoint implements the methods that are the same at every token endpoint.
type Endpoint struct{}

var (
	_ rest.Storage                        = Endpoint{}
	_ rest.Scoper                         = Endpoint{}
	_ rest.GroupVersionKindProvider       = Endpoint{}
	_ rest.SubresourceObjectMetaPreserver = Endpoint{}
)

// New returns an empty TokenRequest.
func (Endpoint) New() runtime.Object { return &authenticationv1.TokenRequest{} }

// Destroy does nothing: token requests are not stored.
func (Endpoint) Destroy() {}

// NamespaceScoped is true, as for service accounts and instances.
func (Endpoint) NamespaceScoped() bool { return true }

// GroupVersionKind returns the kind of the endpoint, which belongs to another group than the
// resource.
func (Endpoint) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the request's uid: it is a
// precondition on the account or the instance.
func (Endpoint) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }
