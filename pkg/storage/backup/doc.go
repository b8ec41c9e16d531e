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

// Package backup makes backups of the objects and keys of a server, verifies them, keeps a number of them, and restores
// one into a new data directory.
//
// A backup is one file, a tar compressed by zstd, with these parts:
//
//	manifest.json   what the backup holds: revision, hash, objects by resource, versions, and a SHA-256 of each other part
//	keys.age        the keys and certificates of the server, and the keys of encryption at rest, encrypted to the recovery key
//	etcd.db         a snapshot of etcd, as "etcdctl snapshot save" writes it
//
// Read Maker.Make, Open and Restore. The decoder of stored objects is an input, because this package knows no kinds.
package backup
