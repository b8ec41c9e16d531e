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
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

// fault is a fault of the machine. Its functions may be nil.
type fault struct {
	name string
	// how describes the fault, for the table.
	how string
	// args are the server's arguments, and wrap is the prefix of its command line.
	args, wrap []string
	// size is the size of objects in bytes; 0 means 2000.
	size int
	// onDisk puts the data directory in a small separate file system.
	onDisk bool
	// root is set if the fault needs root, and tools are the programs that it needs.
	root  bool
	tools []string
	// hold is the duration of the fault; 0 means 10 s.
	hold time.Duration
	// prepare runs before the server's start, strike begins the fault, and lift ends it.
	prepare, strike, lift func(*run) error
	// restart restarts a running server after the fault, if that is the remedy.
	restart bool
}

// missing returns the reason why the fault cannot run here, or nothing.
func (f fault) missing() string {
	if f.root && os.Getuid() != 0 {
		return "only root can do this"
	}
	for _, tool := range f.tools {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	return ""
}

func faults() []fault {
	disk := []string{"mkfs.ext4", "mount", "umount", "e2fsck"}
	return append([]fault{{
		name: "killed", how: "SIGKILL in the middle of writes", hold: time.Second,
		strike: func(r *run) error { return r.server.cmd.Process.Kill() },
	}, {
		name: "stopped", how: "SIGSTOP for 10 s, then SIGCONT",
		strike: func(r *run) error { return r.server.cmd.Process.Signal(syscall.SIGSTOP) },
		lift:   func(r *run) error { return r.server.cmd.Process.Signal(syscall.SIGCONT) },
	}, {
		name: "full-disk", how: "another program fills the file system (ext4, 300 MiB)", onDisk: true, root: true, tools: disk, size: 20_000,
		strike: fillDisk,
		lift:   func(r *run) error { return os.Remove(filepath.Join(r.disk, "ballast")) },
	}, {
		name: "read-only", how: "the kernel gives the file system up (ext4, remount,abort)", onDisk: true, root: true, tools: disk,
		strike: func(r *run) error { return command("mount", "-o", "remount,abort", r.disk) },
		lift: func(r *run) error {
			<-r.server.exited // it cannot be mounted again as long as files are open
			return errors.Join(command("umount", r.disk), repair(r.image), command("mount", "-o", "loop", r.image, r.disk))
		},
	}, {
		name: "failing-disk", how: "fsync and fdatasync answer EIO (strace)", root: true, tools: []string{"strace"},
		strike: func(r *run) error { return r.inject("fsync,fdatasync:error=EIO") },
		lift:   (*run).eject,
	}, {
		name: "failing-writes", how: "pwrite64 answers EIO (strace)", root: true, tools: []string{"strace"},
		strike: func(r *run) error { return r.inject("pwrite64,fdatasync:error=EIO") },
		lift:   (*run).eject,
	}, {
		name: "slow-disk", how: "each fsync and fdatasync takes half a second longer (strace)", root: true, tools: []string{"strace"}, hold: 20 * time.Second,
		strike: func(r *run) error { return r.inject("fsync,fdatasync:delay_enter=500000") },
		lift:   (*run).eject,
	}, {
		name: "descriptors", how: "256 descriptors (prlimit), 400 idle connections and 300 watches, each on a connection of its own", tools: []string{"prlimit"},
		wrap: []string{"prlimit", "--nofile=256"}, hold: 40 * time.Second, // long enough for etcd to create another file
		strike: crowd,
		lift:   (*run).disperse,
	}, {
		name: "quota", how: "the database reaches --etcd-quota-bytes of 48 MiB; then clients delete, and the server is restarted", size: 20_000,
		args: []string{fmt.Sprintf("--etcd-quota-bytes=%d", 48<<20)}, restart: true,
		strike: func(r *run) error {
			for began := time.Now(); !r.load.seen.had("507"); time.Sleep(10 * time.Millisecond) {
				if time.Since(began) > patience {
					return fmt.Errorf("the database is not full after %v", patience)
				}
			}
			return nil
		},
		lift: func(r *run) error {
			r.load.deletesOnly.Store(true)
			time.Sleep(3 * time.Second) // clients delete in this time
			r.load.deletesOnly.Store(false)
			return nil
		},
	}}, memoryFaults()...)
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// repair repairs a file system after a shutdown, as a machine does before it mounts it. The exit
// code 1 of e2fsck means that it has repaired something.
func repair(image string) error {
	var exit *exec.ExitError
	if err := exec.Command("e2fsck", "-fp", image).Run(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() > 1) {
		return fmt.Errorf("e2fsck: %w", err)
	}
	return nil
}

// makeDisk mounts a file system of 300 MiB.
func (r *run) makeDisk() error {
	r.image, r.disk = filepath.Join(r.dir, "image"), filepath.Join(r.dir, "disk")
	file, err := os.Create(r.image)
	if err == nil {
		err = errors.Join(file.Truncate(300<<20), file.Close(), os.Mkdir(r.disk, 0o700))
	}
	if err != nil {
		return err
	}
	if err := errors.Join(command("mkfs.ext4", "-q", "-F", "-m", "0", r.image), command("mount", "-o", "loop", r.image, r.disk)); err != nil {
		return err
	}
	r.cleanups = append(r.cleanups, func() { _ = command("umount", r.disk) })
	r.dataDir = filepath.Join(r.disk, "data")
	return nil
}

// fillDisk writes until the disk is full.
func fillDisk(r *run) error {
	file, err := os.Create(filepath.Join(r.disk, "ballast"))
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for size := 1 << 20; size > 0; size /= 2 {
		for block := make([]byte, size); ; {
			if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// inject makes system calls of the server fail, or delays them.
func (r *run) inject(what string) error {
	calls, _, _ := strings.Cut(what, ":")
	r.strace = exec.Command("strace", "-f", "-q", "-p", fmt.Sprint(r.server.cmd.Process.Pid), "-o", "/dev/null", "-e", "trace="+calls, "-e", "inject="+what) // ended by eject
	return r.strace.Start()
}

// eject ends inject.
func (r *run) eject() error {
	if r.strace == nil {
		return nil
	}
	_ = r.strace.Process.Signal(syscall.SIGTERM) // it may have ended with the server
	_ = r.strace.Wait()
	r.strace = nil
	return nil
}

// crowd opens idle connections and watches.
func crowd(r *run) error {
	u, err := url.Parse(r.server.config.Host)
	if err != nil {
		return err
	}
	for range 400 {
		conn, err := net.DialTimeout("tcp", u.Host, requestTimeout) // has a timeout
		if err != nil {
			continue // the server does not accept, which is permitted
		}
		r.crowd = append(r.crowd, conn.Close)
		go func() { _ = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).Handshake() }() // an attacker; ends with the connection
	}
	for range 300 {
		secure, err := rest.TLSConfigFor(r.server.config)
		if err != nil {
			return err
		}
		transport := &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.server.config.Host+path+"?watch=true", nil)
		if err != nil {
			cancel()
			return err
		}
		go func() {
			response, err := transport.RoundTrip(request)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, response.Body) // until disperse
			_ = response.Body.Close()
		}()
		r.crowd = append(r.crowd, func() error { cancel(); transport.CloseIdleConnections(); return nil })
	}
	return nil
}

// disperse closes the connections of crowd.
func (r *run) disperse() error {
	for _, end := range r.crowd {
		_ = end()
	}
	r.crowd = nil
	return nil
}
