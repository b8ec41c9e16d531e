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

package security

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

// Bounds of the cost of one unit of an attack.
const (
	MaxPeak = 200 << 20
	MaxCPU  = 2 * time.Second
)

// Cost is the cost of an attack to a process.
type Cost struct {
	// Peak is the growth in bytes of the maximum resident set size over the size before
	// the attack.
	Peak int64
	// CPU is the processor time of the process, in user and in system mode. Unlike wall-clock time
	// it does not grow on a busy machine.
	CPU time.Duration
}

// ticks is USER_HZ, the unit of times in /proc/PID/stat: 100 on every current Linux,
// independent of the kernel's HZ.
const ticks = 100

// Measure runs the attack and returns its cost to the process with the PID. It reads
// /proc/PID and returns an error if that is missing or the process has ended.
func Measure(pid int, attack func()) (Cost, error) {
	// Writing 5 resets VmHWM to the present size: proc(5).
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

// Spent returns the cost of the process with the PID since its start; Peak is its maximum
// resident set size.
func Spent(pid int) (Cost, error) {
	peak, err := residentBytes(pid, "VmHWM:")
	if err != nil {
		return Cost{}, err
	}
	cpu, err := processTime(pid)
	return Cost{Peak: peak, CPU: cpu}, err
}

// residentBytes returns the size of a line of /proc/PID/status, which is in kB.
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

// processTime returns the sum of utime and stime, the 14th and the 15th field of /proc/PID/stat.
func processTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the program's name in parentheses, which may contain any character.
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

// Exceeds returns an error if the peak is above MaxPeak, or the processor time above MaxCPU for
// each of the units.
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

// Costs collects the costs of attacks as a table.
type Costs struct{ rows []string }

// Add adds a row: the size of the attack, and the response of the server.
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

// Measured runs an attack of one unit and returns the response. If the process of the server is known,
// it adds the cost to the table, and fails the test if the cost is above MaxPeak or MaxCPU.
func (e Env) Measured(t *testing.T, name, size string, attack func() (answer string)) {
	t.Helper()
	e.measuredUnits(t, name, size, 1, attack)
}

// measuredUnits is Measured for an attack of several units, each of which may cost MaxCPU. MaxPeak
// bounds their sum.
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

// perUnit is the number of events, watches, connections or requests in one unit.
const perUnit = 250

// unitsOf returns the number of units of count, at least one.
func unitsOf(count int) int { return max(count/perUnit, 1) }
