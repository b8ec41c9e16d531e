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

// Package serviceaccount issues and authenticates the tokens of service accounts.
//
// Stage 1 of the request's path (see ARCHITECTURE.md), in the standalone mode. NewStandalone in
// pkg/authentication/standalone.go uses the Authenticator; the storages of serviceaccounts/token
// and instances/token use Requests, which signs with the Issuer; cmd/gatehouse/app creates all of
// them with the same Keys. Read Authenticator.AuthenticateToken first: it has every reason for
// which a token is refused.
//
// Tokens are JSON Web Tokens with the claims of Kubernetes. A token may be bound to a Secret, or to
// an Instance (which Kubernetes does not have), and is invalid once that object is deleted. There
// are no long-lived tokens in Secrets.
package serviceaccount
