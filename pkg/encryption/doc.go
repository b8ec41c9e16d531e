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

// Package encryption manages the keys of encryption at rest for the command "gatehouse encryption": it
// writes and rotates the file of --encryption-provider-config, waits until servers have loaded it, and
// rewrites stored objects. It is a client: servers encrypt by the library (see pkg/storage.Encryption).
//
// Read Options.Rotate first. The stage of a rotation is derived from the order of the keys in the file,
// which is replaced by a rename, so that a rotation can be killed at any time and continued.
package encryption
