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

// Package revocation refuses requests with revoked certificates.
//
// Part of stage 1 of the request's path (see ARCHITECTURE.md). A ConfigMap with a well-known name
// has, for each revoked host, the time from which new certificates are valid, and the serial numbers
// of revoked certificates of users. A standalone server reads it in its own API, and one behind a
// kube-apiserver in the cluster's. Apply wraps the authenticator in a List. `gatehouse host revoke`
// and `gatehouse user revoke` write the ConfigMap. Read List first.
package revocation
