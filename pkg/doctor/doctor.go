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

package doctor

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Status is the result of a check.
type Status string

// The results, from good to bad.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Broken  Status = "broken"
)

// Exit codes of the command.
const (
	ExitOK      = 0
	ExitWarning = 1
	ExitBroken  = 2
)

// Finding is one line of a report.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Found is what the check has found. It contains no secret.
	Found string `json:"found"`
	// Cure is what to do; empty if nothing is wrong.
	Cure string `json:"cure,omitempty"`
}

// Check is a row of a table of checks.
type Check struct {
	Name string
	// After is a check without which this one makes no sense: it is not run if that one is broken. Empty for none.
	After string
	// Cure is that of findings that name none.
	Cure string
	// Run returns at least one finding. It only reads, and ends with the context.
	Run func(ctx context.Context) []Finding
}

// Report is the result of all checks.
type Report struct {
	Status   Status    `json:"status"`
	Findings []Finding `json:"findings"`
}

// grace is the time in which a check returns after the end of its context. What blocks in the kernel, such as a read of
// a network file system, does not end with a context.
const grace = time.Second

// Run runs the checks one after the other, so that none of them slows another down, each for at most the timeout.
func Run(ctx context.Context, checks []Check, timeout time.Duration) Report {
	report := Report{Status: OK}
	broken := map[string]bool{}
	for _, check := range checks {
		var found []Finding
		if broken[check.After] {
			found = []Finding{warning("cure "+check.After+" first, and run this command again", "not checked, because %s is broken", check.After)}
			broken[check.Name] = true // what comes after this one makes no sense either
		} else {
			found = bounded(ctx, check, timeout)
		}
		for _, f := range found {
			f.Check = check.Name
			if f.Cure == "" && f.Status != OK {
				f.Cure = check.Cure
			}
			if slices.Contains(report.Findings, f) {
				continue // two APIServices of one server
			}
			broken[check.Name] = broken[check.Name] || f.Status == Broken
			report.Status = worse(report.Status, f.Status)
			report.Findings = append(report.Findings, f)
		}
	}
	return report
}

// bounded runs a check, which may hang or panic.
func bounded(ctx context.Context, check Check, timeout time.Duration) []Finding {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := make(chan []Finding, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				// The value may hold what was read, and so a secret.
				done <- []Finding{broken("report this as a bug of gatehouse doctor, with the version of gatehouse", "the check failed with a panic (%T)", r)}
			}
		}()
		done <- check.Run(ctx)
	}()
	select {
	case found := <-done:
		return found
	case <-ctx.Done():
	}
	last := time.NewTimer(grace)
	defer last.Stop()
	select {
	case found := <-done:
		return found
	case <-last.C:
		return []Finding{broken("see whether the disk, the network or the server hangs, or raise --timeout", "the check did not end within %v", timeout)}
	}
}

// ExitCode returns the exit code of a report. Without failOnWarning, a warning is 0.
func (r Report) ExitCode(failOnWarning bool) int {
	switch {
	case r.Status == Broken:
		return ExitBroken
	case r.Status == Warning && failOnWarning:
		return ExitWarning
	}
	return ExitOK
}

func worse(a, b Status) Status {
	order := []Status{OK, Warning, Broken}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}

func ok(found string, args ...any) Finding {
	return Finding{Status: OK, Found: fmt.Sprintf(found, args...)}
}

func warning(cure, found string, args ...any) Finding {
	return Finding{Status: Warning, Cure: cure, Found: fmt.Sprintf(found, args...)}
}

func broken(cure, found string, args ...any) Finding {
	return Finding{Status: Broken, Cure: cure, Found: fmt.Sprintf(found, args...)}
}

// orOK returns the findings, or the one that nothing is wrong.
func orOK(found []Finding, fine string, args ...any) []Finding {
	if len(found) == 0 {
		return []Finding{ok(fine, args...)}
	}
	return found
}
