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
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.etcd.io/etcd/api/v3/version"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	fileMode = 0o600
	// window is the size of the history in which zstd finds repetitions, in bytes. Objects of a resource are near to
	// each other, and a larger window would take as much more memory of the server.
	window = 1 << 20
	// maxWindow bounds the memory that a file makes the decoder allocate.
	maxWindow = 32 << 20
)

// pack writes a backup with these parts to a new file, which is on disk when pack returns. The paths are by the name of
// the part.
func pack(path string, m *Manifest, paths map[string]string) (err error) {
	head, err := m.encode()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	buffered := bufio.NewWriterSize(file, 1<<20)
	compressed, err := zstd.NewWriter(buffered, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	out := tar.NewWriter(compressed)
	if err := addPart(out, manifestPart, int64(len(head)), m.Created, bytes.NewReader(head)); err != nil {
		return err
	}
	for _, part := range m.Parts {
		if err := addFile(out, part, m.Created, paths[part.Name]); err != nil {
			return err
		}
	}
	for _, finish := range []func() error{out.Close, compressed.Close, buffered.Flush, file.Sync, file.Close} {
		if err := finish(); err != nil {
			return err
		}
	}
	return nil
}

func addFile(out *tar.Writer, part Part, at time.Time, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return addPart(out, part.Name, part.Bytes, at, file)
}

func addPart(out *tar.Writer, name string, size int64, at time.Time, content io.Reader) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: fileMode, ModTime: at.Truncate(time.Second)}); err != nil {
		return err
	}
	_, err := io.Copy(out, content)
	return err
}

// describePart returns the size and the hash of a file.
func describePart(name, path string) (Part, error) {
	file, err := os.Open(path)
	if err != nil {
		return Part{}, err
	}
	defer file.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, file)
	return Part{Name: name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, err
}

// archive reads the parts of a backup in their order.
type archive struct {
	Manifest *Manifest
	tar      *tar.Reader
	content  io.Reader
	close    func()
}

// openArchive reads the manifest of a backup.
func openArchive(from io.Reader) (*archive, error) {
	decoder, err := zstd.NewReader(bufio.NewReaderSize(from, 1<<20), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(1<<40))
	if err != nil {
		return nil, err
	}
	a := &archive{tar: tar.NewReader(decoder), content: decoder, close: decoder.Close}
	head, err := a.next(manifestPart)
	if err == nil && head.Size > maxManifest {
		err = fmt.Errorf("%s has %d bytes, and that of a backup has at most %d", manifestPart, head.Size, maxManifest)
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(a.tar)
		err = partError(manifestPart, err)
	}
	if err == nil {
		a.Manifest, err = decodeManifest(data, version.Version)
	}
	if err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// next goes to the next part, which must have this name.
func (a *archive) next(name string) (*tar.Header, error) {
	head, err := a.tar.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%s is missing: the file is cut short, or is no backup", name)
	case err != nil:
		return nil, partError(name, err)
	case head.Name != name || head.Typeflag != tar.TypeReg:
		return nil, fmt.Errorf("it has %q where a backup has %s: it is no backup of Gatehouse", head.Name, name)
	}
	return head, nil
}

// partError names the part in an error of reading it.
func partError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s is cut short: the file is not complete", name)
	case errors.Is(err, zstd.ErrMagicMismatch):
		return fmt.Errorf("it is no backup of Gatehouse: it is not compressed by zstd")
	}
	return fmt.Errorf("%s is damaged: %w", name, err)
}

// read calls take for each part, verifies size and hash of each, and that nothing follows. take must read the whole part.
func (a *archive) read(ctx context.Context, take func(part Part, content io.Reader) error) error {
	for _, part := range a.Manifest.Parts {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		head, err := a.next(part.Name)
		if err != nil {
			return err
		}
		if head.Size != part.Bytes {
			return fmt.Errorf("%s has %d bytes and %s says %d: one of them is damaged", part.Name, head.Size, manifestPart, part.Bytes)
		}
		sum := sha256.New()
		reading := &reader{from: io.TeeReader(a.tar, sum)}
		err = take(part, reading)
		if reading.failed != nil {
			return partError(part.Name, reading.failed)
		} else if err != nil {
			return err
		}
		if actual := hex.EncodeToString(sum.Sum(nil)); actual != part.SHA256 {
			return fmt.Errorf("%s is damaged: its SHA-256 is %s, and %s says %s", part.Name, actual, manifestPart, part.SHA256)
		}
	}
	if _, err := a.tar.Next(); !errors.Is(err, io.EOF) {
		if err == nil {
			return errors.New("there is more in the file than its manifest lists: it is no backup of Gatehouse")
		}
		return fmt.Errorf("the end of the file is damaged: %w", err)
	}
	// The checksum of zstd follows the padding of tar.
	if _, err := io.Copy(io.Discard, a.content); err != nil {
		return partError("the end of the file", err)
	}
	return nil
}

// reader keeps the error of reading, to tell it from one of writing.
type reader struct {
	from   io.Reader
	failed error
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.failed = err
	}
	return n, err
}

// unpack writes the parts of a backup to a directory.
func (a *archive) unpack(ctx context.Context, dir string) error {
	return a.read(ctx, func(part Part, content io.Reader) error {
		file, err := os.OpenFile(filepath.Join(dir, part.Name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if err != nil {
			return err
		}
		_, err = io.Copy(file, content)
		return errors.Join(err, file.Close())
	})
}

// check reads a whole backup, and returns an error if any byte of it is not as it was written.
func (a *archive) check(ctx context.Context) error {
	return a.read(ctx, func(_ Part, content io.Reader) error {
		_, err := io.Copy(io.Discard, content)
		return err
	})
}

// openFile opens a backup on disk.
func openFile(path string) (*archive, error) {
	// The owner may be another user: whoever made it, its content is verified.
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err == nil && !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("it is no regular file"), file.Close())
	}
	a, err := openArchive(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	end := a.close
	a.close = func() {
		end()
		_ = file.Close()
	}
	return a, nil
}

// ReadManifest returns the manifest of a backup on disk. The rest of the file is not read.
func ReadManifest(path string) (*Manifest, error) {
	a, err := openFile(path)
	if err != nil {
		return nil, named(path, err)
	}
	defer a.close()
	return a.Manifest, nil
}

// Check reads a whole backup, and returns an error if any byte of it is not as it was written. It decodes no object, as Verify
// does, and writes no file.
func Check(ctx context.Context, path string) (*Manifest, error) {
	a, err := openFile(path)
	if err != nil {
		return nil, named(path, err)
	}
	defer a.close()
	return a.Manifest, named(path, a.check(ctx))
}

// named names the file in the error of a backup.
func named(path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the backup %s cannot be used: %w", path, err)
}

// scratch makes a private directory for the files of one operation, and removes it when it is done. A former one, of a
// process that was killed, is removed by sweep.
func scratch(parent, prefix string) (dir string, remove func(), err error) {
	if err := files.MakeDirectory(parent); err != nil {
		return "", nil, err
	}
	dir, err = os.MkdirTemp(parent, prefix)
	if err != nil {
		return "", nil, err
	}
	held, err := os.Open(dir)
	if err == nil {
		err = files.TryLock(held)
	}
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, func() {
		_ = os.RemoveAll(dir)
		_ = held.Close()
	}, nil
}

// sweep removes scratch directories that no process holds.
func sweep(parent, prefix string) error {
	left, err := filepath.Glob(filepath.Join(parent, prefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, dir := range left {
		held, err := os.Open(dir)
		if err != nil {
			continue
		}
		if files.TryLock(held) == nil {
			errs = append(errs, os.RemoveAll(dir))
		}
		_ = held.Close()
	}
	return errors.Join(errs...)
}
