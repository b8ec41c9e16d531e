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

// Package authentication registers the kinds of authentication.k8s.io: reviews of identities and
// requests for tokens. None is stored. The hub is the external type, k8s.io/api/authentication/v1.
//
// Stage 4 of the request path (see ARCHITECTURE.md). TokenRequest is the body of
// serviceaccounts/token, and of instances/token in both modes, so it can be registered by
// itself. Read register.go first.
package authentication
