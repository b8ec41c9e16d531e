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

// Package eventratelimit limits the number of events that a client, a namespace, a source or the server
// may write per second. It accepts the configuration of kube-apiserver's plugin of this name,
// and runs by default with the limits of DefaultConfiguration.
//
// Part of stage 3 of the request's path (see ARCHITECTURE.md), in the standalone mode; in a
// cluster the kube-apiserver serves events. Read Validate.
package eventratelimit
