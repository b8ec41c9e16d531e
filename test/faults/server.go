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
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// patience bounds every wait for a condition.
const patience = 2 * time.Minute

// server is a process of gatehouse up.
type server struct {
	cmd    *exec.Cmd
	config *rest.Config
	exited chan struct{}
	took   time.Duration

	mu  sync.Mutex
	log []string
}

var readyLine = regexp.MustCompile(`^Ready in .* at (https://\S+)$`)

// startServer starts the program, in a command that begins with wrap, and waits until it is ready.
func startServer(program, dataDir string, wrap, args []string) (*server, error) {
	line := append(append(append([]string{}, wrap...), program, "up", "--data-dir", dataDir, "--listen", "127.0.0.1:0"), args...)
	s := &server{cmd: exec.Command(line[0], line[1:]...), exited: make(chan struct{})} // what the user named; ended by signals
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.cmd.Stderr = s
	began := time.Now()
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		defer close(s.exited)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			if match := readyLine.FindStringSubmatch(lines.Text()); match != nil {
				ready <- match[1]
			}
		}
		_ = s.cmd.Wait() // the state has the exit code
	}()
	select {
	case <-ready:
	case <-s.exited:
		return nil, fmt.Errorf("the server ended before it was ready: %s", s.message())
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		return nil, fmt.Errorf("the server is not ready after %v: %s", patience, s.message())
	}
	s.took = time.Since(began)
	if s.config, err = clientcmd.BuildConfigFromFlags("", filepath.Join(dataDir, "kubeconfig")); err != nil {
		return nil, err
	}
	s.config.QPS = -1
	return s, nil
}

// Write receives the log.
func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, strings.Split(strings.TrimRight(string(p), "\n"), "\n")...)
	return len(p), nil
}

var _ io.Writer = &server{}

// telling matches lines that name a fault, the most specific first: the final error
// of a server, messages of Gatehouse itself, errors, warnings.
var telling = []*regexp.Regexp{
	regexp.MustCompile(`^(error|Error|gatehouse): `),
	regexp.MustCompile(`refuses writes`),
	regexp.MustCompile(`(space|connections|observe|server)\.go:.*severity="warn"`),
	regexp.MustCompile(`^fatal error`),
	regexp.MustCompile(`^E\d{4} `),
	regexp.MustCompile(`severity="warn"|^W\d{4} `),
}

// message returns the most specific line of the log.
func (s *server) message() string {
	if s.ended() {
		if status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return "none: the kernel ended the process"
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, mark := range telling {
		for _, line := range s.log {
			if mark.MatchString(line) {
				return line
			}
		}
	}
	return "none"
}

// ended reports whether the process has ended.
func (s *server) ended() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// end sends a signal and waits for the process to end.
func (s *server) end(signal os.Signal) error {
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-s.exited:
		return nil
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("the server still ran %v after %v", patience, signal)
	}
}
