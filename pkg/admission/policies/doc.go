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

// Package policies registers the library's plugins of admission policies, and reports what they decide about each
// policy: whether it was evaluated, which of its matchConditions was false, and which fields it changed.
//
// It is part of stage 3 of a request's path. The library evaluates policies and reports none of this, so this
// package compiles them with the library's compilers, and puts observers around the matchers and the patchers.
// pkg/admission passes the result to the trace of the request.
package policies
