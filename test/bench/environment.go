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
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// environment has the programs and the directory that all measurements need.
type environment struct {
	gatehouse, kubectl string
	tempDir            string
	keep               bool

	// loadBefore is the load of the machine before the first measurement.
	loadBefore string
}

// complete sets the programs that are not set; call it first.
func (e *environment) complete() error {
	e.loadBefore = loadAverage()
	root, err := repository()
	if err != nil {
		return err
	}
	for _, program := range []struct {
		path *string
		name string
	}{{&e.gatehouse, "gatehouse"}, {&e.kubectl, "kubectl"}} {
		if *program.path == "" {
			*program.path = filepath.Join(root, "bin", program.name)
		}
		if _, err := exec.LookPath(*program.path); err != nil {
			return fmt.Errorf("%w: run `make build` first", err)
		}
	}
	return nil
}

// repository returns the directory of go.mod, at or above the working directory.
func repository() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			err = errors.New("no go.mod at or above the working directory")
		}
		dir = parent
	}
	return "", err
}

// newDir creates a temporary directory; the returned function removes it.
func (e *environment) newDir() (string, func(), error) {
	dir, err := os.MkdirTemp(e.tempDir, "gatehouse-bench-")
	if err != nil {
		return "", nil, err
	}
	return dir, func() {
		if e.keep {
			fmt.Fprintln(os.Stderr, "kept", dir)
			return
		}
		_ = os.RemoveAll(dir)
	}, nil
}

// describe prints the environment that a reader needs to interpret the numbers.
func (e *environment) describe(out io.Writer, settings ...string) {
	goVersion := "an unknown Go"
	if info, err := buildinfo.ReadFile(e.gatehouse); err == nil {
		goVersion = info.GoVersion
	}
	version := "unknown version"
	if stdout, err := exec.Command(e.gatehouse, "version").Output(); err == nil {
		version, _, _ = strings.Cut(string(stdout), "\n")
	}
	fmt.Fprintf(out, "- machine: %s, %d cores, %s of memory, Linux %s, data on %s, fdatasync of 2 KiB there: %s\n",
		cpuModel(), runtime.NumCPU(), memory(), readWord("/proc/sys/kernel/osrelease"), filesystem(e.tempDir), e.syncCost())
	fmt.Fprintf(out, "- load of the machine before (1, 5, 15 minutes): %s\n", e.loadBefore)
	fmt.Fprintf(out, "- server: %s, built with %s%s\n", version, goVersion, goSettings())
	fmt.Fprintf(out, "- command: go run ./test/bench %s\n", strings.Join(os.Args[1:], " "))
	for _, setting := range settings {
		fmt.Fprintln(out, "- "+setting)
	}
	fmt.Fprintln(out)
}

// goSettings returns the settings of the server's Go runtime from the environment.
func goSettings() string {
	var b strings.Builder
	for _, name := range []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS", "GODEBUG"} {
		if value, ok := os.LookupEnv(name); ok {
			fmt.Fprintf(&b, ", %s=%s", name, value)
		}
	}
	return b.String()
}

func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown CPU"
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

func memory() string {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return "unknown amount"
	}
	total, err := parseStatus(string(info), "MemTotal")
	if err != nil {
		return "unknown amount"
	}
	return fmt.Sprintf("%.0f GiB", float64(total)/(1<<30))
}

func readWord(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(content))
}

// loadAverage returns the load of the machine over the last one, five and fifteen minutes.
func loadAverage() string {
	fields := strings.Fields(readWord("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], ", ")
}

// filesystem returns the type of the file system that holds a directory.
func filesystem(dir string) string {
	path, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "unknown file system"
	}
	return mountType(readWord("/proc/mounts"), path)
}

// mountType returns the type of the longest mount point that is a parent of the path.
func mountType(mounts, path string) string {
	found, kind := "", "unknown file system"
	for line := range strings.Lines(mounts) {
		fields := strings.Fields(line)
		if len(fields) < 3 || len(fields[1]) < len(found) {
			continue
		}
		if point := strings.TrimSuffix(fields[1], "/"); path == point || strings.HasPrefix(path, point+"/") {
			found, kind = fields[1], fields[2]
		}
	}
	return kind
}

// syncCost measures the minimum latency of a write: the disk's.
func (e *environment) syncCost() string {
	file, err := os.CreateTemp(e.tempDir, "gatehouse-bench-sync-")
	if err != nil {
		return err.Error()
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer func() { _ = file.Close() }()
	block := make([]byte, 2<<10)
	// Like a write-ahead log, it preallocates the file, so that a sync writes data and no metadata.
	const rounds = 200
	_, err = file.WriteAt(make([]byte, rounds*len(block)), 0)
	err = errors.Join(err, file.Sync())
	var took []time.Duration
	for i := range rounds {
		began := time.Now()
		_, writeErr := file.WriteAt(block, int64(i*len(block)))
		if err = errors.Join(err, writeErr, file.Sync()); err != nil {
			return err.Error()
		}
		took = append(took, time.Since(began))
	}
	return fmt.Sprintf("p50 %s, p99 %s", millis(percentile(took, 50)), millis(percentile(took, 99)))
}
