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

// Package oidc contains only tests: users log in at an OpenID Connect provider, which is the example server of a
// certified library (github.com/zitadel/oidc), by `gatehouse user login` in kubectl, and the server has the
// provider in its --authentication-config. Tokens that the provider does not make are signed with its keys.
// It is a separate module, so that the library does not raise versions of the product.
package oidc
