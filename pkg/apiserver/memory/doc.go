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

// Package memory keeps the process within a memory limit: it finds the limit of the control group,
// sets the limit of Go's garbage collector, and returns 429 for requests that need more memory than is
// left, so that clients retry them and the process is not killed. Under load it lets the collector run less
// often, as far as the limit allows: read Percent.
package memory
