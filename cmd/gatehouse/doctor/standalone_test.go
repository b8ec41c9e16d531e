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

package doctor_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
	"github.com/gatehouse-dev/gatehouse/pkg/files/filestest"
)

// A plant makes one fault in a healthy directory whose server has stopped.
type plant func(t *testing.T, s *doctor.Standalone)

// at returns the path of a file of the directory.
func at(s *doctor.Standalone, names ...string) string {
	return filepath.Join(append([]string{s.DataDir}, names...)...)
}

func remove(names ...string) plant {
	return func(t *testing.T, s *doctor.Standalone) {
		for _, name := range names {
			must(t, os.RemoveAll(at(s, name)))
		}
	}
}

func write(content string, names ...string) plant {
	return func(t *testing.T, s *doctor.Standalone) {
		for _, name := range names {
			must(t, os.WriteFile(at(s, name), []byte(content), 0o600))
		}
	}
}

func mode(m os.FileMode, names ...string) plant {
	return func(t *testing.T, s *doctor.Standalone) {
		for _, name := range names {
			must(t, os.Chmod(at(s, name), m))
		}
	}
}

// later moves the clock.
func later(d time.Duration) plant {
	return func(_ *testing.T, s *doctor.Standalone) {
		s.Clock = clocktesting.NewFakePassiveClock(time.Now().Add(d))
	}
}

func disk(d quietDisk) plant { return func(_ *testing.T, s *doctor.Standalone) { s.Disk = d } }

// backupFile returns the path of the one backup.
func backupFile(t *testing.T, s *doctor.Standalone) string {
	t.Helper()
	found, err := filepath.Glob(at(s, "backups", "*.tar.zst"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d backups", len(found))
	}
	return found[0]
}

// flip changes a byte of a file in its middle.
func flip(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	must(t, err)
	content[len(content)/2] ^= 0xff
	must(t, os.WriteFile(path, content, 0o600))
}

// database is the path of the embedded etcd's database.
const database = "etcd/member/snap/db"

// lockFile locks a file as another process does until the test ends.
func lockFile(t *testing.T, path string, kind int) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	t.Cleanup(func() { _ = file.Close() })
	must(t, syscall.Flock(int(file.Fd()), kind|syscall.LOCK_NB))
}

func TestEachFaultOfADirectoryIsFoundAndItsCureIsNamed(t *testing.T) {
	original := healthyDirectory(t)
	covered := map[string]bool{}
	for _, row := range []struct {
		name  string
		plant plant
		want
	}{
		{"the directory does not exist", func(_ *testing.T, s *doctor.Standalone) { s.DataDir += "-missing" }, want{"data-directory", doctor.Broken, "does not exist", "--data-dir"}},
		{"the directory is that of something else", func(_ *testing.T, s *doctor.Standalone) { s.DataDir = at(s, "backups") }, want{"data-directory", doctor.Broken, "is not that of a server", "--data-dir"}},
		{"the directory is a link", func(t *testing.T, s *doctor.Standalone) { filestest.MoveBehindLink(t, s.DataDir) }, want{"data-directory", doctor.Broken, "is a symbolic link", "name what it leads to"}},
		{"the directory belongs to another user", func(t *testing.T, s *doctor.Standalone) { filestest.GiveAway(t, s.DataDir) }, want{"data-directory", doctor.Broken, "belongs to uid 54321", "chown"}},
		{"other users may enter a directory", mode(0o755, "pki"), want{"modes", doctor.Warning, "other users may enter", "chmod 700"}},
		{"other users may read a key", mode(0o644, "pki/ca.key"), want{"modes", doctor.Broken, "pki/ca.key", "chmod 600"}},
		{"other users may read the kubeconfig", mode(0o640, "kubeconfig"), want{"modes", doctor.Broken, "data/kubeconfig", "chmod 600"}},
		{"a file of the database belongs to another user", func(t *testing.T, s *doctor.Standalone) { filestest.GiveAway(t, at(s, database)) }, want{"modes", doctor.Broken, "belongs to uid 54321", "chown"}},
		{"a key is a link", func(t *testing.T, s *doctor.Standalone) { filestest.MoveBehindLink(t, at(s, "pki/admin.key")) }, want{"modes", doctor.Broken, "admin.key is a symbolic link", "remove it"}},
		{"the lock is a link", func(t *testing.T, s *doctor.Standalone) { filestest.MoveBehindLink(t, at(s, "lock")) }, want{"lock", doctor.Broken, "the lock cannot be read", "as the user of the server"}},
		{"the disk is full", disk(quietDisk{free: 1 << 20}), want{"disk-space", doctor.Broken, "1 MiB are free", "free space on the disk"}},
		{"the disk is almost full", disk(quietDisk{free: 100 << 20, fsync: time.Millisecond}), want{"disk-space", doctor.Warning, "100 MiB are free", "free space on the disk"}},
		{"the disk is slow", disk(quietDisk{free: 1 << 39, fsync: 80 * time.Millisecond}), want{"disk-speed", doctor.Warning, "80ms", "a faster one"}},
		{"the disk is slower than elections", disk(quietDisk{free: 1 << 39, fsync: 2 * time.Second}), want{"disk-speed", doctor.Broken, "etcd loses its leader", "a faster one"}},
		{"the disk is read-only", disk(quietDisk{free: 1 << 39, err: unix.EROFS}), want{"disk-speed", doctor.Broken, "read-only", "mount it writable"}},
		{"the clock is an hour behind", later(-time.Hour), want{"clock", doctor.Broken, "the clock is behind", "NTP"}},
		{"the clock is before the certificates", later(-48 * time.Hour), want{"certificates", doctor.Broken, "is valid from", "set the clock"}},
		{"the serving certificate has expired", issue("serving", -time.Hour), want{"certificates", doctor.Broken, "serving.crt expired on", "restart the server"}},
		{"the serving certificate expires soon", issue("serving", 5*24*time.Hour), want{"certificates", doctor.Warning, "serving.crt expires on", "restart the server"}},
		{"the peer certificate has expired", func(t *testing.T, s *doctor.Standalone) {
			_, err := certificates.EnsurePeer(at(s, "pki"), nil, time.Now())
			must(t, err)
			issueOf("peer-ca", "peer", -time.Hour)(t, s)
		}, want{"certificates", doctor.Broken, "peer.crt expired on", "restart the server"}},
		{"the authority has expired", later(11 * 365 * 24 * time.Hour), want{"certificates", doctor.Broken, "ca.crt expired on", "remove"}},
		{"the authority is another one", func(t *testing.T, s *doctor.Standalone) {
			foreign(t, at(s, "pki", "ca.crt"), at(s, "pki", "ca.key"))
		}, want{"certificates", doctor.Broken, "serving.crt was signed by another authority", "remove"}},
		{"the key of the authority is deleted", remove("pki/ca.key"), want{"certificates", doctor.Broken, "ca.key is missing while", "from a backup"}},
		{"the authority is deleted", remove("pki/ca.key", "pki/ca.crt"), want{"certificates", doctor.Broken, "are missing, while", "from a backup"}},
		{"a certificate is deleted", remove("pki/serving.crt"), want{"certificates", doctor.Broken, "serving.crt is missing while", "remove"}},
		{"a key is damaged", write("damaged", "pki/serving.key"), want{"certificates", doctor.Broken, "serving.key is damaged", "remove"}},
		{"a key is that of another certificate", func(t *testing.T, s *doctor.Standalone) {
			must(t, os.Rename(at(s, "pki/admin.key"), at(s, "pki/serving.key")))
		}, want{"certificates", doctor.Broken, "does not belong to", "remove"}},
		{"a record of a certificate is damaged", func(t *testing.T, s *doctor.Standalone) {
			must(t, os.MkdirAll(at(s, "pki/issued"), 0o700))
			write("damaged", "pki/issued/1.crt")(t, s)
		}, want{"certificates", doctor.Broken, "a record below", "remove the file"}},
		{"the key of tokens is deleted", remove("pki/service-accounts.key"), want{"signing-key", doctor.Broken, "is missing", "from a backup"}},
		{"the key of tokens is damaged", write("damaged", "pki/service-accounts.key"), want{"signing-key", doctor.Broken, "holds no private key", "from a backup"}},
		{"the kubeconfig is deleted", remove("kubeconfig"), want{"kubeconfig", doctor.Broken, "is missing", "start the server"}},
		{"the kubeconfig is damaged", write("damaged: [", "kubeconfig"), want{"kubeconfig", doctor.Broken, "is damaged", "start the server"}},
		{"the kubeconfig has another authority", func(t *testing.T, s *doctor.Standalone) {
			edit(t, at(s, "kubeconfig"), kubeconfigAuthority)
		}, want{"kubeconfig", doctor.Broken, "the authority in the administrator's kubeconfig", "start the server"}},
		{"the kubeconfig names another server", func(t *testing.T, s *doctor.Standalone) {
			edit(t, at(s, "kubeconfig"), func(content string) string { return strings.Replace(content, "127.0.0.1", "elsewhere.example.com", 1) })
		}, want{"kubeconfig", doctor.Broken, "elsewhere.example.com, for which the serving certificate is not valid", "--tls-san=elsewhere.example.com"}},
		{"the certificate in the kubeconfig has expired", later(366 * 24 * time.Hour), want{"kubeconfig", doctor.Broken, "client certificate expired", "start the server"}},
		{"the port is taken", func(t *testing.T, s *doctor.Standalone) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			s.Listen = listener.Addr().String()
		}, want{"port", doctor.Broken, "another process listens on", "ss -ltnp"}},
		{"the membership is damaged", write("{", "cluster.json"), want{"membership", doctor.Broken, "cluster.json is damaged", "gatehouse member reset"}},
		{"a join was interrupted", write(`{"name":"b","peerURL":"https://127.0.0.1:2380","peers":["https://127.0.0.1:1"]}`, "cluster.json"), want{"membership", doctor.Warning, "the member b has not finished joining", "start the server"}},
		{"the database is cut short", func(t *testing.T, s *doctor.Standalone) { must(t, os.Truncate(at(s, database), 20000)) }, want{"database", doctor.Broken, "is damaged", "gatehouse restore"}},
		{"the database is overwritten", func(t *testing.T, s *doctor.Standalone) {
			must(t, os.WriteFile(at(s, database), bytes.Repeat([]byte("damaged"), 10000), 0o600))
		}, want{"database", doctor.Broken, "is damaged", "gatehouse restore"}},
		{"the log of the database is deleted", remove("etcd/member/wal"), want{"database", doctor.Broken, "the log is missing", "gatehouse restore"}},
		{"another process has the database open", func(t *testing.T, s *doctor.Standalone) { lockFile(t, at(s, database), syscall.LOCK_EX) }, want{"database", doctor.Broken, "another process has the database open", "fuser"}},
		{"the encryption configuration is deleted", remove("encryption.yaml"), want{"encryption", doctor.Broken, "encryption.yaml", "from a backup"}},
		{"the encryption configuration is damaged", write("kind: EncryptionConfiguration\nresources: 7\n", "encryption.yaml"), want{"encryption", doctor.Broken, "cannot load", "from a backup"}},
		{"other users may read the encryption configuration", mode(0o644, "encryption.yaml"), want{"encryption", doctor.Broken, "other users may read the keys", "gatehouse encryption rotate"}},
		{"no backup is made for two days", later(49 * time.Hour), want{"backups", doctor.Warning, "the newest is 2 days old", "gatehouse backup now"}},
		{"there is no backup", func(t *testing.T, s *doctor.Standalone) {
			remove("backups")(t, s)
			later(2*time.Hour)(t, s)
		}, want{"backups", doctor.Broken, "there is no backup", "gatehouse backup now"}},
		{"the newest backup is damaged", func(t *testing.T, s *doctor.Standalone) { flip(t, backupFile(t, s)) }, want{"backups", doctor.Broken, "cannot be used", "gatehouse backup now"}},
		{"the newest backup has objects that cannot be decoded", func(t *testing.T, s *doctor.Standalone) {
			path := backupFile(t, s)
			must(t, os.Rename(path, strings.TrimSuffix(path, ".tar.zst")+"-damaged.tar.zst"))
		}, want{"backups", doctor.Broken, "has objects that cannot be decoded", "gatehouse backup verify"}},
		{"there is no recovery key", remove("recovery-key.pub"), want{"backups", doctor.Warning, "no recovery key", "gatehouse backup init"}},
		{"the settings of backups are damaged", write("{", "backup.json"), want{"backups", doctor.Broken, "backup.json", "start the server"}},
		{"the external etcd does not respond", func(_ *testing.T, s *doctor.Standalone) { s.External.Endpoints = []string{"http://127.0.0.1:1"} }, want{"etcd", doctor.Broken, "connection refused", "read the server's log"}},
	} {
		covered[row.check] = true
		t.Run(row.name, func(t *testing.T) {
			s := standalone(copyOf(t, original))
			row.plant(t, s)
			report := doctor.Run(t.Context(), s.Checks(), timeout)
			row.want.in(t, report)
			namesCures(t, report)
		})
	}
	for _, check := range standalone(original).Checks() {
		// The faults of a running server are those of the next test.
		if !covered[check.Name] && check.Name != "server" && check.Name != "version" {
			t.Errorf("no row plants a fault for %s", check.Name)
		}
	}
}

func TestNothingIsWrongWithAHealthyDirectory(t *testing.T) {
	dir := copyOf(t, healthyDirectory(t))
	healthy(t, doctor.Run(t.Context(), standalone(dir).Checks(), timeout))
	t.Run("before the first start", func(t *testing.T) {
		report := doctor.Run(t.Context(), standalone(t.TempDir()).Checks(), timeout)
		for _, f := range report.Findings {
			// There is no recovery key, and no backup that could have been made.
			if f.Status != doctor.OK && f.Check != "backups" && f.Check != "modes" {
				t.Errorf("%s is %s: %s", f.Check, f.Status, f.Found)
			}
		}
	})
}

func TestADirectoryIsNotChanged(t *testing.T) {
	original := healthyDirectory(t)
	for _, row := range []struct {
		name  string
		plant plant
	}{
		{"healthy", func(*testing.T, *doctor.Standalone) {}},
		{"with open modes, which a start would close", mode(0o755, "pki", "etcd", "etcd/member")},
		{"with an interrupted renewal, which a start would finish", write("staged", "pki/ca.crt.next")},
		{"with a lock that a killed server has left", write("4194305\n", "lock")},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := standalone(copyOf(t, original))
			row.plant(t, s)
			before := snapshotOf(t, filepath.Dir(s.DataDir))
			s.Disk = doctor.RealDisk{}
			report := doctor.Run(t.Context(), s.Checks(), timeout)
			sameFiles(t, before, snapshotOf(t, filepath.Dir(s.DataDir)))
			if row.name == "healthy" && strings.Contains(printed(t, report), "not measured") {
				t.Skip("this file system has no files without a name")
			}
		})
	}
}

// Whatever a file is replaced by, no check panics or hangs, and no secret is printed.
func TestGarbageInAnyFileIsSurvived(t *testing.T) {
	original := healthyDirectory(t)
	const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
	for _, name := range []string{"lock", "kubeconfig", "backup.json", "encryption.yaml", "recovery-key.pub", "cluster.json", "pki/ca.crt", "pki/ca.key", "pki/serving.crt", "pki/serving.key", "pki/service-accounts.key", database, "pki/issued", "backups", "etcd", "pki"} {
		s := standalone(copyOf(t, original))
		for what, plant := range map[string]func(t *testing.T, path string){
			"text with a secret": func(t *testing.T, path string) {
				must(t, os.WriteFile(path, []byte("token: "+secret+"\nusers: "+secret+"\n"), 0o600))
			},
			"nothing": func(t *testing.T, path string) { must(t, os.WriteFile(path, nil, 0o600)) },
			"random bytes": func(t *testing.T, path string) {
				must(t, os.WriteFile(path, bytes.Repeat([]byte{0, 0xff, '-', 7}, 5000), 0o600))
			},
			"a directory":      func(t *testing.T, path string) { must(t, os.MkdirAll(filepath.Join(path, "x"), 0o700)) },
			"a pipe":           func(t *testing.T, path string) { must(t, syscall.Mkfifo(path, 0o600)) },
			"a link to itself": func(t *testing.T, path string) { must(t, os.Symlink(path, path)) },
		} {
			t.Run(name+" is "+what, func(t *testing.T) {
				must(t, os.RemoveAll(at(s, name)))
				plant(t, at(s, name))
				out := printed(t, doctor.Run(context.WithoutCancel(t.Context()), s.Checks(), timeout))
				for _, bad := range []string{"panic", "did not end", secret} {
					if strings.Contains(out, bad) {
						t.Errorf("the report has %q:\n%s", bad, out)
					}
				}
			})
		}
	}
}
