//go:build e2e

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

package packages

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait: far longer than needed.
const patience = 2 * time.Minute

// setting returns the last value of a setting in a unit or an environment file.
func setting(t *testing.T, path, name string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	value := ""
	for line := range strings.Lines(string(content)) {
		if after, found := strings.CutPrefix(strings.TrimSpace(line), name+"="); found {
			value = after
		}
	}
	return value
}

// command returns ExecStart of a unit with the flags of its environment file.
func (m machine) command(t *testing.T, unit string) []string {
	t.Helper()
	path := m.path("lib/systemd/system", unit)
	environment := m.path(strings.TrimPrefix(setting(t, path, "EnvironmentFile"), "-"))
	var args []string
	for _, word := range strings.Fields(setting(t, path, "ExecStart")) {
		if name, isVariable := strings.CutPrefix(word, "$"); isVariable {
			args = append(args, strings.Fields(strings.Trim(setting(t, environment, name), `"`))...)
			continue
		}
		args = append(args, word)
	}
	return args
}

// process is a running unit, as its service manager sees it.
type process struct {
	cmd    *exec.Cmd
	socket *net.UnixConn
	out    bytes.Buffer
}

// start starts the command of a unit as its user, and waits until it notifies that it is ready.
func (m machine) start(t *testing.T, unit string) *process {
	t.Helper()
	account, err := user.Lookup("root")
	if name := setting(t, m.path("lib/systemd/system", unit), "User"); name != "" {
		account, err = m.account(t, name), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	name := "/run/notify-" + strconv.Itoa(time.Now().Nanosecond())
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path(name), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(m.path(name), uid, gid); err != nil {
		t.Fatal(err)
	}
	args := m.command(t, unit)
	p := &process{cmd: exec.Command(args[0], args[1:]...), socket: socket}
	p.cmd.Path, p.cmd.Dir = args[0], "/"
	p.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin", "NOTIFY_SOCKET=" + name}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = socket.Close()
	})
	p.expect(t, "READY=1")
	return p
}

// expect waits for a notification.
func (p *process) expect(t *testing.T, want string) {
	t.Helper()
	if err := p.socket.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 4096)
	n, err := p.socket.Read(got)
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		t.Fatalf("no notification %s: %v\n%s", want, err, p.out.String())
	}
	if first, _, _ := strings.Cut(string(got[:n]), "\n"); first != want {
		t.Errorf("got the notification %q, want %s", got[:n], want)
	}
}

// stop stops the process as a service manager does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "STOPPING=1")
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v\n%s", err, p.out.String())
	}
}

// account returns a user of the copy.
func (m machine) account(t *testing.T, name string) *user.User {
	t.Helper()
	fields := strings.Split(strings.TrimSpace(m.run(t, "getent", "passwd", name)), ":")
	if len(fields) < 7 {
		t.Fatalf("getent: %q", fields)
	}
	return &user.User{Username: name, Uid: fields[2], Gid: fields[3], HomeDir: filepath.Clean(fields[5])}
}
