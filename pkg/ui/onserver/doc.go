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

// Package onserver serves the page on an address of the server.
//
// A UISession makes a link for its creator (Page.Offer), and the link starts a session of a browser.
// A session sends its requests through the server's own port with a token of this process, for which
// Page.authenticate returns the creator: authorization, flow control and traces are those of every
// request. The credentials with which the link was made are authenticated again during the session, which
// ends if they are revoked or have expired. Read Apply first.
package onserver
