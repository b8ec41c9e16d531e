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

// Package space watches how full the database of etcd is, refuses writes for which there is no space, and makes
// space: by compaction, which drops former versions of objects, and by defragmentation, which shrinks the file.
//
// Server is the part of the API server. Read its doc comment first, and then Server.pass. Etcd is the client of the
// members, which the commands "gatehouse storage" use, too. A database at its quota and a full disk are different
// conditions with different cures, and everything that is reported names the one that applies.
package space
