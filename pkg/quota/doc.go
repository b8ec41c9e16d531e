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

// Package quota defines what resource quotas can limit and how much of it an object uses.
//
// Two packages must agree on that exactly: stage 3 of the request's path (see ARCHITECTURE.md)
// charges what a request would use (pkg/admission/plugin/resourcequota), and a controller counts
// the existing objects (pkg/controller/quota). Neither may import the other, and this package
// depends on neither hub types nor versions. Read Usage.
package quota
