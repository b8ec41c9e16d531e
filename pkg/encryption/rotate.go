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

package encryption

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// maxPasses bounds the rewrites before an old key is dropped. The second pass normally finds nothing.
const maxPasses = 5

// Rotate replaces the key with which objects are encrypted.
//
//	idle      add a key at the end            servers read with it
//	added     wait for all servers, promote   servers write with it, and read with both
//	promoted  wait for all servers, rewrite, drop the older keys
//
// It waits before each change until all servers have loaded the one before, so that each can read what the
// others write. The stage is read from the file, so that a rotation that was killed is continued.
func (o *Options) Rotate(ctx context.Context, path string, notes io.Writer) error {
	s, err := o.open(path)
	if err != nil {
		return err
	}
	defer s.close()
	if err := replaceable(s.file.Path); err != nil {
		return err
	}
	unlock, err := lock(s.file.Path)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.readable(ctx); err != nil {
		return err
	}
	begun := false
	for {
		file, err := Read(s.file.Path)
		if err != nil {
			return err
		}
		s.file = file
		at, err := file.stage()
		if err != nil {
			return err
		}
		if at == idle && o.Resume {
			// The command may have been killed after its last change of the file, before the end of its work.
			fmt.Fprintf(notes, "%s: no rotation has begun, looking for objects that an earlier one has left\n", file.Path)
			return o.complete(ctx, s, notes)
		}
		fmt.Fprintf(notes, "%s: %s\n", file.Path, progress(at, begun))
		begun = true
		if err := waitLoaded(ctx, s.replicas, file, o.Timeout, notes); err != nil {
			return err
		}
		if at == promoted {
			if err := o.rewriteAll(ctx, s, notes); err != nil {
				return fmt.Errorf("the older keys stay, because not every object is rewritten: %w", err)
			}
		}
		done, err := o.advance(ctx, s, at, notes)
		if done || err != nil {
			return err
		}
	}
}

// replaceable returns an error if the server might not read the file that replaces this one, which belongs to
// the user of this process and has mode 0600.
func replaceable(path string) error {
	if err := files.Owned(path, false); err != nil {
		return fmt.Errorf("%w: a rotation replaces the file, so run the command as its owner", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%s has mode %#o, and the file that replaces it has mode %#o: run the server and this command as the same user, and close the file to others with chmod 600", path, mode, fileMode)
	}
	return nil
}

// lock excludes other rotations on this machine until unlock is called, and removes the copies of keys that a
// killed one has left. The lock is on the directory, because the file is replaced.
func lock(path string) (unlock func(), err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := files.TryLock(dir); errors.Is(err, files.ErrLocked) {
		return nil, errors.Join(fmt.Errorf("another rotation of a file in %s runs on this machine: wait for its end, or end it and run the command again", dir.Name()), dir.Close())
	} else if err != nil {
		return nil, errors.Join(fmt.Errorf("locking %s: %w", dir.Name(), err), dir.Close())
	}
	if err := files.RemoveLeftovers(path); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return func() { _ = dir.Close() }, nil
}

// advance writes the keys of the next stage, and reports whether the rotation has ended.
func (o *Options) advance(ctx context.Context, s *session, at stage, notes io.Writer) (bool, error) {
	// Another rotation may have changed the file meanwhile.
	file, err := Read(s.file.Path)
	if err != nil || file.Hash != s.file.Hash {
		return false, err
	}
	before := file.names()
	if err := file.next(time.Now()); err != nil {
		return false, err
	}
	if at == promoted {
		fmt.Fprintf(notes, "dropping %s: backups that were made until now need it, so keep the former file with them\n", strings.Join(before[1:], ", "))
	}
	if err := file.replace(); err != nil {
		return false, err
	}
	s.file = file
	// The first file of replicas had no older key to drop, so that the rotation looks idle now.
	ended := at == promoted || at == added && len(before) == 1
	if !ended {
		return false, nil
	}
	if err := waitLoaded(ctx, s.replicas, file, o.Timeout, notes); err != nil {
		return true, err
	}
	if at == added {
		if err := o.rewriteAll(ctx, s, notes); err != nil {
			return true, fmt.Errorf("not every object is encrypted: run \"gatehouse encryption rewrite\": %w", err)
		}
	}
	return true, o.purgeIfWanted(ctx, s, notes)
}

func progress(at stage, begun bool) string {
	switch {
	case at == idle:
		return "adding a key"
	case at == added:
		return "the new key is only read with, promoting it"
	case !begun:
		return "continuing a rotation: the new key is written with, rewriting all objects"
	}
	return "the new key is written with, rewriting all objects"
}

// rewriteAll rewrites until a pass finds nothing to rewrite, which the servers decide by what is stored, and
// compares that with the prefixes in etcd, if it can be read.
func (o *Options) rewriteAll(ctx context.Context, s *session, notes io.Writer) error {
	for range maxPasses {
		total, err := o.rewrite(ctx, s, notes)
		if err != nil {
			return err
		}
		if total.Rewritten > 0 {
			continue
		}
		return s.verify(ctx, notes)
	}
	return fmt.Errorf("after %d passes, servers still found objects to rewrite: see that all replicas are named with --replica", maxPasses)
}
