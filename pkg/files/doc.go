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

// Package files checks which directories and files of this machine can be trusted, and opens them
// without following symbolic links.
//
// A user that may write to the data directory is an administrator of the server: the authority that
// signs client certificates and the database are there. The rules are those of sshd's StrictModes
// and of sudo: a trusted file belongs to the user of the process or to root, is not a link, and no
// other user may replace it by writing to a directory above it. Extended ACLs are not checked.
//
// Read Directory first.
package files
