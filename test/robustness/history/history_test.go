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

package history

import (
	"math/rand/v2"
	"testing"
	"time"
)

// at returns an operation between two times in milliseconds.
func at(call, end int, o Operation) Operation {
	o.Key = "k"
	o.Call, o.Return = time.Duration(call)*time.Millisecond, time.Duration(end)*time.Millisecond
	return o
}

func created(value string, revision int64) Operation {
	return Operation{Kind: Create, Value: value, Revision: revision, Outcome: OK}
}

func updated(basis, value string, revision int64) Operation {
	return Operation{Kind: Update, Basis: basis, Value: value, Revision: revision, Outcome: OK}
}

func deleted(basis string) Operation { return Operation{Kind: Delete, Basis: basis, Outcome: OK} }

func read(value string, revision int64) Operation {
	return Operation{Kind: Get, Value: value, Revision: revision, Outcome: OK}
}

func with(outcome Outcome, o Operation) Operation {
	o.Outcome, o.Revision = outcome, 0
	return o
}

func TestHistoriesAreLinearizableOrNot(t *testing.T) {
	for _, tc := range []struct {
		name     string
		history  []Operation
		rewrites bool
		sound    bool
	}{{
		name: "writes one after the other",
		history: []Operation{
			at(0, 1, created("a", 1)), at(2, 3, updated("a", "b", 2)), at(4, 5, read("b", 2)), at(6, 7, deleted("b")), at(8, 9, read("", 0)),
			at(10, 11, created("c", 4)),
		},
		sound: true,
	}, {
		name:    "a read of a write that is in progress",
		history: []Operation{at(0, 9, created("a", 1)), at(1, 2, read("a", 1)), at(3, 4, read("a", 1))},
		sound:   true,
	}, {
		name:    "a stale read",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, updated("a", "b", 2)), at(4, 5, read("a", 1))},
	}, {
		name:    "a read that goes back while a write is in progress",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 9, updated("a", "b", 2)), at(3, 4, read("b", 2)), at(5, 6, read("a", 1))},
	}, {
		name:    "two updates of the same version",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 9, updated("a", "b", 2)), at(2, 9, updated("a", "c", 3))},
	}, {
		name:    "a second create without a delete",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, created("b", 2))},
	}, {
		name:    "a create that is refused because of an object that is not there",
		history: []Operation{at(0, 1, with(Exists, created("a", 0)))},
	}, {
		name:    "a conflict without a reason",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Conflict, updated("a", "b", 0)))},
	}, {
		name:    "a conflict with a reason",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, updated("a", "b", 2)), at(4, 5, with(Conflict, updated("a", "c", 0)))},
		sound:   true,
	}, {
		name:    "a conflict with a rewrite",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Conflict, updated("a", "b", 0))), at(4, 5, read("a", 2))}, rewrites: true,
		sound: true,
	}, {
		name:    "an acknowledged write is lost",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, updated("a", "b", 2)), at(4, 5, read("", 0))},
	}, {
		name:    "a write without an answer has happened",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Unknown, updated("a", "b", 0))), at(4, 5, read("b", 2))},
		sound:   true,
	}, {
		name:    "a write without an answer happens later",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Unknown, updated("a", "b", 0))), at(4, 5, read("a", 1)), at(6, 7, read("b", 2))},
		sound:   true,
	}, {
		name:    "a write without an answer has never happened",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Unknown, updated("a", "b", 0))), at(4, 5, updated("a", "c", 2)), at(6, 7, read("c", 2))},
		sound:   true,
	}, {
		name:    "a write without an answer happens against its condition",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Unknown, updated("a", "b", 0))), at(4, 5, updated("a", "c", 2)), at(6, 7, read("b", 3))},
	}, {
		name:    "a delete without an answer has happened",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Unknown, deleted("a"))), at(4, 5, read("", 0)), at(6, 7, created("b", 3))},
		sound:   true,
	}, {
		name:    "a resource version goes back",
		history: []Operation{at(0, 1, created("a", 5)), at(2, 3, updated("a", "b", 4))},
	}, {
		name:    "a refused request has had an effect",
		history: []Operation{at(0, 1, created("a", 1)), at(2, 3, with(Refused, updated("a", "b", 0))), at(4, 5, read("b", 2))},
	}} {
		t.Run(tc.name, func(t *testing.T) {
			if violations := Check(tc.history, tc.rewrites, time.Minute); (len(violations) == 0) != tc.sound {
				t.Errorf("the violations are %q, and sound is %v", violations, tc.sound)
			}
		})
	}
}

func TestLostWritesAreThoseThatNothingHasReplaced(t *testing.T) {
	for _, tc := range []struct {
		name    string
		history []Operation
		final   string
		lost    int
	}{
		{"the last write is there", []Operation{created("a", 1), updated("a", "b", 2)}, "b", 0},
		{"a write without an answer is there", []Operation{created("a", 1), with(Unknown, updated("a", "b", 0))}, "b", 0},
		{"two acknowledged writes are not there", []Operation{created("b", 2), updated("b", "c", 3), updated("b", "d", 4)}, "b", 2},
		{"the history goes on from an older version", []Operation{created("b", 2), updated("b", "c", 3), updated("b", "d", 3)}, "d", 1},
		{"the object is deleted", []Operation{created("a", 1), deleted("a")}, "", 0},
		{"the object may be deleted", []Operation{created("a", 1), with(Unknown, deleted("a"))}, "", 0},
		{"the object is missing", []Operation{created("a", 1)}, "", 1},
		{"a delete was refused, and the object is missing", []Operation{created("a", 1), with(Conflict, deleted("a"))}, "", 1},
		{"a delete has not happened", []Operation{created("b", 2), deleted("b")}, "b", 1},
		{"a deleted object is updated", []Operation{created("b", 2), deleted("b"), updated("b", "c", 4)}, "c", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			final := map[string]Operation{}
			if tc.final != "" {
				final["k"] = Operation{Value: tc.final}
			}
			for i := range tc.history {
				tc.history[i].Key = "k"
			}
			if lines := Lost(tc.history, final); len(lines) != tc.lost {
				t.Errorf("want %d lost writes: %q", tc.lost, lines)
			}
		})
	}
}

func TestTheLongestGapBeginsAndEndsWithTheRange(t *testing.T) {
	history := []Operation{at(0, 10, created("a", 1)), at(0, 50, updated("a", "b", 2)), at(0, 60, read("b", 2)), at(0, 400, created("c", 3))}
	for _, tc := range []struct {
		name           string
		from, to, want time.Duration
	}{
		{"between two writes", 5, 100, 50},
		{"before the first one", 0, 12, 10},
		{"after the last one", 20, 300, 250},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := LongestGap(history, tc.from*time.Millisecond, tc.to*time.Millisecond, (*Operation).AcknowledgedWrite)
			if got != tc.want*time.Millisecond {
				t.Errorf("the gap is %v, want %v ms", got, int64(tc.want))
			}
		})
	}
}

// A history of one register with concurrent readers is decided in a moment, whatever its length.
func TestLongHistoriesAreDecided(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var history []Operation
	value := ""
	for i := range 3000 {
		next := string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		write := updated(value, next, int64(i+1))
		if i == 0 {
			write = created(next, 1)
		}
		history = append(history, at(10*i, 10*i+5, write), at(10*i+6+random.IntN(2), 10*i+9, read(next, int64(i+1))))
		value = next
	}
	if violations := Check(history, false, time.Minute); len(violations) > 0 {
		t.Error(violations)
	}
}
