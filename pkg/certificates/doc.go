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

// Package certificates creates and renews the authority of the server, its serving certificate and
// the client certificate of its first administrator: before the server listens (Ensure), while it
// runs (Renewer), and for credentials of users and hosts (Kubeconfig, IssueClient).
//
// Read Ensure first; store.go replaces pairs of files so that a crash at any moment leaves a pair
// that matches.
//
// Everything is ECDSA P-256: a key costs microseconds, where RSA costs up to
// hundreds of milliseconds of a start that aims at a quarter of a second.
//
// The package does not lock its directory. The caller holds the lock of the data directory before
// Ensure and while a Renewer runs.
package certificates
