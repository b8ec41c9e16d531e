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

package storage

import "fmt"

// Quorum is the number of failures that an etcd cluster tolerates.
type Quorum struct {
	// Members is the number of members.
	Members int
	// Needed is the number of members that must agree before a write is acknowledged.
	Needed int
	// Tolerated is the number of members that may fail before writes stop.
	Tolerated int
}

// QuorumOf returns the quorum of a number of members: more than half of them.
func QuorumOf(members int) Quorum {
	if members < 1 {
		return Quorum{}
	}
	needed := members/2 + 1
	return Quorum{Members: members, Needed: needed, Tolerated: members - needed}
}

// Warning returns one sentence for an even number of members, and an empty string for an odd one.
// The member that makes the number even raises the quorum and not the number of tolerated failures,
// so it only adds a machine that can fail.
func (q Quorum) Warning() string {
	if q.Members < 1 || q.Members%2 == 1 {
		return ""
	}
	fewer, more := QuorumOf(q.Members-1), QuorumOf(q.Members+1)
	return fmt.Sprintf("%s need a quorum of %d and tolerate %s, as %d %s with one machine fewer that can fail: use %s, or %d to tolerate %s",
		plural(q.Members, "etcd member"), q.Needed, plural(q.Tolerated, "failure"), fewer.Members, does(fewer.Members),
		plural(fewer.Members, "member"), more.Members, plural(more.Tolerated, "failure"))
}

// DistinctEndpoints returns the number of different endpoints, which is the number of members if
// each is listed once. Behind a load balancer one endpoint may stand for many members.
func DistinctEndpoints(endpoints []string) int {
	seen := make(map[string]struct{}, len(endpoints))
	for _, endpoint := range endpoints {
		seen[endpoint] = struct{}{}
	}
	return len(seen)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func does(n int) string {
	if n == 1 {
		return "does"
	}
	return "do"
}
