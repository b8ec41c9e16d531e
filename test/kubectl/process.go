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

package kubectl

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"time"
)

// process is a kubectl that runs in the background of the scene: a watch, or a wait.
type process struct {
	*scene
	command        *exec.Cmd
	stdout, stderr chan string
	// seen is all output so far, for failure messages.
	seen strings.Builder
	stop context.CancelFunc
}

// start runs kubectl in the background. It is killed by its PID when the scene ends.
func (s *scene) start(line string, args ...string) *process {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	command := s.command(ctx, line, args...)
	stdout, err := command.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	stderr, err := command.StderrPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := command.Start(); err != nil {
		s.Fatal(err)
	}
	p := &process{scene: s, command: command, stdout: lines(stdout), stderr: lines(stderr), stop: cancel}
	s.Cleanup(func() {
		cancel()
		_ = command.Wait() // it was killed, or has been waited for
	})
	return p
}

// lines reads lines until the pipe ends. A scene reads at most a few hundred.
func lines(pipe io.Reader) chan string {
	read := make(chan string, 1000)
	go func() {
		defer close(read)
		scanner := bufio.NewScanner(pipe)
		scanner.Buffer(nil, 1<<20)
		for scanner.Scan() {
			read <- scanner.Text()
		}
	}()
	return read
}

// next reads one line; it returns false at the end.
func (p *process) next(from chan string) (string, bool) {
	p.Helper()
	select {
	case line, more := <-from:
		p.seen.WriteString(line + "\n")
		return line, more
	case <-time.After(patience):
		p.stop()
		p.Fatalf("kubectl %s: nothing came; so far:\n%s", strings.Join(p.command.Args[1:], " "), p.seen.String())
		return "", false
	}
}

// until reads lines up to the first that contains the text, and returns them.
func (p *process) until(from chan string, text string) []string {
	p.Helper()
	var read []string
	for {
		line, more := p.next(from)
		if !more {
			p.Fatalf("kubectl %s: ended before it printed %q:\n%s", strings.Join(p.command.Args[1:], " "), text, p.seen.String())
		}
		read = append(read, line)
		if strings.Contains(line, text) {
			return read
		}
	}
}

// end reads the remaining output and waits for the process to end.
func (p *process) end() result {
	p.Helper()
	r := result{scene: p.scene, line: strings.Join(p.command.Args[1:], " ")}
	for line, more := p.next(p.stdout); more; line, more = p.next(p.stdout) {
		r.stdout += line + "\n"
	}
	for line, more := p.next(p.stderr); more; line, more = p.next(p.stderr) {
		r.stderr += line + "\n"
	}
	_ = p.command.Wait() // the exit code is checked
	r.code = p.command.ProcessState.ExitCode()
	return r
}
