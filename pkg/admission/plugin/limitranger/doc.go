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

// Package limitranger applies the limit ranges of a namespace to the instances that are created in
// it. It sets absent requests and limits of containers to the defaults, and refuses what is outside
// of the bounds: of a container by the type Container, and of the sum over all containers by the
// type Pod. The rules are those of Kubernetes' plugin of this name for pods.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md), in both modes: a standalone server
// stores the limit ranges itself, and a cluster has its own. Read Admit, Validate and check.
package limitranger
