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
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/doctor"
	"github.com/gatehouse-dev/gatehouse/pkg/encryption"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
)

// timeout is that of a check. None of them waits for it but those of what does not respond.
const timeout = 20 * time.Second

// quietDisk is a disk of known speed and space, so that a busy machine changes no result.
type quietDisk struct {
	free  int64
	fsync time.Duration
	err   error
}

// Space implements doctor.Disk.
func (d quietDisk) Space(string) (free, all int64, err error) { return d.free, 1 << 40, nil }

// Fsyncs implements doctor.Disk.
func (d quietDisk) Fsyncs(context.Context, string, int) ([]time.Duration, error) {
	return []time.Duration{d.fsync, d.fsync}, d.err
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func load(ctx context.Context, path string) (backup.Decoder, error) {
	return apiserver.LoadStoredObjects(ctx, path)
}

// startHealthy starts a server of which nothing is wrong: it encrypts objects, and has a backup and a recovery key.
func startHealthy(t *testing.T) *servertesting.Server {
	t.Helper()
	server := servertesting.Start(t, func(o *options.Options) {
		path := filepath.Join(o.DataDir, "encryption.yaml")
		_, err := encryption.Init(path, time.Now(), false)
		must(t, err)
		o.Etcd.EncryptionProviderConfigFilepath = path
	})
	_, public, err := backup.NewRecoveryKey()
	must(t, err)
	must(t, backup.SaveRecipient(server.DataDir, public, false))
	settings, err := backup.ReadSettings(server.DataDir)
	must(t, err)
	_, err = settings.Maker(server.DataDir, "v0", load).Make(t.Context())
	must(t, err)
	return server
}

// healthyDirectory returns the directory of a healthy server that has stopped.
func healthyDirectory(t *testing.T) string {
	t.Helper()
	server := startHealthy(t)
	must(t, server.Stop())
	return server.DataDir
}

// copyOf copies a data directory, and names the copy where its settings name the original.
func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "data")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", "--sparse=always", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	settings := filepath.Join(to, "backup.json")
	content, err := os.ReadFile(settings)
	must(t, err)
	must(t, os.WriteFile(settings, bytes.ReplaceAll(content, []byte(dir), []byte(to)), 0o600))
	return to
}

// standalone returns the checks of a directory as the command makes them, with a quiet disk.
func standalone(dir string) *doctor.Standalone {
	return &doctor.Standalone{
		DataDir: dir, CertificateDir: options.CertificateDirName, Kubeconfig: options.KubeconfigName, BackupAge: 24 * time.Hour,
		Version: "unknown (built without make)",
		LoadEncryption: func(ctx context.Context, path string) error {
			_, err := apiserver.LoadStoredObjects(ctx, path)
			return err
		},
		Clock: clock.RealClock{}, Disk: quietDisk{free: 1 << 39, fsync: time.Millisecond},
	}
}

// want is the finding of a planted fault.
type want struct {
	check string
	doctor.Status
	found, cure string
}

// in fails the test unless a report has the finding. Findings of other checks are consequences of the fault.
func (w want) in(t *testing.T, report doctor.Report) {
	t.Helper()
	for _, f := range report.Findings {
		if f.Check == w.check && f.Status == w.Status && strings.Contains(f.Found, w.found) && strings.Contains(f.Cure, w.cure) {
			return
		}
	}
	t.Errorf("no line is %s of %s with %q and the cure %q:\n%s", w.Status, w.check, w.found, w.cure, printed(t, report))
}

// healthy fails the test if a report has something else than ok.
func healthy(t *testing.T, report doctor.Report) {
	t.Helper()
	if report.Status != doctor.OK || len(report.Findings) == 0 {
		t.Errorf("a healthy system is ill:\n%s", printed(t, report))
	}
}

func printed(t *testing.T, report doctor.Report) string {
	t.Helper()
	var b strings.Builder
	must(t, report.Print(&b))
	return b.String()
}

// namesCures fails the test if a finding has no cure, or if one that is ok has one.
func namesCures(t *testing.T, report doctor.Report) {
	t.Helper()
	for _, f := range report.Findings {
		if (f.Cure == "") != (f.Status == doctor.OK) {
			t.Errorf("%s of %s (%s) has the cure %q", f.Status, f.Check, f.Found, f.Cure)
		}
	}
}

// snapshotOf describes all files below a directory: mode, owner's times, and the hash of the content.
func snapshotOf(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%s %v %d %v", path, info.Mode(), info.Size(), info.ModTime())
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(content))
		}
		all = append(all, line)
		return nil
	}))
	return all
}

// sameFiles fails the test if the files are not as they were.
func sameFiles(t *testing.T, before, after []string) {
	t.Helper()
	if slices.Equal(before, after) {
		return
	}
	for _, line := range after {
		if !slices.Contains(before, line) {
			t.Errorf("changed or new: %s", line)
		}
	}
	t.Errorf("%d files and directories before, %d after", len(before), len(after))
}
