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

package security

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// patience is the time limit of a command; a server that starts is stopped after it.
const patience = time.Minute

// stranger is the ID of a user that owns nothing else on this machine.
const stranger = 54321

// fileAttack is the preparation of another user of the machine, and the command that an administrator
// then runs.
type fileAttack struct {
	name string
	// prepare changes files in a directory of the attacker; victim is a file
	// elsewhere that must stay unchanged.
	prepare func(dir, victim string) error
	// args is the command; DIR is replaced by the directory.
	args string
	says string
}

// Files plays attacks of other users of the machine on commands of root: a replaced certificate
// authority, or a file that root truncates or writes. It needs root, to change the owner of files.
func Files(t *testing.T, program string) {
	t.Helper()
	if why := filesSkipped(); why != "" {
		t.Skip(why)
	}
	for _, row := range fileRows() {
		t.Run(row.name, func(t *testing.T) {
			if err := row.play(t.Context(), program); err != nil {
				t.Error(err)
			}
		})
	}
}

// filesSkipped returns why Files cannot run here; empty if it can.
func filesSkipped() string {
	if os.Geteuid() != 0 {
		return "only root can give files to another user, and only root has more rights to lose"
	}
	return ""
}

// play returns an error if the command did not refuse.
func (f fileAttack) play(ctx context.Context, program string) error {
	at, err := os.MkdirTemp("", "gh-") // short, because of the limit of a unix socket's path
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(at) }()
	dir, victim := filepath.Join(at, "a", "d"), filepath.Join(at, "victim")
	if err := furnish(dir, victim); err != nil {
		return err
	}
	if err := f.prepare(dir, victim); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, strings.Fields(strings.ReplaceAll(f.args, "DIR", dir))...)
	cmd.Dir = at
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	err = cmd.Run()
	var wrong []error
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		wrong = append(wrong, fmt.Errorf("ended with %w and not with code 1:\n%s", err, said.String()))
	}
	if !strings.Contains(said.String(), f.says) {
		wrong = append(wrong, fmt.Errorf("does not contain %q:\n%s", f.says, said.String()))
	}
	if strings.Contains(said.String(), "PRIVATE KEY") || strings.Contains(said.String(), "client-key-data") {
		wrong = append(wrong, fmt.Errorf("prints a key:\n%s", said.String()))
	}
	if data, err := os.ReadFile(victim); err != nil || string(data) != victimContent {
		wrong = append(wrong, fmt.Errorf("the file elsewhere holds %q (%w)", data, err))
	}
	return errors.Join(wrong...)
}

const victimContent = "not of the server"

// furnish creates a data directory as a server leaves it.
func furnish(dir, victim string) error {
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(victim, []byte(victimContent), 0o600)); err != nil {
		return err
	}
	b, err := certificates.Ensure(filepath.Join(dir, "pki"), certificates.Options{})
	if err != nil {
		return err
	}
	return certificates.WriteKubeconfig(filepath.Join(dir, "kubeconfig"), "https://127.0.0.1:1", b.CA.CertPEM, b.Admin.CertPEM, b.Admin.KeyPEM, "gatehouse")
}

// giveAll changes the owner of a directory and its content to the stranger.
func giveAll(path string) error {
	return filepath.WalkDir(path, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, stranger, stranger))
	})
}

func fileRows() []fileAttack {
	const up = "up --listen 127.0.0.1:0 --data-dir DIR"
	const foreign = "belongs to uid 54321"
	whole := func(dir, _ string) error { return giveAll(dir) }
	pki := func(dir, _ string) error { return giveAll(dir + "/pki") }
	elsewhere := func(name string) func(dir, _ string) error {
		return func(dir, _ string) error {
			moved := dir + "-elsewhere"
			return errors.Join(os.MkdirAll(dir+"/"+name, 0o700), os.Rename(dir+"/"+name, moved), os.Symlink(moved, dir+"/"+name))
		}
	}
	rows := []fileAttack{
		{"root starts in a directory of another user", whole, up, foreign},
		{"root starts the server with every flag in a directory of another user", whole, "apiserver --mode=standalone --bind-address=127.0.0.1 --secure-port=0 --data-dir DIR", foreign},
		{"root starts below a directory of another user", func(dir, _ string) error { return os.Chown(filepath.Dir(dir), stranger, stranger) }, up, foreign},
		{"root starts below a directory that all may write", func(dir, _ string) error { return os.Chmod(filepath.Dir(dir), 0o777) }, up, "can be written by other users"},
		{"root starts below a directory that a group may write", func(dir, _ string) error {
			return errors.Join(os.Chown(filepath.Dir(dir), 0, stranger), os.Chmod(filepath.Dir(dir), 0o770))
		}, up, "can be written by other users"},
		{"the data directory is a link", func(dir, _ string) error { return errors.Join(os.Rename(dir, dir+"-x"), os.Symlink(dir+"-x", dir)) }, up, "is a symbolic link"},
		{"the lock is a link to a file of root", func(dir, victim string) error { return os.Symlink(victim, dir+"/lock") }, up, "is a symbolic link"},
		{"the lock is a hard link to a file of root", func(dir, victim string) error { return os.Link(victim, dir+"/lock") }, up, "has 2 names"},
		{"the lock belongs to another user", func(dir, _ string) error {
			return errors.Join(os.WriteFile(dir+"/lock", nil, 0o644), giveAll(dir+"/lock"))
		}, up, foreign},
		{"the authority belongs to another user", pki, up, foreign},
		{"the authority is elsewhere", elsewhere("pki"), up, "is a symbolic link"},
		{"the key of the authority belongs to another user", func(dir, _ string) error { return giveAll(dir + "/pki/ca.key") }, up, foreign},
		{"the key of the authority is a link", func(dir, victim string) error {
			return errors.Join(os.Remove(dir+"/pki/ca.key"), os.Symlink(victim, dir+"/pki/ca.key"))
		}, up, "is a symbolic link"},
		{"the key that signs tokens belongs to another user", func(dir, _ string) error {
			return errors.Join(os.WriteFile(dir+"/pki/service-accounts.key", nil, 0o600), giveAll(dir+"/pki/service-accounts.key"))
		}, up, foreign},
		{"the database belongs to another user", func(dir, _ string) error {
			return errors.Join(os.MkdirAll(dir+"/etcd/member", 0o700), giveAll(dir+"/etcd"))
		}, up, foreign},
		{"the database is elsewhere", elsewhere("etcd"), up, "is a symbolic link"},
	}
	server := "apiserver --mode=standalone --bind-address=127.0.0.1 --secure-port=0 --data-dir DIR "
	for _, flag := range []string{"token-auth-file", "service-account-signing-key-file", "service-account-key-file", "client-ca-file", "requestheader-client-ca-file", "encryption-provider-config"} {
		given := func(change func(string) error) func(dir, _ string) error {
			return func(dir, _ string) error {
				return errors.Join(os.WriteFile(dir+"/given", nil, 0o600), change(dir+"/given"))
			}
		}
		args := server + "--" + flag + "=DIR/given"
		rows = append(rows,
			fileAttack{"the file of --" + flag + " belongs to another user", given(giveAll), args, "--" + flag + ": "},
			fileAttack{"the file of --" + flag + " can be written by all", given(func(p string) error { return os.Chmod(p, 0o666) }), args, "can be written by other users"},
		)
	}
	for name, args := range map[string]string{
		"user add":       "user add jane --data-dir DIR",
		"host add":       "host add edge-1 --data-dir DIR",
		"host revoke":    "host revoke edge-1 --data-dir DIR",
		"kubeconfig":     "kubeconfig --data-dir DIR",
		"simulate-hosts": "simulate-hosts --data-dir DIR",
	} {
		rows = append(rows, fileAttack{"gatehouse " + name + " in a directory of another user", whole, args, foreign})
	}
	return append(rows,
		fileAttack{"gatehouse user add with the authority of another user", pki, "user add jane --server https://127.0.0.1:1 --data-dir DIR", foreign},
		fileAttack{"gatehouse certificates in a directory of another user", pki, "certificates --dir DIR/pki", foreign},
		fileAttack{"gatehouse user add writes through a link", func(dir, victim string) error { return os.Symlink(victim, dir+"/out") }, "user add jane --data-dir DIR --out DIR/out", "exists"},
		fileAttack{"gatehouse encryption init in a directory of another user", whole, "encryption init DIR/keys.yaml", foreign},
		fileAttack{"gatehouse encryption init in a directory that all may write", func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "encryption init DIR/keys.yaml", "can be written by other users"},
		fileAttack{"gatehouse encryption init writes through a link", func(dir, victim string) error { return os.Symlink(victim, dir+"/keys.yaml") }, "encryption init DIR/keys.yaml", "exists and is not overwritten"},
		fileAttack{"gatehouse encryption rotate trusts the keys of another user", func(dir, _ string) error {
			return errors.Join(os.WriteFile(dir+"/keys.yaml", nil, 0o600), giveAll(dir+"/keys.yaml"))
		}, "encryption rotate DIR/keys.yaml --data-dir DIR", foreign},
		fileAttack{"gatehouse kubeconfig reads through a link", func(dir, victim string) error {
			return errors.Join(os.Remove(dir+"/kubeconfig"), os.Symlink(victim, dir+"/kubeconfig"))
		}, "kubeconfig --data-dir DIR", "is a symbolic link"},
	)
}
