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

package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// Standalone checks the data directory of "gatehouse up", and its server if one runs.
type Standalone struct {
	DataDir string
	// CertificateDir and Kubeconfig are the names of the server's certificates and of the administrator's kubeconfig in the
	// data directory.
	CertificateDir, Kubeconfig string
	// Listen is the address of the server; empty for that in the administrator's kubeconfig.
	Listen string
	// External is the etcd of the flags; without endpoints, that of the server.
	External storage.Connection
	// BackupAge is the age from which the newest backup is too old; 0 if the server makes none.
	BackupAge time.Duration
	// Version is that of this program.
	Version string
	// LoadEncryption returns an error if a server could not load an encryption configuration.
	LoadEncryption func(ctx context.Context, path string) error
	Clock          clock.PassiveClock
	Disk           Disk
}

// Checks returns the checks in their order.
func (s *Standalone) Checks() []Check {
	const directory, kubeconfig, server = "data-directory", "kubeconfig", "server"
	return []Check{
		{Name: directory, Run: s.directory, Cure: "name the data directory of a server with --data-dir, and run this command as the user of the server"},
		{Name: "modes", After: directory, Run: s.modes, Cure: "start the server, which closes its directories and keys to other users"},
		{Name: "lock", After: directory, Run: s.lock, Cure: "run this command as the user of the server"},
		{Name: "disk-space", After: directory, Run: s.diskSpace, Cure: "free space on the disk, move old backups elsewhere, or move the data directory to a larger disk"},
		{Name: "disk-speed", After: directory, Run: s.diskSpeed, Cure: "find what else writes to this disk, or move the data directory to a faster one, such as an SSD of this machine"},
		{Name: "clock", After: directory, Run: s.clock, Cure: "set the clock of this machine, and keep it right with NTP"},
		{Name: "certificates", After: directory, Run: s.certificates, Cure: "restart the server, which renews its certificates"},
		{Name: "signing-key", After: directory, Run: s.signingKey},
		{Name: kubeconfig, After: directory, Run: s.adminKubeconfig, Cure: "start the server, which writes it again"},
		{Name: "port", After: kubeconfig, Run: s.port, Cure: "find the process with \"ss -ltnp\" and stop it, or start the server with another --listen"},
		{Name: "membership", After: directory, Run: s.membership},
		{Name: "database", After: directory, Run: s.database, Cure: "keep a copy of the directory, and restore a backup into an empty one with \"gatehouse restore\""},
		{Name: "encryption", After: directory, Run: s.encryption, Cure: "restore the file from a backup, or correct it (docs/encryption.md); without its keys, stored objects cannot be read"},
		{Name: "backups", After: directory, Run: s.backups, Cure: "see in the server's log why none is made, and run \"gatehouse backup now\""},
		{Name: server, After: kubeconfig, Run: s.server, Cure: "read the server's log; if it hangs, restart it"},
		{Name: "version", After: server, Run: s.version, Cure: "restart the server with the new program, or run the program of the server"},
		{Name: "etcd", After: directory, Run: s.etcd, Cure: "read the server's log; if etcd hangs, restart the server"},
	}
}

func (s *Standalone) certificateDir() string { return filepath.Join(s.DataDir, s.CertificateDir) }
func (s *Standalone) etcdDir() string        { return filepath.Join(s.DataDir, "etcd") }

// aggregated reports whether the directory is that of a server behind a kube-apiserver, which has neither administrator nor
// key for tokens.
func (s *Standalone) aggregated() bool {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(s.DataDir, name))
		return err == nil
	}
	return has(filepath.Join(s.CertificateDir, "serving.crt")) && !has(filepath.Join(s.CertificateDir, "admin.crt")) &&
		!has(filepath.Join(s.CertificateDir, "admin.key")) && !has(s.Kubeconfig)
}

// dirOrAbove returns the directory, or the data directory if it does not exist.
func (s *Standalone) dirOrAbove(dir string) string {
	if _, err := os.Stat(dir); err != nil {
		return s.DataDir
	}
	return dir
}

// databaseSize returns the bytes of the embedded etcd's database; 0 for none.
func (s *Standalone) databaseSize() int64 {
	info, err := os.Stat(filepath.Join(s.etcdDir(), "member", "snap", "db"))
	if err != nil {
		return 0
	}
	return info.Size()
}

// holder returns whether a process has the lock of the data directory, and its ID, 0 if that is unknown.
//
// The lock file is empty after an orderly stop, and nothing is locked then. Otherwise a shared lock is tried, and released
// at once: it disturbs no server that runs.
func (s *Standalone) holder() (held bool, pid int, err error) {
	file, err := os.OpenFile(filepath.Join(s.DataDir, "lock"), os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, 0, nil
	} else if err != nil {
		return false, 0, err
	}
	defer file.Close()
	content := make([]byte, 32)
	n, _ := file.Read(content)
	if n == 0 {
		return false, 0, nil
	}
	pid, _ = strconv.Atoi(strings.TrimSpace(string(content[:n])))
	switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		return true, max(pid, 0), nil
	case err != nil:
		return false, 0, os.NewSyscallError("flock", err)
	}
	return false, 0, nil
}

// runs reports whether a server runs in the data directory.
func (s *Standalone) runs() bool {
	held, _, _ := s.holder()
	return held
}

func (s *Standalone) lock(context.Context) []Finding {
	held, pid, err := s.holder()
	switch {
	case err != nil:
		return []Finding{broken("", "the lock cannot be read: %v", err)}
	case !held:
		return []Finding{ok("no process uses the directory")}
	case pid == 0:
		return []Finding{ok("a process uses the directory")}
	}
	return []Finding{ok("process %d uses the directory", pid)}
}

func (s *Standalone) database(ctx context.Context) []Finding {
	if s.runs() {
		return []Finding{ok("in use by the server, which has verified it at its start")}
	}
	if s.databaseSize() == 0 && s.External.Endpoints != nil {
		return []Finding{ok("in an external etcd")}
	}
	// A walk of a large database cannot be interrupted, so that it ends with this process.
	err := embedded.Check(s.etcdDir())
	problem := &embedded.Problem{}
	if !errors.As(err, &problem) {
		if err != nil {
			return []Finding{broken("", "%v", err)}
		}
		if s.databaseSize() == 0 {
			return []Finding{ok("there is none yet")}
		}
		return []Finding{ok("every page of %s was read", size(s.databaseSize()))}
	}
	if problem.Reason == embedded.InUse {
		return []Finding{broken("stop the process that has it open, such as an etcd or a tool of etcd (\"fuser "+filepath.Join(s.etcdDir(), "member", "snap", "db")+"\" names it)", "another process has the database open, so the server cannot start")}
	}
	what, cure := cut(problem.Error(), "): ")
	return []Finding{broken(cure, "%s", what)}
}

// cut cuts an error of the form "what: cure" at the separator.
func cut(text, separator string) (what, cure string) {
	at := strings.LastIndex(text, separator)
	if at < 0 {
		return text, ""
	}
	return text[:at+len(separator)-2], text[at+len(separator):]
}

// age returns a duration in words.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours()/24))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	}
	return d.Round(time.Second).String()
}
