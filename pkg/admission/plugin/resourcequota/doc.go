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

// Package resourcequota refuses what a namespace's resource quotas have no room for.
//
// Part of stop 3 of the request's path (see ARCHITECTURE.md), in both modes, and the last of
// it: what is charged is taken from others, so only a request that everybody else let pass
// may be charged. Read Validate.
//
// What to charge is decided by the evaluator of k8s.io/apiserver, as in a kube-apiserver. It
// writes the new sum into the quota's status before the object is stored, and the write
// fails if anybody else wrote in between, so that several servers never give the same room
// away twice. Nothing is given back here: pkg/controller/quota counts what there is.
package resourcequota
