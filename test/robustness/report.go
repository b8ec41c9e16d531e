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

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// shown is the number of violations that the line of a run shows; all are in the JSON.
const shown = 8

// result is the outcome of a run. Times are in nanoseconds.
type result struct {
	Fault  string `json:"fault"`
	Shape  string `json:"cluster"`
	Detail string `json:"detail"`
	Seed   uint64 `json:"seed"`
	// Operations is the number of reads and writes, a list being one read per key.
	Operations   int `json:"operations"`
	Acknowledged int `json:"acknowledgedWrites"`
	// Lost is the number of acknowledged writes that were lost.
	Lost       int      `json:"lostWrites"`
	Violations []string `json:"violations"`
	// Unavailable is the longest time from the begin of the fault without an acknowledged write.
	Unavailable time.Duration `json:"unavailable"`
	// Events, Watches and Relists count what watchers received, opened, and how often the server
	// demanded another list.
	Events  int `json:"events"`
	Watches int `json:"watches"`
	Relists int `json:"relists"`
	// WatchDelay is the longest time from the response of a write to its event.
	WatchDelay time.Duration `json:"watchDelay"`
	Took       time.Duration `json:"took"`
}

// line returns the result in a line, and violations below it.
func (r result) line() string {
	verdict := "ok"
	if len(r.Violations) > 0 {
		verdict = fmt.Sprintf("%d VIOLATIONS", len(r.Violations))
	}
	line := fmt.Sprintf("%s: %s; %d operations, %d acknowledged writes, %d lost, no write for %s, %d events by %d watches, %d relists, %s",
		verdict, r.Detail, r.Operations, r.Acknowledged, r.Lost, short(r.Unavailable), r.Events, r.Watches, r.Relists, short(r.Took))
	for _, violation := range r.Violations[:min(shown, len(r.Violations))] {
		line += "\n    " + violation
	}
	if len(r.Violations) > shown {
		line += fmt.Sprintf("\n    and %d more", len(r.Violations)-shown)
	}
	if len(r.Violations) > 0 {
		line += fmt.Sprintf("\n    repeat it: make test-faults ARGS='-only %s -seed %d -runs 1 -plants=false'", r.Fault, r.Seed)
	}
	return line
}

func short(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

// report is the outcome of all runs.
type report struct {
	// Seed is that of the first run.
	Seed   uint64   `json:"seed"`
	Runs   []result `json:"runs"`
	Plants []result `json:"plants"`
}

func (r *report) add(res result)      { r.Runs = append(r.Runs, res) }
func (r *report) addPlant(res result) { r.Plants = append(r.Plants, res) }

// sound reports whether no run has a violation and every planted defect was found.
func (r *report) sound() bool {
	return !slices.ContainsFunc(r.Runs, func(res result) bool { return len(res.Violations) > 0 }) &&
		!slices.ContainsFunc(r.Plants, func(res result) bool { return len(res.Violations) == 0 })
}

// summary is what the runs of a fault, or all runs, have in common.
type summary struct {
	name                                                     string
	runs, operations, acknowledged, lost, violations, events int
	unavailable                                              []time.Duration
	delay                                                    time.Duration
}

func (s *summary) add(res result) {
	s.runs++
	s.operations += res.Operations
	s.acknowledged += res.Acknowledged
	s.lost += res.Lost
	s.violations += len(res.Violations)
	s.events += res.Events
	s.unavailable = append(s.unavailable, res.Unavailable)
	s.delay = max(s.delay, res.WatchDelay)
}

func (s *summary) row() string {
	slices.Sort(s.unavailable)
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %s | %s | %d | %s |\n", s.name, s.runs, s.operations, s.acknowledged, s.lost, s.violations,
		short(s.unavailable[len(s.unavailable)/2]), short(s.unavailable[len(s.unavailable)-1]), s.events, short(s.delay))
}

// table returns the report as a table in Markdown, a row per fault and cluster.
func (r *report) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seeds %d to %d\n\n", r.Seed, r.Seed+uint64(len(r.Runs))-1)
	b.WriteString("| fault | runs | operations | acknowledged writes | lost | violations | no write for: median | worst | events | latest event |\n")
	b.WriteString("|---|---|---|---|---|---|---|---|---|---|\n")
	byFault := map[string]*summary{}
	all := &summary{name: "all"}
	for _, res := range r.Runs {
		name := res.Fault
		if byFault[name] == nil {
			byFault[name] = &summary{name: name}
		}
		byFault[name].add(res)
		all.add(res)
	}
	names := make([]string, 0, len(byFault))
	for name := range byFault {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(byFault[name].row())
	}
	if all.runs > 0 {
		b.WriteString(all.row())
	}
	if len(r.Plants) > 0 {
		b.WriteString("\n| planted defect | found | by |\n|---|---|---|\n")
	}
	for _, res := range r.Plants {
		found, by := "NO", ""
		if len(res.Violations) > 0 {
			found, by = fmt.Sprintf("%d violations, %d lost writes", len(res.Violations), res.Lost), res.Violations[0]
		}
		fmt.Fprintf(&b, "| %s: %s | %s | %s |\n", res.Fault, res.Detail, found, strings.ReplaceAll(by, "|", "/"))
	}
	return b.String()
}

// save writes the report as JSON.
func (r *report) save(path string) error {
	encoded, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(encoded, '\n'), 0o644)
}
