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

// Package provision prepares what the containers of a host use besides their images: variables and
// files from ConfigMaps and Secrets, directories, and the token of the service account.
//
// Stage 6 of the request path (see ARCHITECTURE.md): the runtime in runtime/cri calls Manager.Provide
// before it creates a container. The data comes from instances/configuration and instances/token,
// which are open to the bound host only. Read Manager.Provide.
package provision
