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

package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"unsafe"
)

const (
	// diskBytes is the size of a disk: etcd reserves 64 MB for each file of its log.
	diskBytes = 400 << 20

	// shutdown and withoutLog are ext4's EXT4_IOC_SHUTDOWN and its flag NOLOGFLUSH: the file system
	// stops at once, and nothing that is in memory reaches the disk.
	shutdown   = 0x8004587d
	withoutLog = 2
)

// Disk is an ext4 file system in a file, by a loop device. It needs root.
type Disk struct {
	image string
	// Dir is where it is mounted.
	Dir string
}

// MissingForDisks returns the reason why there can be no disks, or nothing.
func MissingForDisks() string {
	if os.Getuid() != 0 {
		return "only root can mount file systems"
	}
	for _, tool := range []string{"mkfs.ext4", "mount", "umount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool + " is not installed"
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "the machine has no loop devices"
	}
	return ""
}

// NewDisk creates a file system and mounts it at dir.
func NewDisk(dir string) (*Disk, error) {
	d := &Disk{image: dir + ".image", Dir: dir}
	file, err := os.Create(d.image)
	if err == nil {
		err = errors.Join(file.Truncate(diskBytes), file.Close(), os.Mkdir(dir, 0o700))
	}
	if err != nil {
		return nil, err
	}
	// No reserve for root, or a full disk would not be full for it.
	if err := command("mkfs.ext4", "-q", "-F", "-m", "0", d.image); err != nil {
		return nil, err
	}
	return d, d.mount()
}

func (d *Disk) mount() error { return command("mount", "-o", "loop", d.image, d.Dir) }

// Lose loses what is not on the disk, as a machine does that loses its power. The processes that use
// the disk have ended. The disk is mounted again afterwards.
func (d *Disk) Lose() error {
	dir, err := os.Open(d.Dir)
	if err != nil {
		return err
	}
	flags := uint32(withoutLog)
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, dir.Fd(), shutdown, uintptr(unsafe.Pointer(&flags)))
	if err := dir.Close(); err != nil {
		return err
	}
	if errno != 0 {
		return fmt.Errorf("ioctl EXT4_IOC_SHUTDOWN: %w", errno)
	}
	return errors.Join(command("umount", d.Dir), d.mount())
}

// Sync writes everything to the disk.
func (d *Disk) Sync() error { return command("sync", "-f", d.Dir) }

// Fill writes a file until the disk is full.
func (d *Disk) Fill() error {
	file, err := os.Create(d.ballast())
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for size := 1 << 20; size > 0; size /= 2 {
		for block := make([]byte, size); ; {
			if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
				break
			} else if err != nil {
				return err
			}
		}
	}
	return nil
}

// Free removes the file of Fill.
func (d *Disk) Free() error { return os.Remove(d.ballast()) }

func (d *Disk) ballast() string { return filepath.Join(d.Dir, "ballast") }

// Close unmounts the disk and removes it.
func (d *Disk) Close() error {
	return errors.Join(command("umount", d.Dir), os.Remove(d.image))
}

func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
