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

// Package resourcequota refuses objects that exceed a resource quota of their namespace.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md), in both modes, and the last of
// it: a charge reduces the quota of others, so only a request that all other plugins accept is
// charged. Read Validate.
//
// The evaluator of k8s.io/apiserver computes the charge, as in a kube-apiserver. It writes the new
// sum into the quota's status before the object is stored, and the write fails after any other
// write, so that several servers never grant the same quota twice. The plugin never reduces the
// sum: pkg/controller/quota counts the stored objects.
package resourcequota
