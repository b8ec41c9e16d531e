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

// Package structured authenticates JSON Web Tokens of the issuers in a file: the
// AuthenticationConfiguration (apiserver.config.k8s.io/v1) of --authentication-config.
//
// Part of stage 1 of the request's path (see ARCHITECTURE.md). pkg/authentication puts an Authenticator
// behind service accounts. Tokens are verified by k8s.io/apiserver's OIDC authenticator, one for each
// issuer, and issuers are replaced one by one when the file changes. `gatehouse auth check` calls Check.
// Read Authenticator.AuthenticateToken first, then Authenticator.apply.
package structured
