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

import "testing"

func TestQuorum(t *testing.T) {
	for _, c := range []struct{ members, needed, tolerated int }{
		{-1, 0, 0}, {0, 0, 0}, {1, 1, 0}, {2, 2, 0}, {3, 2, 1}, {4, 3, 1}, {5, 3, 2}, {6, 4, 2}, {7, 4, 3},
	} {
		got := QuorumOf(c.members)
		if got.Needed != c.needed || got.Tolerated != c.tolerated {
			t.Errorf("QuorumOf(%d) = %+v, want needed %d and tolerated %d", c.members, got, c.needed, c.tolerated)
		}
	}
}

func TestOnlyAnEvenNumberOfMembersIsWarnedAbout(t *testing.T) {
	for members, want := range map[int]string{
		0: "", 1: "", 3: "", 5: "",
		2: "2 etcd members need a quorum of 2 and tolerate 0 failures, as 1 does with one machine fewer that can fail: use 1 member, or 3 to tolerate 1 failure",
		4: "4 etcd members need a quorum of 3 and tolerate 1 failure, as 3 do with one machine fewer that can fail: use 3 members, or 5 to tolerate 2 failures",
		6: "6 etcd members need a quorum of 4 and tolerate 2 failures, as 5 do with one machine fewer that can fail: use 5 members, or 7 to tolerate 3 failures",
	} {
		if got := QuorumOf(members).Warning(); got != want {
			t.Errorf("%d members:\n got %q\nwant %q", members, got, want)
		}
	}
}

func TestAnEndpointNamedTwiceCountsOnce(t *testing.T) {
	if got := DistinctEndpoints([]string{"https://a:2379", "https://b:2379", "https://a:2379"}); got != 2 {
		t.Errorf("got %d, want 2", got)
	}
}
