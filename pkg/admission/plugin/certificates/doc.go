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

// Package certificates has the four plugins for certificates.k8s.io, with the names that they have
// in Kubernetes: CertificateApproval and CertificateSigning require rights for the signer that a
// request names, ClusterTrustBundleAttest for the signer of a trust bundle, and
// CertificateSubjectRestriction refuses subjects that no signer of this server may sign. A fifth,
// RevocationRestriction, requires a right for the ConfigMap of revoked certificates.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md). pkg/admission/plugins.go registers them. Read
// Signer.Validate.
package certificates
