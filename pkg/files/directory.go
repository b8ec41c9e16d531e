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

package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// DirMode is the mode of new directories: for their owner only.
const DirMode fs.FileMode = 0o700

// mostLinks bounds the symbolic links above a directory, as the kernel does (path_resolution(7)).
const mostLinks = 40

// UntrustedError has the reason why a path is not used, and the cure. Its text names no flag: callers name the flag
// of the path, see Flag.
type UntrustedError struct {
	// Path is not trusted; Why ends with the cure.
	Path, Why string
}

// Error implements error.
func (e *UntrustedError) Error() string { return e.Path + " " + e.Why }

// Directory refuses a directory that is a symbolic link, that belongs to neither the user of this
// process nor root, or that another user can replace as the owner of a directory above it or by
// writing to one that is not sticky. A directory that does not exist is an fs.ErrNotExist.
func Directory(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	if err := above(path); err != nil {
		return err
	}
	return Owned(path, true)
}

// Replaceable returns an error if another user can replace the file at the path, as the owner of a directory above it
// or by writing to one that is not sticky.
func Replaceable(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return above(path)
}

// MakeDirectory creates a directory and missing ones above it, for their owner
// only, and refuses what Directory refuses before it creates anything.
func MakeDirectory(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	existing := path
	for {
		_, err := os.Stat(existing)
		parent := filepath.Dir(existing)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || parent == existing {
			break
		}
		existing = parent
	}
	if existing != path {
		// The parent of the new directories counts as a directory above them.
		if err := above(filepath.Join(existing, "new")); err != nil {
			return err
		}
		if err := os.MkdirAll(path, DirMode); err != nil {
			return err
		}
	}
	return Directory(path)
}

// Owned refuses a symbolic link, a path that belongs to neither the user of this process nor root,
// and one of another type. It does not check the directories above; see Directory.
func Owned(path string, dir bool) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	return ownedInfo(path, info, dir)
}

func ownedInfo(path string, info fs.FileInfo, dir bool) error {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return &UntrustedError{path, "is a symbolic link, which is not followed: name what it leads to, or remove it"}
	case dir && !info.IsDir():
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	case !dir && !info.Mode().IsRegular():
		return &UntrustedError{path, fmt.Sprintf("is no regular file (%s): remove it", info.Mode().Type())}
	}
	if uid := owner(info); !trusted(uid) {
		return foreign(path, uid)
	}
	return nil
}

// foreign returns the error of a path that belongs to another user.
func foreign(path string, uid int) error {
	return &UntrustedError{path, fmt.Sprintf("belongs to %s, and this process runs as %s: run it as that user, name another path, or run \"chown %d %s\" if you trust what is there", name(uid), name(os.Geteuid()), os.Geteuid(), path)}
}

// trusted reports whether files of the user are trusted: root could change everything anyway.
func trusted(uid int) bool { return uid == 0 || uid == os.Geteuid() }

func owner(info fs.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1
	}
	return int(stat.Uid)
}

// name returns a user as messages name it.
func name(uid int) string {
	if known, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("%s (uid %d)", known.Username, uid)
	}
	return fmt.Sprintf("uid %d", uid)
}

// above checks every directory above an absolute path, from the root on. A link there is followed,
// such as /var/run: a directory that only its owner can write keeps it safe.
func above(path string) error {
	rest := split(filepath.Dir(filepath.Clean(path)))
	at, links := string(filepath.Separator), 0
	info, err := os.Lstat(at)
	if err != nil {
		return err
	}
	if err := parent(at, info, nil); err != nil {
		return err
	}
	for len(rest) > 0 {
		before := info
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		found, err := os.Lstat(next)
		if err != nil {
			return err
		}
		if found.Mode()&fs.ModeSymlink != 0 {
			if uid := owner(found); !trusted(uid) {
				return foreign(next, uid)
			}
			if links++; links > mostLinks {
				return &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
			}
			target, err := os.Readlink(next)
			if err != nil {
				return err
			}
			if filepath.IsAbs(target) {
				rest, at = append(split(target), rest...), string(filepath.Separator)
			} else {
				// Lexically: everything below at is resolved, so .. is the parent directory.
				rest, at = append(split(filepath.Join(at, target)), rest...), string(filepath.Separator)
			}
			if info, err = os.Lstat(at); err != nil {
				return err
			}
			continue
		}
		if err := parent(next, found, before); err != nil {
			return err
		}
		at, info = next, found
	}
	return nil
}

func split(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == filepath.Separator })
}

// parent checks one directory above; before is its own parent, nil for none.
func parent(path string, info, before fs.FileInfo) error {
	if !info.IsDir() {
		return &fs.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if uid := int(stat.Uid); !trusted(uid) {
		return &UntrustedError{path, fmt.Sprintf("belongs to %s, a user that can replace everything below it, and this process runs as %s: name a path elsewhere, or run as that user", name(uid), name(os.Geteuid()))}
	}
	mode := info.Mode()
	if mode.Perm()&0o022 == 0 || mode&fs.ModeSticky != 0 {
		return nil
	}
	if mode.Perm()&0o002 == 0 && ownGroup(int(stat.Gid)) {
		return nil
	}
	if before != nil && isVolume(info, before) {
		return nil
	}
	return &UntrustedError{path, fmt.Sprintf("can be written by other users (mode %04o), which can replace what is below it: run \"chmod go-w %s\", or name a path elsewhere", mode.Perm(), path)}
}

// ownGroup reports whether a group has no other member than the user of this process, as on systems
// where every user has a group of the same name and files are group-writable (umask 002).
func ownGroup(gid int) bool {
	if gid != os.Getegid() {
		return false
	}
	u, userErr := user.LookupId(strconv.Itoa(os.Geteuid()))
	g, groupErr := user.LookupGroupId(strconv.Itoa(gid))
	if userErr != nil || groupErr != nil {
		return gid == os.Geteuid() // a container without users: only the IDs are known
	}
	return g.Name == u.Username
}

// isVolume reports whether a directory is a volume that kubelet has given to the group of a pod
// (fsGroup): a separate file system that belongs to root, with the set-group-ID bit and a group of
// this process, which does not run as root. Such a directory may be writable for all users (an
// emptyDir has mode 0777), but the pod has no other users.
func isVolume(info, before fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	outer, outerOK := before.Sys().(*syscall.Stat_t)
	if !ok || !outerOK || os.Geteuid() == 0 || stat.Uid != 0 || stat.Gid == 0 || stat.Dev == outer.Dev || info.Mode()&fs.ModeSetgid == 0 {
		return false
	}
	groups, err := os.Getgroups()
	return err == nil && (int(stat.Gid) == os.Getegid() || slices.Contains(groups, int(stat.Gid)))
}

func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}
