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

// Package quota counts what resource quotas limit, and keeps their status up to date.
//
// Stage 6 of the request's path (see ARCHITECTURE.md). Admission charges a quota for a request
// before the object is stored (pkg/admission/plugin/resourcequota). It never subtracts, and a
// server that crashes in between leaves a charge without an object. This controller subtracts
// what is deleted or has ended, and corrects errors. Read decide, and account for how long a
// charge counts.
//
// In a cluster kube-controller-manager does the same for counts; there this controller counts
// only the sums. Neither changes what the other counts.
package quota
