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

package login

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// fileMode is the mode of files in the cache: for their owner only.
	fileMode fs.FileMode = 0o600
	// expiryMargin is the remaining lifetime below which a token is not used: a request must arrive before it expires.
	expiryMargin = 10 * time.Second
	// lockInterval is the pause between two attempts to lock.
	lockInterval = 50 * time.Millisecond
	// finishTimeout is the time that another process may need for requests besides the login itself.
	finishTimeout = 2 * requestTimeout
	// Ends of the names of files in the cache.
	entrySuffix, lockSuffix = ".json", ".lock"
)

// entry is what the cache holds of one login.
type entry struct {
	IDToken      string    `json:"idToken,omitempty"`
	RefreshToken string    `json:"refreshToken,omitempty"`
	Subject      string    `json:"subject,omitempty"`
	Expiry       time.Time `json:"expiry,omitzero"`
	// Failed, Reason and Client are of a login that failed, for the processes that waited for it and for the client
	// that ran it, which Client identifies by its process ID.
	Failed time.Time `json:"failed,omitzero"`
	Reason string    `json:"reason,omitempty"`
	Client int       `json:"client,omitempty"`
}

// usable reports whether the ID token is valid for long enough.
func (e *entry) usable(now time.Time) bool {
	return e.IDToken != "" && now.Add(expiryMargin).Before(e.Expiry)
}

// cache is the file of one login, and its lock.
type cache struct {
	path string
	lock *os.File
}

// cacheDir returns the directory of cached tokens.
func cacheDir(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("the user's cache directory is not known (%w): name one with --cache-dir", err)
	}
	return filepath.Join(dir, "gatehouse", "login"), nil
}

// openCache returns the cache of these options. It creates the directory, and refuses one that other users can
// read or change.
func (o *Options) openCache() (*cache, error) {
	dir, err := cacheDir(o.CacheDir)
	if err != nil {
		return nil, err
	}
	if err := checkDirectory(dir, files.MakeDirectory(dir)); err != nil {
		return nil, err
	}
	// Another login than this one has another file. The redirect and the flow do not change the tokens.
	scopes := slices.Sorted(slices.Values(o.Scopes))
	sum := sha256.Sum256([]byte(strings.Join(append([]string{o.Issuer, o.ClientID}, scopes...), "\x00")))
	return &cache{path: filepath.Join(dir, hex.EncodeToString(sum[:16]))}, nil
}

// acquire locks the cache, and waits for the process that has the lock.
func (c *cache) acquire(ctx context.Context, wait time.Duration) error {
	path := c.path + lockSuffix
	lock, err := files.Open(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("the lock of the cached login: %w", err)
	}
	deadline := time.Now().Add(wait)
	for {
		err := files.TryLock(lock)
		switch {
		case err == nil:
			c.lock = lock
			return nil
		case !errors.Is(err, files.ErrLocked):
			return errors.Join(fmt.Errorf("the lock of the cached login %s: %w", path, err), lock.Close())
		case time.Now().After(deadline):
			return errors.Join(fmt.Errorf("another process still logs in and has the lock %s: end it, or name another directory with --cache-dir", path), lock.Close())
		}
		select {
		case <-time.After(lockInterval):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), lock.Close())
		}
	}
}

// checkDirectory refuses a cache directory that other users can read or change.
func checkDirectory(dir string, err error) error {
	if untrusted := (*files.UntrustedError)(nil); errors.As(err, &untrusted) {
		return fmt.Errorf("--cache-dir=%s: %w", dir, err)
	}
	if err != nil {
		return fmt.Errorf("--cache-dir=%s: %w: name a directory of yours", dir, err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("--cache-dir=%s: %w", dir, err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("--cache-dir=%s: other users may read it (mode %04o), and tokens are secrets: run \"chmod 700 %s\", or name another directory", dir, mode, dir)
	}
	return nil
}

// release releases the lock. The file stays: removing it could give the lock to two processes.
func (c *cache) release() { _ = c.lock.Close() }

// read returns the cached login; an empty one if there is none, or if the file is damaged.
func (c *cache) read() (*entry, error) {
	data, err := files.ReadFile(c.path + entrySuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return &entry{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the cached login: %w", err)
	}
	cached := &entry{}
	if json.Unmarshal(data, cached) != nil {
		return &entry{}, nil
	}
	return cached, nil
}

// write replaces the cached login.
func (c *cache) write(e *entry) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := files.Replace(c.path+entrySuffix, data, fileMode); err != nil {
		return fmt.Errorf("the login cannot be cached: %w", err)
	}
	return nil
}

// Logout removes all cached logins from the directory, that of the user if it is empty, and returns their number.
func Logout(dir string) (int, error) {
	dir, err := cacheDir(dir)
	if err != nil {
		return 0, err
	}
	cached, err := filepath.Glob(filepath.Join(dir, "*"+entrySuffix))
	if err != nil {
		return 0, err
	}
	for _, path := range cached {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return 0, fmt.Errorf("--cache-dir=%s: %w", dir, err)
		}
	}
	return len(cached), nil
}
