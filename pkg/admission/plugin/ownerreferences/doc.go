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

// Package ownerreferences limits changes of owner references to the caller's rights on the object and
// its owner: it is OwnerReferencesPermissionEnforcement of Kubernetes. Without it
// a caller that may write an object could have the garbage collector delete it, or block the
// deletion of an owner that the caller may not write.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md). Read Plugin.Validate.
package ownerreferences
