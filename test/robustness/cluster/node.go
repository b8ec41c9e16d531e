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

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-dev/gatehouse/test/robustness/machine"
)

// startTimeout bounds the start of a process. It is far longer than a start on a busy machine.
const startTimeout = 90 * time.Second

// Node is a process of the cluster, which can be ended and started again.
type Node struct {
	Name string
	// Program, Args and Env are those of the next start.
	Program string
	Args    []string
	Env     []string
	// DataDir has its files. Disk, if not nil, is where the directory is.
	DataDir string
	Disk    *machine.Disk
	// URL is the address for clients.
	URL string
	// Failpoints is the address of the failpoints; empty if the program has none.
	Failpoints string

	// ready reports whether the process serves.
	ready   func(context.Context) error
	log     string
	process *machine.Process
}

// Start starts the process and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.WaitReady(ctx)
}

// Launch starts the process.
func (n *Node) Launch() error {
	env := n.Env
	if n.Failpoints != "" {
		env = append(env, "GOFAIL_HTTP="+n.Failpoints)
	}
	process, err := machine.Start(n.log, n.Program, n.Args, env)
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	n.process = process
	return nil
}

// WaitReady waits until the process is ready. That it ends before is an error.
func (n *Node) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		err := n.ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-n.process.Exited():
			return fmt.Errorf("%s ended before it was ready (%s): %s", n.Name, n.process.State(), n.LastLine())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; its last message: %s", n.Name, err, n.LastLine())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// PID returns the process ID; 0 if there is none.
func (n *Node) PID() int {
	if !n.Running() {
		return 0
	}
	return n.process.PID()
}

// Running reports whether the process runs.
func (n *Node) Running() bool { return n.process != nil && n.process.Running() }

// WaitExit waits until the process has ended.
func (n *Node) WaitExit(ctx context.Context) error {
	select {
	case <-n.process.Exited():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s still runs: %w", n.Name, ctx.Err())
	}
}

// Kill ends the process with SIGKILL.
func (n *Node) Kill() error {
	if n.process == nil {
		return nil
	}
	return n.process.Kill()
}

// Terminate ends the process with SIGTERM.
func (n *Node) Terminate() error { return n.process.Terminate() }

// Pause stops the process with SIGSTOP, and Continue lets it go on.
func (n *Node) Pause() error { return n.process.Signal(syscall.SIGSTOP) }

// Continue lets a paused process go on.
func (n *Node) Continue() error { return n.process.Signal(syscall.SIGCONT) }

// Fail sets a failpoint, such as walBeforeSync to panic("planted"). A panic may end the process
// before it answers, which is no error.
func (n *Node) Fail(ctx context.Context, failpoint, terms string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+n.Failpoints+"/"+failpoint, strings.NewReader(terms))
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("%s: failpoint %s: %w", n.Name, failpoint, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= 300 {
		text, err := io.ReadAll(response.Body)
		return errors.Join(fmt.Errorf("%s: failpoint %s: %s: %s", n.Name, failpoint, response.Status, text), err)
	}
	return nil
}

// LastLine returns the last line of the log.
func (n *Node) LastLine() string {
	content, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	last := lines[len(lines)-1]
	if len(last) > 600 {
		last = last[:600] + "..."
	}
	return last
}

// EtcdDir returns the directory of etcd's files.
func (n *Node) EtcdDir() string {
	if _, err := os.Stat(filepath.Join(n.DataDir, "member")); err == nil {
		return n.DataDir
	}
	return filepath.Join(n.DataDir, "etcd")
}
