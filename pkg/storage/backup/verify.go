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
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"filippo.io/age"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded/snapshot"
)

// maxDamaged bounds the objects that a manifest or an error lists.
const maxDamaged = 100

// Decoder decodes stored values. It is used from several goroutines.
type Decoder interface {
	// Decode returns an error that begins with the key if a server could not read the value.
	Decode(ctx context.Context, key string, value []byte) error
}

// LoadDecoder returns a decoder with the keys of the encryption configuration at a path; an empty path is none.
type LoadDecoder func(ctx context.Context, encryptionConfig string) (Decoder, error)

// content is what a database holds.
type content struct {
	snapshot.Info
	// objects are numbers of objects by resource.
	objects map[string]int
	// decoded is the number of objects that were decoded, and sealed that of objects that were not, because they are
	// encrypted and there is no key.
	decoded, sealed int
	// damaged are objects that could not be decoded, with the reason, at most maxDamaged.
	damaged []string
}

// inspect reads a database and decodes all objects. If keys is false, encrypted objects are counted only.
func inspect(ctx context.Context, path string, decoder Decoder, keys bool) (*content, error) {
	info, err := snapshot.Inspect(path)
	if err != nil {
		return nil, err
	}
	c := &content{Info: info}
	return c, c.decode(ctx, path, decoder, keys)
}

// decode decodes all objects of a database.
func (c *content) decode(ctx context.Context, path string, decoder Decoder, keys bool) error {
	c.objects = map[string]int{}
	var mu sync.Mutex
	return snapshot.ForEach(ctx, path, runtime.GOMAXPROCS(0), func(key, value []byte) error {
		name := string(key)
		if !strings.HasPrefix(name, storage.Prefix+"/") {
			return nil
		}
		provider, _ := storage.WrittenWith(value)
		sealed := provider != "" && !keys
		var err error
		if !sealed {
			err = decoder.Decode(ctx, name, value)
		}
		mu.Lock()
		defer mu.Unlock()
		c.objects[storage.ResourceOf(storage.Prefix, name)]++
		switch {
		case sealed:
			c.sealed++
		case err == nil:
			c.decoded++
		case len(c.damaged) < maxDamaged:
			c.damaged = append(c.damaged, err.Error())
		}
		return ctx.Err()
	})
}

// compare returns an error if a database is not the one that a manifest describes.
func (c *content) compare(m *Manifest) error {
	for _, of := range []struct {
		what             string
		manifest, actual any
	}{
		{"revision", m.Revision, c.Revision}, {"hash", m.Hash, c.Hash}, {"keys", m.Keys, c.Keys}, {"storageVersion", m.StorageVersion, c.StorageVersion},
	} {
		if of.manifest != of.actual {
			return fmt.Errorf("%s says %s %v, and %s has %v: the manifest is not that of this database", manifestPart, of.what, of.manifest, databasePart, of.actual)
		}
	}
	return nil
}

// compareObjects returns an error if a database does not have the objects that a manifest lists.
func (c *content) compareObjects(m *Manifest) error {
	if !maps.Equal(m.Objects, c.objects) {
		return fmt.Errorf("%s says %d objects, and %s has others (%s): the manifest is not that of this database", manifestPart, m.Total(), databasePart, difference(m.Objects, c.objects))
	}
	return nil
}

// difference returns the first resource with another number of objects.
func difference(manifest, actual map[string]int) string {
	for resource, n := range actual {
		if manifest[resource] != n {
			return fmt.Sprintf("%d of %s and not %d", n, resource, manifest[resource])
		}
	}
	for resource, n := range manifest {
		if actual[resource] != n {
			return fmt.Sprintf("%d of %s and not %d", actual[resource], resource, n)
		}
	}
	return "none"
}

// damagedError describes the objects that could not be decoded.
func damagedError(damaged []string) error {
	if len(damaged) == 0 {
		return nil
	}
	return fmt.Errorf("%d objects cannot be decoded: %s", len(damaged), damaged[0])
}

// Verified is the result of Verify.
type Verified struct {
	Manifest *Manifest
	// Decoded is the number of objects that were decoded, and Sealed that of objects that were not, because they are
	// encrypted and there is no key.
	Decoded, Sealed int
	// KeysOpened is true if the keys were decrypted.
	KeysOpened bool
}

// Keys are what a reader of a backup may have to decrypt it.
type Keys struct {
	// Recovery decrypts the keys in the backup; nil for none.
	Recovery age.Identity
	// EncryptionConfig is the path of an encryption configuration that takes precedence over the one in the backup;
	// empty for none.
	EncryptionConfig string
}

// Verify reads a whole backup: size and hash of each part, the pages of the database and each object in it. An error
// names the part that is wrong.
func Verify(ctx context.Context, path string, keys Keys, load LoadDecoder) (*Verified, error) {
	dir, remove, err := scratch(os.TempDir(), "gatehouse-verify-")
	if err != nil {
		return nil, err
	}
	defer remove()
	u, err := unpack(ctx, path, dir, keys)
	if err != nil {
		return nil, named(path, err)
	}
	decoder, err := load(ctx, u.encryptionConfig)
	if err != nil {
		return nil, named(path, fmt.Errorf("its encryption configuration cannot be used: %w", err))
	}
	c, err := inspect(ctx, filepath.Join(dir, databasePart), decoder, u.encryptionConfig != "")
	if err == nil {
		err = c.compare(u.manifest)
	}
	if err == nil {
		err = c.compareObjects(u.manifest)
	}
	if err == nil {
		err = damagedError(c.damaged)
	}
	if err != nil {
		return nil, named(path, err)
	}
	return &Verified{Manifest: u.manifest, Decoded: c.decoded, Sealed: c.sealed, KeysOpened: u.keys != nil}, nil
}

// unpacked is a backup whose parts are in a directory.
type unpacked struct {
	manifest *Manifest
	// keys are nil without a recovery key, or if the backup has none.
	keys []keyFile
	// encryptionConfig is the path of the encryption configuration; empty for none.
	encryptionConfig string
}

// unpack verifies the sizes and the hashes of the parts, writes them to a directory, and decrypts the keys if it can.
func unpack(ctx context.Context, path, dir string, keys Keys) (*unpacked, error) {
	a, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer a.close()
	if err := a.unpack(ctx, dir); err != nil {
		return nil, err
	}
	u := &unpacked{manifest: a.Manifest, encryptionConfig: keys.EncryptionConfig}
	if keys.Recovery == nil || !u.manifest.hasKeys() {
		return u, nil
	}
	if u.keys, err = openKeys(filepath.Join(dir, keysPart), u.manifest, keys.Recovery); err != nil {
		return nil, err
	}
	if data := encryptionOf(u.keys); data != nil && u.encryptionConfig == "" {
		u.encryptionConfig = filepath.Join(dir, "encryption.yaml")
		return u, os.WriteFile(u.encryptionConfig, data, fileMode)
	}
	return u, nil
}
