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
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 on every Linux.
const clockTick = 10 * time.Millisecond

// cpuTime returns the processor time of all threads of a process, in user and kernel mode.
func cpuTime(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	return parseStat(stat)
}

// parseStat parses utime and stime, fields 14 and 15 of /proc/PID/stat. The second field is
// the program's name in parentheses, which may contain any character.
func parseStat(stat []byte) (time.Duration, error) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, fmt.Errorf("no program name in %q", stat)
	}
	fields := strings.Fields(string(stat[end+1:]))
	const utime, stime = 14 - 3, 15 - 3
	if len(fields) <= stime {
		return 0, fmt.Errorf("too few fields in %q", stat)
	}
	var ticks int64
	for _, field := range []string{fields[utime], fields[stime]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("in %q: %w", stat, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// memoryUse is the memory of a process in bytes.
type memoryUse struct {
	// resident is the resident set size (VmRSS).
	resident int64
	// anonymous is the memory that the process has allocated: heap and stacks (RssAnon). Nearly all of
	// the rest is pages of the binary, which processes share and the kernel can reclaim;
	// their number varies from run to run.
	anonymous int64
}

// memoryOf reads the memory use of a process.
func memoryOf(pid int) (m memoryUse, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return m, err
	}
	if m.resident, err = parseStatus(string(status), "VmRSS"); err != nil {
		return m, err
	}
	m.anonymous, err = parseStatus(string(status), "RssAnon")
	return m, err
}

// String returns both amounts.
func (m memoryUse) String() string {
	return fmt.Sprintf("%s resident, of which %s its own", mebibytes(m.resident), mebibytes(m.anonymous))
}

// parseStatus parses an amount of memory, in bytes, of /proc/PID/status.
func parseStatus(status, name string) (int64, error) {
	for line := range strings.Lines(status) {
		rest, ok := strings.CutPrefix(line, name+":")
		if !ok {
			continue
		}
		number, ok := strings.CutSuffix(strings.TrimSpace(rest), " kB")
		if !ok {
			return 0, fmt.Errorf("%s is not in kB: %q", name, line)
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		return kilobytes << 10, err
	}
	return 0, fmt.Errorf("no %s in the status of the process", name)
}
