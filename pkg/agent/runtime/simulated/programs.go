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

package simulated

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Exit codes, as those of a shell.
const (
	exitInterrupted = 130
	exitNotFound    = 127
)

// Control characters of a terminal.
const (
	interrupt = 0x03
	endOfFile = 0x04
)

// executor has the programs of a simulated container. It implements remotecommand.Executor.
type executor struct {
	instance  *v1alpha1.Instance
	container string
}

// process is a program that is executed.
type process struct {
	executor
	args     []string
	in       io.Reader // nil for none
	out, err io.Writer // never nil
	tty      bool
	resize   <-chan remotecommand.TerminalSize
}

// ExecInContainer implements remotecommand.Executor.
func (e executor) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, stderr io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	p := &process{executor: e, args: command[1:], in: in, out: io.Discard, err: io.Discard, tty: tty, resize: resize}
	if out != nil {
		p.out = terminal(out, tty)
	}
	if stderr != nil {
		p.err = stderr
	} else if tty {
		p.err = p.out
	}
	code, err := p.run(ctx, command[0])
	if err != nil || code == 0 {
		return err
	}
	return utilexec.CodeExitError{Err: fmt.Errorf("exit status %d", code), Code: code}
}

// run returns the exit code of a program.
func (p *process) run(ctx context.Context, program string) (int, error) {
	switch program {
	case "true":
		return 0, nil
	case "false":
		return 1, nil
	case "echo":
		_, err := fmt.Fprintln(p.out, strings.Join(p.args, " "))
		return 0, err
	case "exit":
		return p.exit()
	case "hostname":
		_, err := fmt.Fprintln(p.out, p.instance.Name)
		return 0, err
	case "env":
		return p.env()
	case "cat":
		return p.cat()
	case "stty":
		return p.stty(ctx)
	}
	_, err := fmt.Fprintf(p.err, "%s: not found: container %s is simulated and has no image; it has the commands cat, echo, env, exit N, false, hostname, stty size and true\n", program, p.container)
	return exitNotFound, err
}

func (p *process) exit() (int, error) {
	code, err := 0, error(nil)
	if len(p.args) > 0 {
		code, err = strconv.Atoi(p.args[0])
	}
	if err != nil || code < 0 || code > 255 || len(p.args) > 1 {
		_, err = fmt.Fprintf(p.err, "exit: %q is not a number from 0 to 255\n", strings.Join(p.args, " "))
		return 2, err
	}
	return code, nil
}

// env prints the variables in the specification of the container.
func (p *process) env() (int, error) {
	for i := range p.instance.Spec.Containers {
		if c := &p.instance.Spec.Containers[i]; c.Name == p.container {
			for _, variable := range c.Env {
				if _, err := fmt.Fprintf(p.out, "%s=%s\n", variable.Name, variable.Value); err != nil {
					return 0, err
				}
			}
		}
	}
	return 0, nil
}

// cat copies its input. On a terminal the input is echoed, and its end is Control-D.
func (p *process) cat() (int, error) {
	switch {
	case len(p.args) > 0:
		_, err := fmt.Fprintf(p.err, "cat: %s: a simulated container has no files\n", p.args[0])
		return 1, err
	case p.in == nil:
		return 0, nil
	case !p.tty:
		_, err := io.Copy(p.out, p.in)
		return 0, err
	}
	in := bufio.NewReader(p.in)
	for {
		key, err := in.ReadByte()
		switch {
		case errors.Is(err, io.EOF) || err == nil && key == endOfFile:
			return 0, nil
		case err != nil:
			return 0, err
		case key == interrupt:
			return exitInterrupted, nil
		case key == '\r':
			key = '\n'
		}
		if _, err := p.out.Write([]byte{key}); err != nil {
			return 0, err
		}
	}
}

// stty prints the size of the terminal, which the client sends first.
func (p *process) stty(ctx context.Context) (int, error) {
	if len(p.args) != 1 || p.args[0] != "size" {
		_, err := fmt.Fprintln(p.err, "stty: a simulated container has \"stty size\" only")
		return 1, err
	}
	if !p.tty {
		_, err := fmt.Fprintln(p.err, "stty: the standard input is not a terminal")
		return 1, err
	}
	select {
	case size := <-p.resize:
		_, err := fmt.Fprintf(p.out, "%d %d\n", size.Height, size.Width)
		return 0, err
	case <-ctx.Done():
		return 1, nil
	}
}
