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

package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// childRole names the role of this binary when a test runs it as another process.
const childRole = "GATEHOUSE_TEST_CHILD"

// TestMain lets the binary be its own child, because some conditions last as long as a process.
func TestMain(m *testing.M) {
	role, arguments := os.Getenv(childRole), os.Args[1:]
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role, arguments); err != nil {
		fmt.Println("error:", err)
		var problem *Problem
		if errors.As(err, &problem) {
			fmt.Println("reason:", problem.Reason)
		}
		os.Exit(1)
	}
	os.Exit(0)
}

func play(role string, arguments []string) error {
	switch role {
	case "hold-lock":
		lock, err := AcquireLock(arguments[0])
		if err != nil {
			return err
		}
		fmt.Println("locked")
		_, err = io.Copy(io.Discard, os.Stdin)
		return errors.Join(err, lock.Release())
	case "start":
		return startAndClose(arguments[0])
	case "start-as-nobody":
		if err := syscall.Setuid(65534); err != nil {
			return err
		}
		return startAndClose(arguments[0])
	case "start-with-small-files":
		limit, err := strconv.ParseUint(arguments[1], 10, 64)
		if err != nil {
			return err
		}
		// Beyond the limit the kernel sends a signal; if it is ignored, the write fails.
		signal.Ignore(unix.SIGXFSZ)
		if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
		return startAndClose(arguments[0])
	case "start-on-small-disk":
		return onSmallDisk(arguments[0], arguments[1], startAndClose)
	case "fill-small-disk":
		return onSmallDisk(arguments[0], arguments[1], fillUp)
	case "write-for-ever":
		return writeForEver(arguments[0])
	}
	return fmt.Errorf("no role %q", role)
}

func startAndClose(dir string) error {
	server, err := Start(context.Background(), Config{DataDir: dir, StartTimeout: patience})
	if err != nil {
		return err
	}
	fmt.Println("started")
	return server.Close()
}

// onSmallDisk mounts a file system in memory, seen by this process only.
func onSmallDisk(dir, size string, do func(string) error) error {
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("no mount: %w", err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		return fmt.Errorf("no mount: %w", err)
	}
	return do(dir + "/etcd")
}

// fillUp starts etcd, uses up the rest of the disk and writes until etcd fails.
func fillUp(dir string) error {
	server, err := Start(context.Background(), Config{DataDir: dir, StartTimeout: patience})
	if err != nil {
		return err
	}
	filler, err := os.Create(dir + "/filler")
	if err != nil {
		return err
	}
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		return err
	}
	fmt.Println("filled")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := newClient(server)
	if err != nil {
		return err
	}
	go func() {
		for i := 0; ctx.Err() == nil; i++ {
			client.Put(ctx, fmt.Sprintf("key-%d", i), strings.Repeat("x", 100_000))
		}
	}()
	select {
	case err = <-server.Err():
	case <-ctx.Done():
		return errors.New("etcd works on a full disk")
	}
	fmt.Println("close:", server.Close())
	return err
}

// writeForEver prints each number that etcd has acknowledged.
func writeForEver(dir string) error {
	server, err := Start(context.Background(), Config{DataDir: dir})
	if err != nil {
		return err
	}
	client, err := newClient(server)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		number := strconv.Itoa(i)
		if _, err := client.Put(context.Background(), "number-"+number, number); err != nil {
			return err
		}
		fmt.Println(number)
	}
}

func newClient(server *Server) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: server.Endpoints(), DialTimeout: patience, Logger: zap.NewNop(),
	})
}

// child is this binary in another process.
type child struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.Closer
	output *bufio.Scanner
}

func startChild(t *testing.T, role string, prepare func(*exec.Cmd), arguments ...string) *child {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), childRole+"="+role)
	if prepare != nil {
		prepare(cmd)
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Skipf("cannot start a child of that kind here: %v", err)
	}
	c := &child{t: t, cmd: cmd, stdin: stdin, output: bufio.NewScanner(output)}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return c
}

// waitFor reads until the child prints the line.
func (c *child) waitFor(line string) {
	c.t.Helper()
	seen := []string{}
	for c.output.Scan() {
		if c.output.Text() == line {
			return
		}
		seen = append(seen, c.output.Text())
	}
	c.t.Fatalf("the child ended without saying %q:\n%s", line, strings.Join(seen, "\n"))
}

// finish reads the remaining output and returns how the child ended.
func (c *child) finish() (output string, err error) {
	lines := []string{}
	for c.output.Scan() {
		lines = append(lines, c.output.Text())
	}
	return strings.Join(lines, "\n"), c.cmd.Wait()
}

// wantReason checks that the child ended with exit code 1, one sentence and this reason.
func (c *child) wantReason(reason Reason, dir string) {
	c.t.Helper()
	output, err := c.finish()
	if strings.Contains(output, "no mount") {
		c.t.Skipf("cannot mount a file system here: %s", output)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		c.t.Errorf("the child ended with %v, want exit code 1", err)
	}
	sentence := ""
	for _, line := range strings.Split(output, "\n") {
		if text, ok := strings.CutPrefix(line, "error: "); ok {
			sentence = text
		}
	}
	if !strings.Contains(sentence, dir) {
		c.t.Errorf("the sentence does not name %s: %q", dir, sentence)
	}
	if !strings.HasSuffix(output, "reason: "+string(reason)) {
		c.t.Errorf("want one sentence of reason %s, got:\n%s", reason, output)
	}
	c.t.Log(sentence)
}
