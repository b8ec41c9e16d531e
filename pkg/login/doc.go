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

// Package login logs a user in at an OpenID Connect provider, for kubectl: it is the logic of
// "gatehouse user login", an exec credential plugin (client.authentication.k8s.io/v1), and of
// "gatehouse kubeconfig --oidc", which writes a kubeconfig with it.
//
// A login is an authorization code flow with PKCE and a redirect to the loopback interface (RFC 8252), or a
// device flow (RFC 8628). The ID token is what the server gets. It is verified here as well, and cached
// with the refresh token. Processes that need the same login wait for the one that performs it.
//
// Tokens, codes and secrets are neither in messages nor in arguments of processes. Text of the provider is
// printed without control characters.
//
// Read Options.Credential first.
package login
