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

// Package tracing exports spans of requests by OTLP, with the library's provider and configuration file
// (TracingConfiguration): --tracing-config-file.
//
// Spans surround the request's path (see ARCHITECTURE.md): the library's filters start them after
// authentication. pkg/server calls Apply, and gives Transport to the clients of webhooks and of a cluster.
// pkg/storage adds the calls of an etcd in this process. Read Apply.
package tracing
