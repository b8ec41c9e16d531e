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

// Package kstatus holds no code but tests: kstatus (sigs.k8s.io/cli-utils), by which Helm, Flux,
// kapp and others wait, calls objects of the fleet what they are, from the moment they are created,
// and its poller ends the wait of Flux when an App is healthy or cannot become so.
// It is a module of its own, so that what cli-utils wants raises no version of the product's.
package kstatus
