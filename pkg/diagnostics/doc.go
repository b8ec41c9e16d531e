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

// Package diagnostics records what each gate of the server says about a request.
//
// It accompanies stages 1 to 5 of the request's path (see ARCHITECTURE.md): Recorder.Wrap makes a
// Record for each request, outside of the handler chain, and the stages add to the Record in the
// request's context: pkg/authentication, pkg/authorization and pkg/admission from inside, and
// pkg/apiserver around the filters of the library. pkg/registry/diagnostics serves the result.
//
// A request is recorded without formatting; Record.trace makes the API object when a client reads
// it. A Record never contains a body, a token, a header other than User-Agent, or a text of a
// webhook, of a policy or of the validation of a value. Read record.go first.
package diagnostics
