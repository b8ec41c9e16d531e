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
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.uber.org/zap"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
)

const (
	// workPrefix is the prefix of the scratch directories of backups.
	workPrefix = ".backup-"
	lockName   = ".backup.lock"
	// connectTimeout bounds the first answer of etcd.
	connectTimeout = 10 * time.Second
	// keyAttempts bounds the backups that are made again because a key of encryption was replaced meanwhile.
	keyAttempts = 3
)

// ErrBusy is the error of a backup while another one is made in the same directory.
var ErrBusy = errors.New("another backup is being made: wait until it is done")

// ErrNoAnswer is the error of a backup for which no etcd answers.
var ErrNoAnswer = errors.New("etcd does not answer")

// Maker makes backups.
type Maker struct {
	// Etcd is the etcd; of several endpoints the first that answers is read.
	Etcd storage.Connection
	// DataDir has the certificates and keys, and the public part of the recovery key; empty for a backup without keys.
	DataDir string
	// EncryptionConfig is the path of the encryption configuration of the servers; empty for none.
	EncryptionConfig string
	// Work is a directory for temporary files; those of the database are as large as etcd's.
	Work string
	// Target receives the file.
	Target target.Target
	// Load returns the decoder.
	Load LoadDecoder
	// Version is that of this program.
	Version string

	// member is the ID of the etcd member that answered last.
	member string
}

// Made is a backup that was made.
type Made struct {
	Name     Name
	Manifest *Manifest
	// Bytes is the size of the file, and Took the duration.
	Bytes int64
	Took  time.Duration
}

// DamagedError is the error of a backup with objects that cannot be decoded. The backup is in the target.
type DamagedError struct{ Damaged []string }

// Error implements error.
func (e *DamagedError) Error() string {
	return fmt.Sprintf("the backup was made, but %v: see docs/damaged-data.md", damagedError(e.Damaged))
}

// Make makes a backup, verifies it and gives it to the target. The error is a *DamagedError if objects cannot be decoded,
// or a *target.CopyError if a copy could not be stored, and the backup is returned then, too. A process that is killed meanwhile leaves nothing in the target that has the
// name of a backup.
func (m *Maker) Make(ctx context.Context) (*Made, error) {
	began := time.Now()
	unlock, err := m.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir, remove, err := scratch(m.Work, workPrefix)
	if err != nil {
		return nil, err
	}
	defer remove()
	manifest, err := m.collect(ctx, dir, began)
	if err != nil {
		return nil, err
	}
	made := &Made{
		Manifest: manifest,
		Name:     Name{Cluster: manifest.Cluster, Time: manifest.Created, Revision: manifest.Revision, Damaged: len(manifest.Damaged) > 0},
	}
	packed := filepath.Join(dir, "packed")
	if err := pack(packed, manifest, map[string]string{keysPart: filepath.Join(dir, keysPart), databasePart: filepath.Join(dir, databasePart)}); err != nil {
		return nil, fmt.Errorf("writing the backup: %w", err)
	}
	if err := readBack(ctx, packed, manifest); err != nil {
		return nil, fmt.Errorf("the backup was written and cannot be read: %w", err)
	}
	info, err := os.Stat(packed)
	if err != nil {
		return nil, err
	}
	err = m.Target.Put(ctx, made.Name.String(), packed)
	_, kept := errors.AsType[*target.CopyError](err)
	if errors.Is(err, fs.ErrExist) && !kept {
		return nil, fmt.Errorf("%w: it was made in the same second: try again", err)
	} else if err != nil && !kept {
		return nil, fmt.Errorf("storing the backup in %s: %w", m.Target, err)
	}
	made.Bytes, made.Took = info.Size(), time.Since(began)
	if made.Name.Damaged {
		err = errors.Join(&DamagedError{manifest.Damaged}, err)
	}
	return made, err
}

// lock excludes other backups in the same directory, and removes what killed ones have left.
func (m *Maker) lock() (unlock func(), err error) {
	if err := files.MakeDirectory(m.Work); err != nil {
		return nil, err
	}
	file, err := files.Open(filepath.Join(m.Work, lockName), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	if err := files.TryLock(file); errors.Is(err, files.ErrLocked) {
		return nil, errors.Join(ErrBusy, file.Close())
	} else if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := errors.Join(sweep(m.Work, workPrefix), m.Target.Sweep()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}

// collect writes the parts to a directory, verifies them, and returns the manifest.
func (m *Maker) collect(ctx context.Context, dir string, at time.Time) (*Manifest, error) {
	manifest := &Manifest{Format: format, Created: at.UTC().Truncate(time.Second), Gatehouse: m.Version}
	keys, err := m.save(ctx, dir, manifest)
	if err != nil {
		return nil, err
	}
	config := ""
	if data := encryptionOf(keys); data != nil {
		config = filepath.Join(dir, "encryption.yaml")
		if err := os.WriteFile(config, data, fileMode); err != nil {
			return nil, err
		}
	}
	decoder, err := m.Load(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("--encryption-provider-config=%s: %w", m.EncryptionConfig, err)
	}
	// Without a configuration no object may be encrypted: the decoder says which key is missing.
	found, err := inspect(ctx, filepath.Join(dir, databasePart), decoder, true)
	if err != nil {
		return nil, fmt.Errorf("verifying the snapshot of etcd: %w", err)
	}
	manifest.Revision, manifest.Hash, manifest.Keys, manifest.StorageVersion = found.Revision, found.Hash, found.Keys, found.StorageVersion
	manifest.Objects, manifest.Damaged = found.objects, found.damaged
	return manifest, m.addParts(dir, manifest, keys)
}

// addParts encrypts the keys, if there is a recovery key, and adds the parts to the manifest.
func (m *Maker) addParts(dir string, manifest *Manifest, keys []keyFile) error {
	parts := []string{databasePart}
	if m.DataDir != "" && len(keys) > 0 {
		public, err := Recipient(m.DataDir)
		if err != nil {
			return err
		}
		if public != "" {
			if err := sealKeys(filepath.Join(dir, keysPart), public, keys); err != nil {
				return fmt.Errorf("encrypting the keys: %w", err)
			}
			for _, key := range keys {
				manifest.KeyFiles = append(manifest.KeyFiles, key.name)
			}
			manifest.Recipient = public
			parts = []string{keysPart, databasePart}
		}
	}
	for _, name := range parts {
		part, err := describePart(name, filepath.Join(dir, name))
		if err != nil {
			return err
		}
		manifest.Parts = append(manifest.Parts, part)
	}
	return nil
}

// save saves the database to a directory and returns the keys that belong to it.
func (m *Maker) save(ctx context.Context, dir string, manifest *Manifest) ([]keyFile, error) {
	path := filepath.Join(dir, databasePart)
	keys, err := m.keys()
	for range keyAttempts {
		if err != nil {
			return nil, err
		}
		if err := m.saveDatabase(ctx, path, manifest); err != nil {
			return nil, err
		}
		// A rotation may have added a key before the snapshot was taken, or dropped one.
		before := keys
		if keys, err = m.keys(); err == nil && reflect.DeepEqual(before, keys) {
			return keys, nil
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	return nil, errors.Join(errors.New("keys were replaced while each of several snapshots was taken: try again"), err)
}

func (m *Maker) keys() ([]keyFile, error) {
	if m.DataDir == "" {
		return collectKeys(m.Work, m.EncryptionConfig)
	}
	return collectKeys(m.DataDir, m.EncryptionConfig)
}

// saveDatabase saves the database of the first endpoint that answers.
func (m *Maker) saveDatabase(ctx context.Context, path string, manifest *Manifest) error {
	m.member = ""
	config, etcd, err := m.connect(ctx)
	if err != nil {
		return err
	}
	manifest.Cluster, manifest.Etcd, m.member = etcd.cluster, etcd.version, etcd.member
	_, err = snapshot.SaveWithVersion(ctx, zap.NewNop(), config, path)
	if err != nil {
		return fmt.Errorf("saving the database of etcd at %s: %w", config.Endpoints[0], err)
	}
	return nil
}

// connect returns the configuration of a client of the first endpoint that answers, and its identity.
func (m *Maker) connect(ctx context.Context) (clientv3.Config, identity, error) {
	errs := []error{}
	for _, endpoint := range m.Etcd.Endpoints {
		one := m.Etcd
		one.Endpoints = []string{endpoint}
		config, err := one.ClientConfig(ctx)
		if err != nil {
			return config, identity{}, err
		}
		config.Logger = zap.NewNop()
		etcd, err := identify(ctx, config)
		if err == nil {
			return config, etcd, nil
		}
		errs = append(errs, fmt.Errorf("%w at %s: %w", ErrNoAnswer, endpoint, err))
	}
	return clientv3.Config{}, identity{}, errors.Join(errs...)
}

// identity is the IDs of a cluster and of one of its members, in hexadecimal digits, and the version of the member.
type identity struct{ cluster, member, version string }

// identify returns the identity of an etcd.
func identify(ctx context.Context, config clientv3.Config) (identity, error) {
	client, err := clientv3.New(config)
	if err != nil {
		return identity{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	status, err := client.Status(ctx, config.Endpoints[0])
	if err != nil {
		return identity{}, err
	}
	return identity{strconv.FormatUint(status.Header.GetClusterId(), 16), strconv.FormatUint(status.Header.GetMemberId(), 16), status.Version}, nil
}

// readBack reads a backup that was written.
func readBack(ctx context.Context, path string, wanted *Manifest) error {
	a, err := openFile(path)
	if err != nil {
		return err
	}
	defer a.close()
	if !reflect.DeepEqual(a.Manifest, wanted) {
		return fmt.Errorf("%s is not as it was written", manifestPart)
	}
	return a.check(ctx)
}
