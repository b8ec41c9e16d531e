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
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// parts are the parts of a backup on disk, to be changed and packed again.
type parts struct {
	dir      string
	manifest *Manifest
}

// damage unpacks a backup, changes it, and packs it to a new file. mend describes the changed parts in the manifest.
func damage(t *testing.T, path string, mend bool, change func(*testing.T, *parts)) string {
	t.Helper()
	p := &parts{dir: t.TempDir()}
	a, err := openFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if err := a.unpack(t.Context(), p.dir); err != nil {
		t.Fatal(err)
	}
	p.manifest = a.Manifest
	change(t, p)
	paths := map[string]string{}
	for i, part := range p.manifest.Parts {
		paths[part.Name] = filepath.Join(p.dir, part.Name)
		if mend {
			if p.manifest.Parts[i], err = describePart(part.Name, paths[part.Name]); err != nil {
				t.Fatal(err)
			}
		}
	}
	out := filepath.Join(t.TempDir(), "changed.tar.zst")
	if err := pack(out, p.manifest, paths); err != nil {
		t.Fatal(err)
	}
	return out
}

// flip flips a bit in the middle of a part.
func flip(name string) func(*testing.T, *parts) {
	return func(t *testing.T, p *parts) {
		rewrite(t, filepath.Join(p.dir, name), func(data []byte) []byte {
			data[len(data)/2] ^= 4
			return data
		})
	}
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func inManifest(change func(*Manifest)) func(*testing.T, *parts) {
	return func(_ *testing.T, p *parts) { change(p.manifest) }
}

// inDatabase changes the first occurrence of a text in the database.
func inDatabase(from, to string) func(*testing.T, *parts) {
	return func(t *testing.T, p *parts) {
		rewrite(t, filepath.Join(p.dir, databasePart), func(data []byte) []byte {
			if !bytes.Contains(data, []byte(from)) {
				t.Fatalf("the database has no %q", from)
			}
			return bytes.Replace(data, []byte(from), []byte(to), 1)
		})
	}
}

func TestABackupThatIsWrongIsRefusedWithTheNameOfWhatIsWrong(t *testing.T) {
	s := newSource(t)
	_, good := s.make(t)
	other, _, err := NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	wrongKey, err := ParseRecoveryKey([]byte(other))
	if err != nil {
		t.Fatal(err)
	}
	file := func(change func([]byte) []byte) func(*testing.T) string {
		return func(t *testing.T) string {
			data, err := os.ReadFile(good)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "changed.tar.zst")
			if err := os.WriteFile(path, change(data), 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}
	}
	packed := func(mend bool, change func(*testing.T, *parts)) func(*testing.T) string {
		return func(t *testing.T) string { return damage(t, good, mend, change) }
	}
	for _, tc := range []struct {
		name string
		make func(*testing.T) string
		key  age.Identity
		says string
	}{
		{"no file", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, nil, "no such file"},
		{"a directory", func(t *testing.T) string { return t.TempDir() }, nil, "it is no regular file"},
		{"an empty file", file(func([]byte) []byte { return nil }), nil, "manifest.json is missing: the file is cut short"},
		{"another file", file(func([]byte) []byte { return bytes.Repeat([]byte("text "), 1000) }), nil, "it is not compressed by zstd"},
		{"a file cut short in the middle", file(func(d []byte) []byte { return d[:len(d)/2] }), nil, "is cut short"},
		{"a file cut short by one byte", file(func(d []byte) []byte { return d[:len(d)-1] }), nil, "cut short"},
		{"a byte flipped in the compressed data", file(func(d []byte) []byte { d[len(d)/2] ^= 1; return d }), nil, "is damaged"},
		{"a bit flipped in the database", packed(false, flip(databasePart)), nil, "etcd.db is damaged: its SHA-256 is"},
		{"a bit flipped in the keys", packed(false, flip(keysPart)), nil, "keys.age is damaged: its SHA-256 is"},
		{"keys that were changed with the manifest", packed(true, flip(keysPart)), nil, "keys.age is damaged"},
		{"a database that was changed with the manifest", packed(true, inDatabase("uid-m3", "uid-x3")), nil, "the database is damaged: its SHA-256 is not the one at its end"},
		{"a page of the database that was changed with the manifest", packed(true, func(t *testing.T, p *parts) {
			rewrite(t, filepath.Join(p.dir, databasePart), func(d []byte) []byte { return append(d[:8192:8192], bytes.Repeat([]byte{0xff}, len(d)-8192)...) })
		}), nil, "the database is damaged: its SHA-256"},
		{"a manifest of another revision", packed(false, inManifest(func(m *Manifest) { m.Revision++ })), nil, "manifest.json says revision"},
		{"a manifest of another hash", packed(false, inManifest(func(m *Manifest) { m.Hash++ })), nil, "manifest.json says hash"},
		{"a manifest of another number of keys", packed(false, inManifest(func(m *Manifest) { m.Keys++ })), nil, "manifest.json says keys"},
		{"a manifest of other objects", packed(false, inManifest(func(m *Manifest) { m.Objects["secrets"] = 1 })), nil, "0 of secrets and not 1"},
		{"a manifest of fewer objects", packed(false, inManifest(func(m *Manifest) { m.Objects["configmaps"]-- })), nil, "20 of configmaps and not 19"},
		{"a manifest of another size", packed(true, func(_ *testing.T, p *parts) {}), nil, ""},
		{"a manifest that names other keys", packed(false, inManifest(func(m *Manifest) { m.KeyFiles = []string{"pki/ca.crt"} })), nil, "keys.age has the files pki/ca.crt, pki/ca.key, and manifest.json says pki/ca.crt"},
		{"a manifest without the keys that follow", packed(false, inManifest(func(m *Manifest) { m.KeyFiles, m.Parts = nil, m.Parts[1:] })), nil, "--new-keys"},
		{"a manifest without its database", packed(false, inManifest(func(m *Manifest) { m.Parts = m.Parts[:1] })), nil, "its last part is not etcd.db"},
		{"a manifest without a cluster", packed(false, inManifest(func(m *Manifest) { m.Cluster = "" })), nil, "cluster, created or revision is missing"},
		{"a newer format", packed(false, inManifest(func(m *Manifest) { m.Format, m.Gatehouse = 2, "v9.9.9" })), nil, "it was written by Gatehouse v9.9.9, in format 2"},
		{"a newer etcd", packed(false, inManifest(func(m *Manifest) { m.StorageVersion = "9.1.0" })), nil, "its database was written by etcd 9.1"},
		{"an etcd of no version", packed(false, inManifest(func(m *Manifest) { m.StorageVersion = "new" })), nil, `storageVersion "new" is no version`},
		{"another recovery key", func(*testing.T) string { return good }, wrongKey, ErrWrongKey.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path, key := tc.make(t), tc.key
			if key == nil {
				key = s.secret
			}
			parent := t.TempDir()
			_, err := Restore(t.Context(), path, RestoreOptions{DataDir: filepath.Join(parent, "new"), Keys: Keys{Recovery: key}, Load: load})
			if tc.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("the restore got %v", err)
			}
			if left := entries(t, parent); len(left) > 0 {
				t.Errorf("the restore has left %q", left)
			}
			if strings.HasPrefix(tc.says, "--new-keys") {
				return // a backup without keys is sound
			}
			if _, err := Verify(t.Context(), path, Keys{Recovery: key}, load); err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("the verification got %v", err)
			}
		})
	}
}

// flips is the number of bytes that the test below flips, one at a time.
const flips = 200

// expand decompresses a file.
func expand(t *testing.T, data []byte) []byte {
	t.Helper()
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	content, err := decoder.DecodeAll(data, nil)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func TestABackupWithAnyByteFlippedIsRefused(t *testing.T) {
	s := newSource(t)
	_, good := s.make(t)
	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	seed := kit.Seed(t)
	random := rand.New(rand.NewPCG(seed, seed))
	path := filepath.Join(t.TempDir(), "changed.tar.zst")
	for range flips {
		changed, at := slices.Clone(data), random.IntN(len(data))
		changed[at] ^= byte(1 << random.IntN(8))
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := openFile(path)
		if err == nil {
			err = a.check(t.Context())
			a.close()
		}
		// Some bits have no effect: they choose among equal bytes that were seen before.
		if err == nil && !bytes.Equal(expand(t, changed), expand(t, data)) {
			t.Errorf("a bit flipped in byte %d of %d is not found", at, len(data))
		}
	}
}

func TestAManifestIsTheSameAfterItWasWrittenAndRead(t *testing.T) {
	s := newSource(t)
	made, path := s.make(t)
	read, err := ReadManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(made.Manifest)
	if got, _ := json.Marshal(read); !bytes.Equal(got, want) {
		t.Errorf("read %s, and wrote %s", got, want)
	}
}
