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
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/coreos/go-semver/semver"
)

// Names of the parts.
const (
	manifestPart = "manifest.json"
	keysPart     = "keys.age"
	databasePart = "etcd.db"
)

// format is the version of the layout of a backup that this program writes, and the newest that it reads.
const format = 1

// maxManifest bounds what is read of a manifest, in bytes: it has one line for each resource.
const maxManifest = 4 << 20

// Manifest describes a backup.
type Manifest struct {
	// Format is the version of the layout.
	Format int `json:"format"`
	// Created is when the backup was begun.
	Created time.Time `json:"created"`
	// Cluster is the ID of the etcd cluster in hexadecimal digits.
	Cluster string `json:"cluster"`
	// Gatehouse, Etcd and StorageVersion are the versions of the program, of etcd, and of the format of its database.
	Gatehouse      string `json:"gatehouse"`
	Etcd           string `json:"etcd"`
	StorageVersion string `json:"storageVersion"`
	// Revision is that of the last write, and Hash etcd's hash of the database, as etcdutl prints it.
	Revision int64  `json:"revision"`
	Hash     uint32 `json:"hash"`
	// Keys is the number of keys of etcd, of objects and others.
	Keys int `json:"keys"`
	// Objects are numbers of objects by resource.
	Objects map[string]int `json:"objects"`
	// Damaged are objects that could not be decoded when the backup was made, with the reason, at most 100.
	Damaged []string `json:"damaged,omitempty"`
	// KeyFiles are the names of the files in keys.age, and Recipient is the public part of their recovery key.
	KeyFiles  []string `json:"keyFiles,omitempty"`
	Recipient string   `json:"recipient,omitempty"`
	// Parts are the other parts, in the order of the file.
	Parts []Part `json:"parts"`
}

// Part is a part of a backup.
type Part struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Total returns the number of objects.
func (m *Manifest) Total() int {
	total := 0
	for n := range maps.Values(m.Objects) {
		total += n
	}
	return total
}

func (m *Manifest) encode() ([]byte, error) {
	data, err := json.MarshalIndent(m, "", "  ")
	return append(data, '\n'), err
}

// decodeManifest returns the manifest of a backup that this program reads.
func decodeManifest(data []byte, etcdVersion string) (*Manifest, error) {
	var version struct {
		Format    int    `json:"format"`
		Gatehouse string `json:"gatehouse"`
	}
	if err := json.Unmarshal(data, &version); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", manifestPart, err)
	}
	if version.Format > format {
		return nil, fmt.Errorf("it was written by Gatehouse %s, in format %d, and this program reads formats up to %d: use that version", version.Gatehouse, version.Format, format)
	}
	m := &Manifest{}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", manifestPart, err)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", manifestPart, err)
	}
	if m.StorageVersion != "" {
		stored, err := semver.NewVersion(m.StorageVersion)
		ours, ourErr := semver.NewVersion(etcdVersion)
		if err != nil || ourErr != nil {
			return nil, fmt.Errorf("%s is damaged: storageVersion %q is no version", manifestPart, m.StorageVersion)
		}
		if stored.Major > ours.Major || stored.Major == ours.Major && stored.Minor > ours.Minor {
			return nil, fmt.Errorf("its database was written by etcd %d.%d, which is newer than the etcd %s in this program: use Gatehouse %s", stored.Major, stored.Minor, etcdVersion, m.Gatehouse)
		}
	}
	return m, nil
}

// check returns an error for a manifest that no program has written.
func (m *Manifest) check() error {
	switch {
	case m.Format < 1:
		return fmt.Errorf("format is %d", m.Format)
	case m.Cluster == "" || m.Created.IsZero() || m.Revision < 1:
		return fmt.Errorf("cluster, created or revision is missing")
	case len(m.Parts) == 0 || m.Parts[len(m.Parts)-1].Name != databasePart:
		return fmt.Errorf("its last part is not %s", databasePart)
	}
	if m.hasKeys() != (len(m.KeyFiles) > 0) {
		return fmt.Errorf("keyFiles and the part %s do not agree", keysPart)
	}
	for _, part := range m.Parts {
		if part.Name != keysPart && part.Name != databasePart {
			return fmt.Errorf("it lists the unknown part %q", part.Name)
		}
	}
	return nil
}

func (m *Manifest) hasKeys() bool {
	return slices.ContainsFunc(m.Parts, func(p Part) bool { return p.Name == keysPart })
}
