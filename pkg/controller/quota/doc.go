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

// Package quota counts what resource quotas limit, and keeps their status true.
//
// Stop 6 of the request's path (see ARCHITECTURE.md). Admission adds to a quota what it is
// about to let in, before it is stored (pkg/admission/plugin/resourcequota). It never takes
// anything back, and a server that dies in between leaves behind a charge for nothing. So
// this controller gives back what is deleted or has ended, and mends what is wrong. Read
// decide, and account for what is believed when.
//
// In a cluster kube-controller-manager does the same for counts; there only the sums, which it
// does not know, are counted here. Each leaves alone what the other counts.
package quota
