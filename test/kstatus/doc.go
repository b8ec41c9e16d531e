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

// Package kstatus contains only tests: kstatus (sigs.k8s.io/cli-utils), which Helm, Flux,
// kapp and others use to wait, computes the correct status of objects of the fleet from their creation on,
// and its poller ends the wait of Flux when an App is healthy or cannot become so.
// It is a separate module, so that cli-utils does not raise versions of the product.
package kstatus
