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

package backup

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded/snapshot"
)

func TestABackupHoldsObjectsAndKeysAndIsRestoredWithThem(t *testing.T) {
	s := newSource(t)
	made, path := s.make(t)
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 || info.Size() != made.Bytes {
		t.Errorf("the file is %v, %v", info, err)
	}
	if got := entries(t, s.Work); !slices.Equal(got, []string{lockName, made.Name.String()}) {
		t.Errorf("the directory has %q", got)
	}
	want := []string{"pki/ca.crt", "pki/ca.key"}
	if m := made.Manifest; m.Total() != testObjects || m.Objects["configmaps"] != testObjects || !slices.Equal(m.KeyFiles, want) {
		t.Errorf("the manifest is %+v", m)
	}
	verified, err := Verify(t.Context(), path, Keys{Recovery: s.secret}, load)
	if err != nil || verified.Decoded != testObjects || !verified.KeysOpened {
		t.Errorf("verified %+v, %v", verified, err)
	}
	dir := filepath.Join(t.TempDir(), "below", "new")
	restored, err := Restore(t.Context(), path, RestoreOptions{DataDir: dir, Keys: Keys{Recovery: s.secret}, Load: load})
	if err != nil || restored.Objects != testObjects || !slices.Equal(restored.KeyFiles, want) {
		t.Fatalf("restored %+v, %v", restored, err)
	}
	for name, mode := range map[string]os.FileMode{"pki/ca.crt": 0o644, "pki/ca.key": 0o600, recipientName: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s is %v, %v", name, info, err)
		}
	}
	if got := entries(t, filepath.Dir(dir)); !slices.Equal(got, []string{"new"}) {
		t.Errorf("beside the new directory there is %q", got)
	}
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: filepath.Join(dir, "etcd")})
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	client := etcd.NewClient()
	defer client.Close()
	got, err := client.Get(t.Context(), "/registry/configmaps/default/m7")
	if err != nil || len(got.Kvs) != 1 || got.Header.Revision < made.Manifest.Revision+snapshot.RevisionBump {
		t.Errorf("etcd has %v, %v", got, err)
	}
	again := &source{Maker: &Maker{Etcd: s.Etcd, Work: DefaultDir(dir), Target: s.Target, Load: load}}
	again.Etcd.Endpoints = etcd.Endpoints()
	second, err := again.Make(t.Context())
	if err != nil || second.Name.Cluster == made.Name.Cluster || second.Manifest.Total() != testObjects {
		t.Errorf("a backup of the restored etcd is %+v, %v: its cluster must be another than %s", second, err, made.Name.Cluster)
	}
}

func TestABackupIsMadeWithoutKeysIfThereIsNoRecoveryKey(t *testing.T) {
	s := newSource(t)
	if err := os.Remove(filepath.Join(s.dir, recipientName)); err != nil {
		t.Fatal(err)
	}
	_, path := s.make(t)
	o := RestoreOptions{DataDir: filepath.Join(t.TempDir(), "new"), Load: load}
	if _, err := Restore(t.Context(), path, o); err == nil || !strings.Contains(err.Error(), "--new-keys") {
		t.Errorf("a restore without keys got %v", err)
	}
	o.NewKeys = true
	if _, err := Restore(t.Context(), path, o); err != nil {
		t.Error(err)
	}
	if got := entries(t, o.DataDir); !slices.Equal(got, []string{"etcd"}) {
		t.Errorf("the new directory has %q", got)
	}
}

func TestAnObjectThatCannotBeDecodedIsReportedAndTheBackupIsKept(t *testing.T) {
	for _, tc := range []struct{ name, key, value, says string }{
		{"garbage", "/registry/configmaps/default/bad", "k8s\x00garbage", "/registry/configmaps/default/bad: it cannot be decoded"},
		{"an object of another kind", "/registry/secrets/default/bad", "", "/registry/secrets/default/bad: it is a *v1.ConfigMap"},
		{"a resource of a newer version", "/registry/new.gatehouse.dev/things/bad", "", "/registry/new.gatehouse.dev/things/bad: this program does not know the resource"},
		{"an encrypted object without a key", "/registry/configmaps/default/bad", "k8s:enc:secretbox:v1:key-1:xyz", `it was written with the secretbox key "key-1"`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSource(t)
			if tc.value == "" {
				tc.value = string(encoded(t, "bad", "b"))
			}
			s.putRaw(t, tc.key, []byte(tc.value))
			made, err := s.Make(t.Context())
			if _, damaged := errors.AsType[*DamagedError](err); !damaged || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("got %v", err)
			}
			path := filepath.Join(s.Work, made.Name.String())
			if !strings.HasSuffix(path, "-damaged.tar.zst") {
				t.Errorf("the file is %s", path)
			}
			if strings.Contains(tc.value, "k8s:enc") {
				return // without any key, such objects are only counted
			}
			if _, err := Verify(t.Context(), path, Keys{}, load); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the verification got %v", err)
			}
			o := RestoreOptions{DataDir: filepath.Join(t.TempDir(), "new"), Keys: Keys{Recovery: s.secret}, Load: load}
			if _, err := Restore(t.Context(), path, o); err == nil || !strings.Contains(err.Error(), "--accept-damaged") {
				t.Errorf("the restore got %v", err)
			}
			o.AcceptDamaged = true
			if restored, err := Restore(t.Context(), path, o); err != nil || len(restored.Damaged) != 1 {
				t.Errorf("the restore of what is whole got %+v, %v", restored, err)
			}
		})
	}
}

func TestARestoreOverwritesNothing(t *testing.T) {
	s := newSource(t)
	_, path := s.make(t)
	full, file, empty := t.TempDir(), filepath.Join(t.TempDir(), "file"), t.TempDir()
	for _, name := range []string{filepath.Join(full, "kubeconfig"), file} {
		if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct{ name, dir, says string }{
		{"a directory with files", full, "is not empty (kubeconfig is in it)"},
		{"a file", file, "--data-dir: "},
		{"an empty directory is used", empty, ""},
		{"the same directory again", empty, "is not empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Restore(t.Context(), path, RestoreOptions{DataDir: tc.dir, Keys: Keys{Recovery: s.secret}, Load: load})
			if tc.says == "" && err != nil || tc.says != "" && (err == nil || !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("got %v", err)
			}
		})
	}
	if data, err := os.ReadFile(filepath.Join(full, "kubeconfig")); err != nil || string(data) != "mine" {
		t.Errorf("the file has %q, %v", data, err)
	}
}

func TestOneBackupAtATimeUsesADirectoryAndRemovesWhatAKilledOneHasLeft(t *testing.T) {
	s := newSource(t)
	left := filepath.Join(s.Work, workPrefix+"123")
	if err := os.MkdirAll(filepath.Join(left, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := s.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("the directory of a killed backup: %v", err)
	}
	if _, err := s.Make(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("a second backup got %v", err)
	}
	unlock()
	s.make(t)
}
