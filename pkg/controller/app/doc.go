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

// Package app creates a release of each version of an app and moves the app's instances from the
// old releases to the newest. Its decisions are those of Kubernetes' deployment controller
// (k8s.io/kubernetes pkg/controller/deployment); test/upstream/app compares the two.
//
// Stage 6 of the request's path (see ARCHITECTURE.md): a client like any other. Decisions are
// pure: app and releases in, a Plan out. Read sync, which carries out a plan, then Decide; the
// arithmetic of a rollout is in rolling.go and scaling.go.
package app
