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

package app

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// pack writes a file or directory to an archive, in which it has the name base.
func pack(out io.Writer, source, base string) error {
	archive := tar.NewWriter(out)
	err := filepath.WalkDir(source, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(source, file)
		if err != nil {
			return err
		}
		return packFile(archive, file, path.Join(base, filepath.ToSlash(relative)), entry)
	})
	if err != nil {
		return err
	}
	return archive.Close()
}

func packFile(archive *tar.Writer, file, name string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	link := ""
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		if link, err = os.Readlink(file); err != nil {
			return err
		}
	case !mode.IsRegular() && !mode.IsDir():
		return fmt.Errorf("%s is neither a file nor a directory: leave it out", file)
	}
	header, err := tar.FileInfoHeader(info, link)
	if err != nil {
		return err
	}
	header.Name = name
	if info.IsDir() {
		header.Name += "/"
	}
	if err := archive.WriteHeader(header); err != nil || !info.Mode().IsRegular() {
		return err
	}
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	// A file that grows meanwhile is copied with the size that its header has.
	_, err = io.CopyN(archive, content, header.Size)
	return errors.Join(err, content.Close())
}

// unpack writes the files of an archive, which a container has made and may have forged, to a destination
// that takes the place of base. It writes nothing outside of the destination.
func unpack(in io.Reader, base, destination string, notes io.Writer) error {
	parent, name := filepath.Dir(destination), filepath.Base(destination)
	if base == "." || name == ".." || name == "." || name == string(filepath.Separator) {
		parent, name = destination, "."
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	root, err := os.OpenRoot(parent)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	u := &unpacking{root: root, base: base, name: name, notes: notes}
	archive := tar.NewReader(in)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			if u.entries == 0 {
				return errors.New("the container sent no file")
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("the container sent an incomplete archive: %w", err)
		}
		u.entries++
		if err := u.entry(header, archive); err != nil {
			return err
		}
	}
}

// unpacking writes below root, where name takes the place of base.
type unpacking struct {
	root       *os.Root
	base, name string
	notes      io.Writer
	entries    int
}

// local returns the path of an entry below the root.
func (u *unpacking) local(entry string) (string, error) {
	cleaned := path.Clean(entry)
	relative, below := strings.CutPrefix(cleaned, u.base+"/")
	switch {
	case path.IsAbs(entry) || !filepath.IsLocal(filepath.FromSlash(entry)) || strings.Contains(entry, `\`) && filepath.Separator == '\\':
	case u.base == ".":
		return filepath.Join(u.name, filepath.FromSlash(cleaned)), nil
	case cleaned == u.base:
		return u.name, nil
	case below:
		return filepath.Join(u.name, filepath.FromSlash(relative)), nil
	}
	return "", fmt.Errorf("the container sent %q, which is outside of %q: nothing more is copied, since the container is hostile or its tar is broken", entry, u.base)
}

func (u *unpacking) entry(header *tar.Header, content io.Reader) error {
	target, err := u.local(header.Name)
	if err != nil {
		return err
	}
	switch header.Typeflag {
	case tar.TypeDir:
		if target == "." {
			return nil
		}
		return u.root.MkdirAll(target, fs.FileMode(header.Mode)&0o777|0o700)
	case tar.TypeReg:
		return u.file(target, fs.FileMode(header.Mode)&0o777, content)
	}
	fmt.Fprintf(u.notes, "warning: %s is left out: it is not a file or a directory\n", cell(header.Name))
	return nil
}

// file writes a file. os.Root refuses paths that symbolic links lead outside.
func (u *unpacking) file(target string, mode fs.FileMode, content io.Reader) error {
	if err := u.root.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	file, err := u.root.OpenFile(target, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	return errors.Join(err, file.Close())
}
