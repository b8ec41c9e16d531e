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

package main

import "testing"

// TestTheModelFindsWhatIsLost proves that the program detects losses: each row is a history after
// which an object is stored in a state.
func TestTheModelFindsWhatIsLost(t *testing.T) {
	type step struct{ what, state string }
	for _, tc := range []struct {
		name   string
		steps  []step
		stored string
		lost   bool
	}{
		{"an acknowledged create is there", []step{{"acknowledged", "1"}}, "1", false},
		{"an acknowledged create is gone", []step{{"acknowledged", "1"}}, absent, true},
		{"an acknowledged update was undone", []step{{"acknowledged", "1"}, {"acknowledged", "2"}}, "1", true},
		{"an acknowledged delete was undone", []step{{"acknowledged", "1"}, {"acknowledged", absent}}, "1", true},
		{"an update without an answer was done", []step{{"acknowledged", "1"}, {"uncertain", "2"}}, "2", false},
		{"an update without an answer was not done", []step{{"acknowledged", "1"}, {"uncertain", "2"}}, "1", false},
		{"an update without an answer does not allow another state", []step{{"acknowledged", "1"}, {"uncertain", "2"}}, "3", true},
		{"one of several without an answer was done", []step{{"acknowledged", "1"}, {"uncertain", "2"}, {"uncertain", absent}}, absent, false},
		{"what is acknowledged later settles what was uncertain", []step{{"uncertain", "1"}, {"acknowledged", "2"}}, "1", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newModel()
			for _, s := range tc.steps {
				if s.what == "acknowledged" {
					m.acknowledge("a", s.state)
				} else {
					m.uncertain("a", s.state)
				}
			}
			m.saw("a", tc.stored)
			if tc.stored == absent {
				m.settle(map[string]string{})
			} else {
				m.settle(map[string]string{"a": tc.stored})
			}
			if (len(m.lost) > 0) != tc.lost || (len(m.wrong) > 0) != tc.lost {
				t.Errorf("lost %v, wrong %v", m.lost, m.wrong)
			}
		})
	}
}

func TestAValueThatWasNotWrittenIsFound(t *testing.T) {
	m := newModel()
	if m.settle(map[string]string{"a": "1"}); len(m.lost) != 1 {
		t.Errorf("got %v", m.lost)
	}
}
