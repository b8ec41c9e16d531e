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

// Command bench measures the real binary from outside: how fast it starts, how many writes
// it handles, and the cost of an event with thousands of watches. It starts bin/gatehouse on temporary
// data directories and free ports of the loopback interface, uses the real kubectl, and
// prints markdown tables together with the machine, the command and the settings, as
// docs/performance.md has them.
//
//	start        start.go                how long from exec to ready and to the first object
//	write        write.go, rawetcd.go    creates and status patches, beside etcd without us
//	watch        watch.go, stream.go     CPU and latency of an event, with few and many watches
//	aggregated   aggregated*.go     the way through a kube-apiserver, beside direct access
//	peers        peers*.go               the same load on a kube-apiserver with etcd, by ratios
//	fleet        fleet*.go           apps on a thousand simulated hosts, their controllers and scheduler
//
// The load generator shares the machine with the server. So every table compares
// measurements of one run, and ratios are more meaningful than absolute numbers.
package main
