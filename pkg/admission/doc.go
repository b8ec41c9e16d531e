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

// Package admission builds the chain of admission plugins, which decides whether an authorized
// write is accepted.
//
// Stage 3 of the request's path (see ARCHITECTURE.md): mutating plugins, then validation
// (stage 4), then validating plugins. Reads skip admission. cmd/gatehouse/app builds the chain
// once. Read Plugins, then New.
package admission
