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

// Package certificates is a side room of the request's path: it makes and keeps
// the certificates with which a standalone server introduces itself and by which
// its first administrator is known. Only cmd/gatehouse/app calls it, before the
// server listens (Ensure), while it runs (Renewer) and to hand out credentials
// (Kubeconfig, IssueClient).
//
// Read Ensure first; store.go then tells how a pair of files is replaced so that
// a crash at any moment leaves a pair that matches.
//
// Everything is ECDSA P-256: a key costs microseconds, where RSA costs up to
// hundreds of milliseconds of a start that aims at a quarter of a second.
//
// The room does not lock its directory. The caller holds the lock of the data
// directory before Ensure and for as long as a Renewer runs.
package certificates
