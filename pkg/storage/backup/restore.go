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
	"syscall"

	"go.etcd.io/etcd/api/v3/version"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded/snapshot"
)

// RestoreOptions are the inputs of Restore.
type RestoreOptions struct {
	// DataDir is the new data directory. It must not exist, or must be empty.
	DataDir string
	// Keys decrypt the backup.
	Keys Keys
	// NewKeys restores the objects without the keys of the backup: the first start makes others.
	NewKeys bool
	// AcceptDamaged restores a backup although objects in it cannot be decoded.
	AcceptDamaged bool
	// Load returns the decoder.
	Load LoadDecoder
}

// Restored is the result of Restore.
type Restored struct {
	Manifest *Manifest
	// Objects is the number of objects that were decoded from the restored database, and Sealed that of objects that
	// were not, because they are encrypted and there is no key.
	Objects, Sealed int
	// Damaged are objects that cannot be decoded, with the reason, at most 100.
	Damaged []string
	// KeyFiles are the names of the files with keys that were restored.
	KeyFiles []string
	// EncryptionConfig is the path of the restored encryption configuration; empty for none.
	EncryptionConfig string
}

// Restore makes a data directory from a backup. The directory appears under its name when everything in it is verified
// and on disk: a process that is killed before that leaves a hidden directory beside it, which the next Restore to the
// same name removes.
func Restore(ctx context.Context, path string, o RestoreOptions) (*Restored, error) {
	dataDir, err := filepath.Abs(o.DataDir)
	if err != nil {
		return nil, err
	}
	if err := checkNew(dataDir); err != nil {
		return nil, err
	}
	parent, prefix := filepath.Dir(dataDir), "."+filepath.Base(dataDir)+".restore-"
	if err := files.MakeDirectory(parent); err != nil {
		return nil, files.Flag("data-dir", err)
	}
	if err := sweep(parent, prefix); err != nil {
		return nil, err
	}
	dir, remove, err := scratch(parent, prefix)
	if err != nil {
		return nil, err
	}
	defer remove()
	u, err := unpack(ctx, path, dir, o.Keys)
	if err == nil {
		err = o.checkKeys(u)
	}
	if err != nil {
		return nil, named(path, err)
	}
	staged := filepath.Join(dir, "new")
	restored, err := o.build(ctx, u, dir, staged)
	if err != nil {
		return nil, named(path, err)
	}
	if err := syncTree(staged); err != nil {
		return nil, err
	}
	// An empty directory is replaced, which os.Rename would refuse; another one is an error.
	if err := syscall.Rename(staged, dataDir); err != nil {
		return nil, fmt.Errorf("--data-dir=%s: %w", dataDir, err)
	}
	if restored.EncryptionConfig != "" {
		restored.EncryptionConfig = filepath.Join(dataDir, restored.EncryptionConfig)
	}
	return restored, files.SyncDirectory(parent)
}

// checkNew refuses a directory with content.
func checkNew(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--data-dir: %w", err)
	case len(entries) > 0:
		return fmt.Errorf("--data-dir=%s is not empty (%s is in it), and a restore overwrites nothing: name a new directory, or move that one away", dir, entries[0].Name())
	}
	return nil
}

// checkKeys refuses a restore whose server could not read what it restores, or would silently have new keys.
func (o RestoreOptions) checkKeys(u *unpacked) error {
	switch {
	case o.NewKeys || u.keys != nil:
		return nil
	case u.manifest.hasKeys():
		return fmt.Errorf("it has the keys of the server, which the recovery key of %s decrypts: name its file with --recovery-key-file, or restore without keys with --new-keys, after which certificates, kubeconfigs and tokens that were issued before do not work", u.manifest.Recipient)
	}
	return errors.New("it has no keys, because there was no recovery key when it was made: use --new-keys, after which certificates, kubeconfigs and tokens that were issued before do not work")
}

// build makes the data directory in the directory of the unpacked parts.
func (o RestoreOptions) build(ctx context.Context, u *unpacked, dir, staged string) (*Restored, error) {
	database := filepath.Join(dir, databasePart)
	info, err := snapshot.Inspect(database)
	c := &content{Info: info}
	if err == nil {
		err = c.compare(u.manifest)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(staged, files.DirMode); err != nil {
		return nil, err
	}
	etcd := filepath.Join(staged, "etcd")
	if err := snapshot.Restore(database, etcd); err != nil {
		return nil, fmt.Errorf("%s: %w (etcd %s)", databasePart, err, version.Version)
	}
	decoder, err := o.Load(ctx, u.encryptionConfig)
	if err != nil {
		return nil, fmt.Errorf("its encryption configuration cannot be used: %w", err)
	}
	// The objects are read from what the server will open.
	if err := c.decode(ctx, snapshot.Database(etcd), decoder, u.encryptionConfig != ""); err != nil {
		return nil, err
	}
	if err := c.compareObjects(u.manifest); err != nil {
		return nil, err
	}
	if err := damagedError(c.damaged); err != nil && !o.AcceptDamaged {
		return nil, fmt.Errorf("%w; use an earlier backup, or restore it with --accept-damaged and see docs/damaged-data.md", err)
	}
	restored := &Restored{Manifest: u.manifest, Objects: c.decoded, Sealed: c.sealed, Damaged: c.damaged}
	if o.NewKeys {
		return restored, nil
	}
	for _, key := range u.keys {
		target := filepath.Join(staged, filepath.FromSlash(key.name))
		if err := os.MkdirAll(filepath.Dir(target), files.DirMode); err != nil {
			return nil, err
		}
		if err := files.WriteNew(target, key.data, key.mode); err != nil {
			return nil, err
		}
		restored.KeyFiles = append(restored.KeyFiles, key.name)
		if key.name == encryptionFile {
			restored.EncryptionConfig = filepath.FromSlash(encryptionFile)
		}
	}
	return restored, SaveRecipient(staged, u.manifest.Recipient, false)
}

// syncTree writes all files and directories of a tree to disk.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		return errors.Join(file.Sync(), file.Close())
	})
}
