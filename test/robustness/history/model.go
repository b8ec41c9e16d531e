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
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// forever is the return time of a write that may still happen after the run.
const forever = time.Duration(math.MaxInt64)

// state is the object of one key.
type state struct {
	// value is empty without an object.
	value string
	// revision is the highest resource version that the key is known to have had; it stays after a
	// delete.
	revision int64
}

// model returns the behaviour of the API for one key. A write with unknown outcome has its effect where
// its condition holds, and none elsewhere: that it has never happened is the order in which it
// comes after all others. With rewrites, an object may get another resource version without a new
// value, so that any write to it may conflict.
func model(rewrites bool) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return state{} },
		Step: func(before, input, _ any) (bool, any) {
			now, o := before.(state), input.(*Operation)
			next, explained := step(now, o)
			return explained || rewrites && o.Outcome == Conflict && now.value != "", next
		},
	}
}

// step returns the state after an operation, and whether the model explains its response.
func step(now state, o *Operation) (state, bool) {
	possible := possible(now, o)
	switch o.Outcome {
	case OK:
		if !possible {
			return now, false
		}
		return after(now, o)
	case Unknown:
		if !possible {
			return now, true
		}
		next, explained := after(now, o)
		if !explained {
			return now, true
		}
		return next, true
	case Exists:
		return now, now.value != ""
	case NotFound:
		return now, now.value == ""
	case Conflict:
		return now, now.value != "" && !possible
	}
	return now, false
}

// possible reports whether the condition of the operation holds.
func possible(now state, o *Operation) bool {
	switch o.Kind {
	case Create:
		return now.value == ""
	case Update, Delete:
		return now.value != "" && now.value == o.Basis
	}
	return now.value == o.Value
}

// after returns the state after an operation that has happened. Resource versions of a key grow
// with each write, and a read returns that of the object.
func after(now state, o *Operation) (state, bool) {
	switch o.Kind {
	case Get:
		if o.Value != "" && o.Revision < now.revision {
			return now, false
		}
		return state{o.Value, max(now.revision, o.Revision)}, true
	case Delete:
		return state{"", now.revision}, true
	}
	if o.Revision != 0 && o.Revision <= now.revision {
		return now, false
	}
	return state{o.Value, max(now.revision, o.Revision)}, true
}

// String returns the operation and its response in one line.
func (o *Operation) String() string {
	text := fmt.Sprintf("%s %s", o.Kind, o.Key)
	if o.Basis != "" {
		text += fmt.Sprintf(" if %s", o.Basis)
	}
	if o.Value != "" {
		text += " = " + o.Value
	}
	text += ": " + string(o.Outcome)
	if o.Revision != 0 {
		text += fmt.Sprintf(" at %d", o.Revision)
	}
	if o.Detail != "" && o.Outcome != OK {
		text += " (" + o.Detail + ")"
	}
	return text
}

// Check returns a violation for each key whose operations no order explains. The timeout bounds the
// search for one key; a search that does not end is a violation, too, because it proves nothing.
func Check(operations []Operation, rewrites bool, timeout time.Duration) []string {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range decidable(operations) {
		byKey[o.Key] = append(byKey[o.Key], porcupine.Operation{ClientId: o.Client, Input: o, Call: int64(o.Call), Return: int64(o.Return)})
	}
	var violations []string
	for key, history := range byKey {
		switch result, info := porcupine.CheckOperationsVerbose(model(rewrites), history, timeout); result {
		case porcupine.Illegal:
			violations = append(violations, fmt.Sprintf("%s is not linearizable: %s", key, stuck(history, info)))
		case porcupine.Unknown:
			violations = append(violations, fmt.Sprintf("%s: linearizability of %d operations is not decided after %v", key, len(history), timeout))
		}
	}
	slices.Sort(violations)
	return violations
}

// stuck describes the operations around the place where the longest explained order ends.
func stuck(history []porcupine.Operation, info porcupine.LinearizationInfo) string {
	explained := map[int]bool{}
	var last []int
	for _, partials := range info.PartialLinearizations() {
		for _, order := range partials {
			if len(order) > len(last) {
				last = order
			}
		}
	}
	for _, at := range last {
		explained[at] = true
	}
	var lines []string
	for _, at := range last[max(0, len(last)-3):] {
		lines = append(lines, "explained: "+describe(history[at]))
	}
	var rest []porcupine.Operation
	for at := range history {
		if !explained[at] && history[at].Return != int64(forever) {
			rest = append(rest, history[at])
		}
	}
	slices.SortFunc(rest, func(a, b porcupine.Operation) int { return int(a.Return - b.Return) })
	for _, o := range rest[:min(3, len(rest))] {
		lines = append(lines, "not explained: "+describe(o))
	}
	return strings.Join(lines, "; ")
}

func describe(o porcupine.Operation) string {
	operation := o.Input.(*Operation)
	return fmt.Sprintf("[%v to %v, client %d at %s] %s", operation.Call.Round(time.Millisecond), operation.Return.Round(time.Millisecond),
		operation.Client, operation.Server, operation)
}

// decidable returns the operations that say something about the objects, with the times between
// which they took effect. A create or update without an answer whose value was never read and is
// nowhere the basis of another write has had no effect that could be seen: values are unique, and
// the final objects are read. One that was read has happened before the response of that read. The
// bound keeps the search short.
func decidable(operations []Operation) []*Operation {
	seen := map[string]time.Duration{}
	see := func(key, value string, at time.Duration) {
		if earlier, ok := seen[key+"/"+value]; value != "" && (!ok || at < earlier) {
			seen[key+"/"+value] = at
		}
	}
	for i := range operations {
		switch o := &operations[i]; {
		case o.Outcome == OK && o.Kind == Get:
			see(o.Key, o.Value, o.Return)
		case o.Outcome == OK && o.Basis != "":
			see(o.Key, o.Basis, o.Return)
		}
	}
	var result []*Operation
	for _, o := range operations {
		switch {
		case o.Outcome == Refused, o.Outcome == Unknown && o.Kind == Get:
			continue
		case o.Outcome == Unknown && o.Kind == Delete:
			o.Return = forever
		case o.Outcome == Unknown:
			at, ok := seen[o.Key+"/"+o.Value]
			if !ok {
				continue
			}
			o.Return = at
		}
		result = append(result, &o)
	}
	return result
}
