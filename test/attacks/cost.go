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

package attacks

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// What a unit of an attack may cost a server.
const (
	MaxPeak = 200 << 20
	MaxCPU  = 2 * time.Second
)

// Cost is what a process spent while an attack ran.
type Cost struct {
	// Peak is by how many bytes the largest resident set of the process exceeded the one
	// before the attack.
	Peak int64
	// CPU is the time that the process spent on processors, in user and in system mode. It does
	// not grow on a busy machine, as wall-clock time would.
	CPU time.Duration
}

// ticks is USER_HZ, the unit of times in /proc/PID/stat: 100 on every Linux of our days,
// whatever the kernel's own clock.
const ticks = 100

// Measure runs the attack and returns what it cost the process of the id. It reads the files
// of Linux in /proc/PID and returns an error where they are missing or the process has ended.
func Measure(pid int, attack func()) (Cost, error) {
	// 5 resets VmHWM to the present size: proc(5).
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return Cost{}, err
	}
	before, err := residentBytes(pid, "VmRSS:")
	if err != nil {
		return Cost{}, err
	}
	spent, err := processTime(pid)
	if err != nil {
		return Cost{}, err
	}
	attack()
	peak, err := residentBytes(pid, "VmHWM:")
	if err != nil {
		return Cost{}, err
	}
	now, err := processTime(pid)
	if err != nil {
		return Cost{}, err
	}
	return Cost{Peak: max(peak-before, 0), CPU: now - spent}, nil
}

// Spent returns what the process of the id has cost since it began, where Peak is its largest
// resident set.
func Spent(pid int) (Cost, error) {
	peak, err := residentBytes(pid, "VmHWM:")
	if err != nil {
		return Cost{}, err
	}
	cpu, err := processTime(pid)
	return Cost{Peak: peak, CPU: cpu}, err
}

// residentBytes reads a line of /proc/PID/status that gives a size in kB.
func residentBytes(pid int, name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, found := strings.CutPrefix(line, name); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kilobytes << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s: it has ended", pid, name)
}

// processTime reads utime and stime, the 14th and the 15th field of /proc/PID/stat.
func processTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses, which may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var total time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return 0, err
		}
		total += time.Duration(n) * time.Second / ticks
	}
	return total, nil
}

// Exceeds returns an error where the peak is above MaxPeak, or the processor time above MaxCPU for
// each of so many units.
func (c Cost) Exceeds(units int) error {
	var errs []error
	if c.Peak > MaxPeak {
		errs = append(errs, fmt.Errorf("the resident set grew by %d MiB, more than %d", c.Peak>>20, MaxPeak>>20))
	}
	if most := MaxCPU * time.Duration(units); c.CPU > most {
		errs = append(errs, fmt.Errorf("%v of processor time, more than %v", c.CPU, most))
	}
	return errors.Join(errs...)
}

// Costs collects what attacks cost, as a table.
type Costs struct{ rows []string }

// Add adds a row: the size of the attack, and what the server answered.
func (c *Costs) Add(name, size, answer string, cost Cost) {
	c.rows = append(c.rows, fmt.Sprintf("%s\t%s\t%s\t%.1f MiB\t%v\n", name, size, answer, float64(cost.Peak)/(1<<20), cost.CPU))
}

// Log writes the table to the test's log.
func (c *Costs) Log(t *testing.T) {
	t.Helper()
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "attack\tsize\tanswer\tpeak\tprocessor\n%s", strings.Join(c.rows, ""))
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}

// Measured runs an attack that is one unit and returns what the server answered. Where the process
// of the server is known, it adds the cost to the table, and fails the test where the cost is above
// MaxPeak or MaxCPU.
func (e Env) Measured(t *testing.T, name, size string, attack func() (answer string)) {
	t.Helper()
	e.measuredUnits(t, name, size, 1, attack)
}

// measuredUnits is Measured for an attack of several units, each of which may cost MaxCPU. MaxPeak
// bounds them together.
func (e Env) measuredUnits(t *testing.T, name, size string, units int, attack func() (answer string)) {
	t.Helper()
	if e.PID == 0 {
		attack()
		return
	}
	var answer string
	cost, err := Measure(e.PID, func() { answer = attack() })
	if err != nil {
		t.Fatal(err)
	}
	if e.Costs != nil {
		e.Costs.Add(name, size, answer, cost)
	}
	if err := cost.Exceeds(units); err != nil {
		t.Errorf("%s, %s: %v", name, size, err)
	}
}

// oneRequest is the size of most attacks.
const oneRequest = "1 request"

// perUnit is how many events, watches, connections or requests of an attack of many are a unit.
const perUnit = 250

// unitsOf is how many units there are in so many of them, and at least one.
func unitsOf(count int) int { return max(count/perUnit, 1) }
