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
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// warmUp is the duration of writes before a fault, and after it.
const warmUp = 3 * time.Second

// inside marks a process in a separate mount namespace.
const inside = "GATEHOUSE_FAULTS_INSIDE"

func main() {
	program := flag.String("program", "bin/gatehouse", "The program to run.")
	only := flag.String("only", "", "Faults to play, comma separated; all where empty.")
	flag.Parse()
	if runtime.GOOS != "linux" {
		fmt.Fprintln(os.Stderr, "faults of the machine can be played on Linux only")
		os.Exit(1)
	}
	if os.Getuid() == 0 && os.Getenv(inside) == "" {
		os.Exit(again())
	}
	os.Exit(play(*program, *only))
}

// again runs this program in a separate mount namespace, which removes its mounts in the end.
func again() int {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	if err := cmd.Run(); err != nil {
		if cmd.ProcessState == nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return 1
	}
	return 0
}

func play(program, only string) int {
	fmt.Println("| fault | writes: what clients saw | failing for | reads: what clients saw | failing for | what recovered by itself | the log | writes acknowledged | lost |")
	fmt.Println("|---|---|---|---|---|---|---|---|---|")
	code := 0
	for _, f := range faults() {
		if only != "" && !slices.Contains(strings.Split(only, ","), f.name) {
			continue
		}
		if why := f.missing(); why != "" {
			fmt.Printf("| %s: %s | skipped: %s | | | | | | | |\n", f.name, f.how, why)
			continue
		}
		row, sound, err := playFault(program, f)
		if err != nil {
			fmt.Printf("| %s: %s | FAILED: %s | | | | | | | |\n", f.name, f.how, cell(err.Error()))
			code = 1
			continue
		}
		fmt.Println(row)
		if !sound {
			code = 1
		}
	}
	return code
}

// run is one run of a fault.
type run struct {
	fault
	program, dir, dataDir string
	// disk and image are the paths of makeDisk.
	disk, image string
	server      *server
	load        *load
	strace      *exec.Cmd
	crowd       []func() error
	cleanups    []func()
	// lists counts the responses to the clients of listMuch.
	lists struct {
		sync.Mutex
		outcomes map[string]int
	}
}

// close ends the fault and the server and removes the files of the run.
func (r *run) close() {
	_ = r.disperse()
	_ = r.eject()
	if r.server != nil {
		_ = r.server.end(syscall.SIGKILL)
	}
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
	_ = os.RemoveAll(r.dir)
}

func playFault(program string, f fault) (row string, sound bool, err error) {
	r := &run{fault: f, program: program}
	if r.dir, err = os.MkdirTemp("", "gh-faults-"); err != nil {
		return "", false, err
	}
	r.dataDir = filepath.Join(r.dir, "data")
	defer r.close()
	if f.onDisk {
		if err := r.makeDisk(); err != nil {
			return "", false, err
		}
	}
	if f.prepare != nil {
		if err := f.prepare(r); err != nil {
			return "", false, err
		}
	}
	if err := r.start(); err != nil {
		return "", false, err
	}
	r.load = startLoad(context.Background(), max(f.size, 2000))
	r.load.config.Store(r.server.config)
	time.Sleep(warmUp)
	recovered, message, err := r.suffer()
	r.load.end()
	if err != nil {
		return "", false, err
	}
	if r.server.ended() {
		recovered += fmt.Sprintf("; later the process ended by itself (%s)", r.server.cmd.ProcessState)
		if err := r.start(); err != nil {
			return "", false, fmt.Errorf("the restart: %w", err)
		}
	}
	all, err := stored(r.server.config)
	if err != nil {
		return "", false, err
	}
	model := r.load.model
	model.settle(all)
	for _, what := range append(slices.Clone(model.lost), model.wrong...) {
		fmt.Fprintf(os.Stderr, "%s: %s\n", f.name, what)
	}
	writes, reads := r.load.seen.result()
	if r.lists.Lock(); len(r.lists.outcomes) > 0 {
		f.how += " (" + counts(r.lists.outcomes) + ")"
	}
	r.lists.Unlock()
	return fmt.Sprintf("| %s: %s | %s | %s | %s | %s | %s | `%s` | %d | %d |", f.name, f.how, writes, writes.failing(), reads, reads.failing(),
		recovered, cell(strings.ReplaceAll(message, r.dir, "")), model.acknowledged, len(model.lost)+len(model.wrong)), len(model.lost)+len(model.wrong) == 0, nil
}

// prefix matches klog's prefix of a line.
var prefix = regexp.MustCompile(`^[IWE]\d{4} [\d:.]+ +\d+ \S+\] `)

// cell formats a line of the log for a table.
func cell(text string) string {
	text = prefix.ReplaceAllString(text, "")
	text = strings.NewReplacer("|", "/", "`", "'", "\n", " ").Replace(text)
	if len(text) > 600 {
		text = text[:600] + "..."
	}
	return text
}

func (r *run) start() (err error) {
	r.server, err = startServer(r.program, r.dataDir, r.wrap, r.args)
	return err
}

// suffer runs the fault, and returns what recovered and the most important log message.
func (r *run) suffer() (recovered, message string, err error) {
	r.load.seen.count()
	if r.strike != nil {
		if err := r.strike(r); err != nil {
			return "", "", fmt.Errorf("beginning: %w", err)
		}
	}
	hold := r.hold
	if hold == 0 {
		hold = 10 * time.Second
	}
	time.Sleep(hold)
	diedEarly := r.server.ended()
	if r.lift != nil {
		if err := r.lift(r); err != nil {
			return "", "", fmt.Errorf("ending: %w", err)
		}
	}
	// A server that does not resume writes is restarted, as a service manager does.
	lifted := time.Now()
	if !r.restart {
		for time.Since(lifted) < 15*time.Second && !r.server.ended() && !r.load.seen.writesSince(lifted) {
			time.Sleep(10 * time.Millisecond)
		}
	}
	message = r.server.message()
	switch {
	case !r.server.ended() && !r.restart && r.load.seen.writesSince(lifted):
		recovered = "everything, without a restart"
	case !r.server.ended():
		r.load.config.Store(nil)
		if err := r.server.end(syscall.SIGTERM); err != nil {
			return "", "", err
		}
		recovered = "reads and deletes went on; writes after a restart"
		if !r.restart {
			recovered = "nothing until a restart"
		}
	case diedEarly || r.server.ended():
		recovered = fmt.Sprintf("the process ended by itself (%s)", r.server.cmd.ProcessState)
	}
	if r.server.ended() {
		r.load.config.Store(nil)
		if err := r.start(); err != nil {
			return "", "", fmt.Errorf("the restart: %w", err)
		}
		recovered += fmt.Sprintf("; ready %v after its start", r.server.took.Round(100*time.Millisecond))
		r.load.config.Store(r.server.config)
	}
	deadline := time.Now().Add(patience)
	for restarted := time.Now(); !r.load.seen.writesSince(restarted); {
		if time.Now().After(deadline) {
			return "", "", fmt.Errorf("no write is acknowledged %v after the fault: %s", patience, r.server.message())
		}
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(warmUp)
	return recovered, message, nil
}
