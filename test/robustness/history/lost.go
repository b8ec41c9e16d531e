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
	"slices"
)

// Lost returns a line for each acknowledged write that the others contradict. Every write but the last
// one of a key is the basis of the write that replaced it: an acknowledged create or update that is
// neither the final object nor the basis of a write that may have happened has been lost. So has a
// delete whose object is there at the end, or the basis of another acknowledged write. final has the
// final object of each key that has one.
func Lost(operations []Operation, final map[string]Operation) []string {
	byKey := map[string][]Operation{}
	for _, o := range operations {
		if o.writes() {
			byKey[o.Key] = append(byKey[o.Key], o)
		}
	}
	var lines []string
	for key, history := range byKey {
		lines = append(lines, lostOf(history, final[key].Value)...)
	}
	slices.Sort(lines)
	return lines
}

// lostOf compares the writes of one key with each other and with the final value, which is empty
// without an object.
func lostOf(writes []Operation, final string) []string {
	// replaced counts the writes per basis, by whether they are acknowledged.
	replaced := map[string]struct{ acknowledged, possible int }{}
	for _, o := range writes {
		if o.Outcome != OK && o.Outcome != Unknown || o.Basis == "" {
			continue
		}
		n := replaced[o.Basis]
		n.possible++
		if o.Outcome == OK {
			n.acknowledged++
		}
		replaced[o.Basis] = n
	}
	var lines []string
	for _, o := range writes {
		switch {
		case !o.AcknowledgedWrite():
		case o.Kind == Delete && (o.Basis == final || replaced[o.Basis].acknowledged > 1):
			lines = append(lines, fmt.Sprintf("the acknowledged write %q is lost: the object was there afterwards", o.String()))
		case o.Kind != Delete && o.Value != final && replaced[o.Value].possible == 0:
			lines = append(lines, fmt.Sprintf("the acknowledged write %q is lost: no write has replaced it, and the object is %q at the end", o.String(), final))
		}
	}
	return lines
}
