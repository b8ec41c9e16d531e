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

// Package ui serves the page: what a browser shows of a Gatehouse.
//
// Handler serves below /ui/, for the proxy of `kubectl gatehouse ui` and for the server itself. A link
// with a one-time secret starts a session (Sessions), which has an Owner: a transport that sends
// requests to the API server as the user. The browser never holds credentials of the API. A session
// reads: /ui/api/ passes a GET on, and /ui/stream follows several collections in one response, because
// a browser has six connections for one origin. Headers of the browser do not reach the API server.
// Read Handler.ServeHTTP first.
package ui
