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
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// inNamespace is set in the process that has a mount namespace of its own.
const inNamespace = "GATEHOUSE_PACKAGES_NAMESPACE"

// TestMain runs the tests in a mount namespace of their own, whose mounts end with the process.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) == "" && os.Getuid() == 0 {
		again := exec.Command("/proc/self/exe", os.Args[1:]...)
		again.Env = append(os.Environ(), inNamespace+"=1")
		again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
		again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		runtime.LockOSThread() // Pdeathsig is of the thread
		if err := again.Run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// machine is a copy of the file system of this machine.
type machine struct{ root string }

// newMachine returns a copy in which nothing of the packages is installed.
func newMachine(t *testing.T) machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("the test mounts file systems and installs packages: run it as root")
	}
	for _, tool := range []string{"dpkg", "dpkg-deb", "adduser", "chroot"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v: the test needs Debian, with adduser", err)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	m := machine{filepath.Join(dir, "root")}
	for _, name := range []string{"upper", "work", "root"} {
		must(os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	must(unix.Mount("overlay", m.root, "overlay", 0, fmt.Sprintf("lowerdir=/,upperdir=%s/upper,workdir=%s/work", dir, dir)))
	for _, of := range []string{"proc", "dev", "sys"} {
		must(unix.Mount("/"+of, m.path(of), "", unix.MS_BIND|unix.MS_REC, ""))
	}
	must(unix.Mount("tmpfs", m.path("run"), "tmpfs", 0, "mode=0755"))
	must(unix.Mount("tmpfs", m.path("tmp"), "tmpfs", 0, "mode=1777"))
	t.Cleanup(func() { must(unix.Unmount(dir, unix.MNT_DETACH)) })
	return m
}

// path returns the path of a file of the copy.
func (m machine) path(elements ...string) string {
	return filepath.Join(append([]string{m.root}, elements...)...)
}

// try runs a command in the copy.
func (m machine) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "chroot", append([]string{m.root}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", "HOME=/root"}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (m machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.try(t, args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// install installs packages of this machine in the copy.
func (m machine) install(t *testing.T, packages ...string) {
	t.Helper()
	args := []string{"dpkg", "--install"}
	for _, path := range packages {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(m.path("tmp", filepath.Base(path)), content, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, "/tmp/"+filepath.Base(path))
	}
	t.Log(m.run(t, args...))
}

// exists reports whether a file of the copy exists.
func (m machine) exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Lstat(m.path(path))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return err == nil
}
