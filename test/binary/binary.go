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

// Package binary runs the gatehouse program that `make build` has built, as a separate process,
// for tests that kill it, stop it with a signal or read its log.
package binary

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Patience bounds every wait for a condition: far longer than needed, for a machine
// that is busy with other tests.
const Patience = 2 * time.Minute

const module = "module github.com/gatehouse-dev/gatehouse"

// Path returns the path of the program: $GATEHOUSE_BINARY, or bin/gatehouse of this checkout.
func Path(t testing.TB) string {
	t.Helper()
	path := os.Getenv("GATEHOUSE_BINARY")
	if path == "" {
		path = filepath.Join(checkout(t), "bin", "gatehouse")
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the program is missing (%v): run `make build`", err)
	}
	return path
}

// checkout returns the nearest parent directory with the main module, whichever module the
// test belongs to.
func checkout(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		content, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if first, _, _ := strings.Cut(string(content), "\n"); err == nil && first == module {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("the test does not run in a checkout: set GATEHOUSE_BINARY to the program")
		}
		dir = parent
	}
}

// DataDir creates a directory for a server. Its path is short, because a unix socket's must be.
// It is removed after the servers that Start and Launch started later have been stopped.
func DataDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Server is a process of `gatehouse up`.
type Server struct {
	// DataDir is its data directory; another process can be started on it after this one.
	DataDir string
	// URL and Config connect to it, Config as the administrator and without client-side rate
	// limits. They are set once it is ready.
	URL    string
	Config *rest.Config

	cmd    *exec.Cmd
	ready  chan string
	exited chan struct{}

	mu             sync.Mutex
	stdout, stderr bytes.Buffer
}

// Start starts a server on the directory and waits until it is ready.
func Start(t testing.TB, dataDir string, args ...string) *Server {
	t.Helper()
	s := Launch(t, dataDir, nil, args...)
	s.WaitReady(t)
	return s
}

// Launch starts a server and does not wait. onLine, if not nil, is called with each line
// of its standard output. The process does not outlive the test.
func Launch(t testing.TB, dataDir string, onLine func(*Server, string), args ...string) *Server {
	t.Helper()
	// Controllers of the fleet would interfere with tests that simulate them, so they are opt-in.
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--controllers=") }) {
		args = append(args, "--controllers=*,-app-controller,-release-controller,-scheduler,-host-lifecycle-controller,-ended-instance-collector")
	}
	args = append([]string{"up", "--data-dir", dataDir, "--listen", "127.0.0.1:0"}, args...)
	s := &Server{
		DataDir: dataDir,
		cmd:     exec.Command(Path(t), args...), // ended by signals, which is what is tested
		ready:   make(chan string, 1),
		exited:  make(chan struct{}),
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = locked{s}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.read(stdout, onLine)
	t.Cleanup(func() {
		s.Kill()
		<-s.exited
		if t.Failed() {
			t.Logf("standard error of process %d:\n%s", s.PID(), s.Stderr())
		}
	})
	return s
}

var readyLine = regexp.MustCompile(`^Ready in .* at (https://\S+)$`)

// read reads the output until the process has ended.
func (s *Server) read(stdout io.Reader, onLine func(*Server, string)) {
	defer close(s.exited)
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		s.mu.Lock()
		s.stdout.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		if match := readyLine.FindStringSubmatch(lines.Text()); match != nil {
			s.ready <- match[1]
		}
		if onLine != nil {
			onLine(s, lines.Text())
		}
	}
	_ = s.cmd.Wait() // the state has the exit code
}

// WaitReady returns when the server logs that it is ready.
func (s *Server) WaitReady(t testing.TB) {
	t.Helper()
	select {
	case s.URL = <-s.ready:
	case <-s.exited:
		t.Fatalf("the server ended with code %d before it was ready:\n%s%s", s.cmd.ProcessState.ExitCode(), s.Stdout(), s.Stderr())
	case <-time.After(Patience):
		t.Fatalf("the server is not ready after %v:\n%s%s", Patience, s.Stdout(), s.Stderr())
	}
	config, err := clientcmd.BuildConfigFromFlags("", filepath.Join(s.DataDir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	s.Config = config
}

// PID returns the process ID.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Kill ends the process with SIGKILL at once, and does not wait.
// It has no effect on a process that has ended.
func (s *Server) Kill() { s.signal(syscall.SIGKILL) }

// Terminate sends SIGTERM, as a service manager would, and does not wait.
func (s *Server) Terminate() { s.signal(syscall.SIGTERM) }

func (s *Server) signal(signal os.Signal) {
	if err := s.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err) // a child process accepts every signal
	}
}

// Exited is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.exited }

// Wait returns the exit code, which is -1 after Kill, or fails the test if the process does
// not end.
func (s *Server) Wait(t testing.TB) int {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(Patience):
		t.Fatalf("the server still runs after %v:\n%s", Patience, s.Stderr())
	}
	return s.cmd.ProcessState.ExitCode()
}

// Stop stops the server gracefully.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.Terminate()
	if code := s.Wait(t); code != 0 {
		t.Fatalf("after SIGTERM the server ended with code %d:\n%s", code, s.Stderr())
	}
}

// Stdout returns the standard output so far.
func (s *Server) Stdout() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdout.String()
}

// Stderr returns the standard error so far: the server's log.
func (s *Server) Stderr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

// slownessOfEtcd are etcd's warnings of a slow disk or processor, which occur if other
// tests run at the same time.
var slownessOfEtcd = []string{
	"apply request took too long", "slow fdatasync", "took too long, retrying", "leader failed to send out heartbeat on time",
}

// Complaints returns the server's log without warnings of a slow machine.
func (s *Server) Complaints() string {
	var complaints strings.Builder
	for line := range strings.Lines(s.Stderr()) {
		slow := slices.ContainsFunc(slownessOfEtcd, func(text string) bool { return strings.Contains(line, text) })
		if !slow || !strings.Contains(line, `severity="warn"`) {
			complaints.WriteString(line)
		}
	}
	return complaints.String()
}

// locked writes to the server's standard error buffer.
type locked struct{ s *Server }

func (l locked) Write(p []byte) (int, error) {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	return l.s.stderr.Write(p)
}
