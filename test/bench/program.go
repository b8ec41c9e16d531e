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
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is the time limit of a graceful stop.
const stopTimeout = 30 * time.Second

// program is a running command of the binary under measurement.
type program struct {
	name    string
	cmd     *exec.Cmd
	started time.Time
	// ended is closed when the process has ended; err has its result.
	ended chan struct{}
	err   error

	mu     sync.Mutex
	output string
}

// start starts a program, which ends with stop, and at the latest with the context. line, if not nil,
// receives each line of its output.
func start(ctx context.Context, name string, line func(string), path string, args ...string) (*program, error) {
	p := &program{name: name, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(ctx, path, args...)
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopTimeout
	// One pipe for both, so that a failure report contains the program's own messages.
	reader, writer := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	read := make(chan struct{})
	go p.read(reader, line, read)
	p.started = time.Now()
	if err := p.cmd.Start(); err != nil {
		_ = writer.Close()
		return nil, err
	}
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
		_ = writer.Close()
		<-read
	}()
	return p, nil
}

func (p *program) read(from io.Reader, line func(string), done chan<- struct{}) {
	defer close(done)
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		if line != nil {
			line(lines.Text())
		}
		p.mu.Lock()
		if len(p.output) < 1<<16 {
			p.output += lines.Text() + "\n"
		}
		p.mu.Unlock()
	}
	_, _ = io.Copy(io.Discard, from)
}

func (p *program) pid() int { return p.cmd.Process.Pid }

// said returns the program's output so far.
func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output
}

// stop stops the program gracefully and waits for it.
func (p *program) stop() error {
	select {
	case <-p.ended:
		return fmt.Errorf("%s had ended before it was asked to: %w\n%s", p.name, p.err, p.said())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not stop within %v", p.name, stopTimeout)
	}
	if p.err != nil {
		return fmt.Errorf("%s did not stop in order: %w\n%s", p.name, p.err, p.said())
	}
	return nil
}
