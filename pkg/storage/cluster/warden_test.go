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

package cluster

import "testing"

func TestDeadVotersAreRemovedOnlyWhileTheOthersAreSafe(t *testing.T) {
	for _, c := range []struct {
		name         string
		voters, dead int
		want         bool
	}{
		{"none is dead", 5, 0, false},
		{"one of one", 1, 1, false},
		{"one of two", 2, 1, false},
		{"one of three, which would leave two", 3, 1, false},
		{"one of four, after a replacement", 4, 1, true},
		{"two of four, which are no majority", 4, 2, false},
		{"one of five", 5, 1, true},
		{"two of five", 5, 2, true},
		{"three of five, which are the majority", 5, 3, false},
		{"three of seven", 7, 3, true},
		{"four of seven", 7, 4, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := mayRemoveDead(c.voters, c.dead); got != c.want {
				t.Errorf("mayRemoveDead(%d, %d) = %v, want %v", c.voters, c.dead, got, c.want)
			}
		})
	}
}
