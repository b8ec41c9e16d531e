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

package provision

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// defaultMode is the mode of files of ConfigMaps and Secrets without one.
const defaultMode = 0o644

// mounts prepares the volumes that a container mounts.
func (m *Manager) mounts(instance *v1alpha1.Instance, container *v1alpha1.Container, config *configuration) ([]runtime.Mount, error) {
	var out []runtime.Mount
	for i := range container.VolumeMounts {
		mount := &container.VolumeMounts[i]
		volume := volumeOf(instance, mount.Name)
		if volume == nil {
			return nil, fmt.Errorf("the instance has no volume %q", mount.Name)
		}
		source, readOnly, err := m.prepare(instance, volume, config)
		if err != nil {
			return nil, fmt.Errorf("volume %q: %w", volume.Name, err)
		}
		out = append(out, runtime.Mount{HostPath: source, ContainerPath: path.Clean(mount.MountPath), ReadOnly: readOnly || mount.ReadOnly})
	}
	return out, nil
}

func volumeOf(instance *v1alpha1.Instance, name string) *v1alpha1.Volume {
	for i := range instance.Spec.Volumes {
		if instance.Spec.Volumes[i].Name == name {
			return &instance.Spec.Volumes[i]
		}
	}
	return nil
}

// prepare returns the path of a volume on the host, and whether it is always read-only.
func (m *Manager) prepare(instance *v1alpha1.Instance, volume *v1alpha1.Volume, config *configuration) (source string, readOnly bool, err error) {
	uid := string(instance.UID)
	// The name comes from the server, and validation there must not be the only check of a path.
	if filepath.Base(volume.Name) != volume.Name || volume.Name == "" || volume.Name[0] == '.' {
		return "", false, errors.New("its name is no name of a directory")
	}
	memory := filepath.Join(m.filesDir(), uid, volume.Name)
	switch {
	case volume.EmptyDir != nil && volume.EmptyDir.Medium == v1alpha1.StorageMediumMemory:
		return memory, false, m.memoryDir(memory, volume.EmptyDir)
	case volume.EmptyDir != nil:
		dir := filepath.Join(m.volumesDir(), uid, volume.Name)
		return dir, false, makeDir(dir, 0o777)
	case volume.HostPath != nil:
		return volume.HostPath.Path, false, ensureHostPath(volume.HostPath)
	case volume.ConfigMap != nil:
		v := volume.ConfigMap
		object, err := config.object(configMap, v.Name, v.Optional)
		if err != nil {
			return "", false, err
		}
		return memory, true, m.objectFiles(memory, configMap, v.Name, object, v.Items, v.DefaultMode, v.Optional)
	case volume.Secret != nil:
		v := volume.Secret
		object, err := config.object(secret, v.SecretName, v.Optional)
		if err != nil {
			return "", false, err
		}
		return memory, true, m.objectFiles(memory, secret, v.SecretName, object, v.Items, v.DefaultMode, v.Optional)
	}
	return "", false, errors.New("it has a source that this agent does not know: use a newer gatehouse-agent")
}

// objectFiles writes the keys of an object as files; none if it is nil.
func (m *Manager) objectFiles(dir, kind, name string, object *v1alpha1.ReferencedData, items []v1alpha1.KeyToPath, mode *int32, optional *bool) error {
	content := map[string]file{}
	every := fs.FileMode(ptr.Deref(mode, defaultMode)).Perm()
	switch {
	case object == nil:
	case len(items) == 0:
		for key, data := range object.Data {
			content[key] = file{data, every}
		}
	default:
		for i := range items {
			data, found := object.Data[items[i].Key]
			if !found {
				if ptr.Deref(optional, false) {
					continue
				}
				return fmt.Errorf("%s %q has no key %q", kind, name, items[i].Key)
			}
			own := every
			if items[i].Mode != nil {
				own = fs.FileMode(*items[i].Mode).Perm()
			}
			content[path.Clean(items[i].Path)] = file{data, own}
		}
	}
	return writeFiles(dir, content)
}

// memoryDir mounts a file system in memory.
func (m *Manager) memoryDir(dir string, source *v1alpha1.EmptyDirVolumeSource) error {
	if err := makeDir(dir, 0o777); err != nil {
		return err
	}
	mounted, err := isMounted(dir)
	if err != nil || mounted {
		return err
	}
	size := int64(0)
	if source.SizeLimit != nil {
		size = source.SizeLimit.Value()
	}
	if err := m.mountMemory(dir, size); err != nil {
		return fmt.Errorf("mounting a file system in memory failed: %w", err)
	}
	return nil
}

// mountMemory mounts a tmpfs of a size in bytes; 0 for the default of the system, half of the memory.
func mountMemory(path string, size int64) error {
	options := "mode=0777"
	if size > 0 {
		options += ",size=" + strconv.FormatInt(size, 10)
	}
	return unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options)
}

func unmount(path string) error { return unix.Unmount(path, unix.MNT_DETACH) }

// isMounted reports whether a directory is another file system than its parent. It is false if the
// directory does not exist.
func isMounted(path string) (bool, error) {
	var own, above unix.Stat_t
	if err := unix.Lstat(path, &own); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return false, nil
		}
		return false, err
	}
	if err := unix.Lstat(filepath.Dir(path), &above); err != nil {
		return false, err
	}
	return own.Dev != above.Dev, nil
}

// ensureHostPath checks a path of the host, or creates what its type allows.
func ensureHostPath(source *v1alpha1.HostPathVolumeSource) error {
	kind := ptr.Deref(source.Type, "")
	if !filepath.IsAbs(source.Path) {
		return fmt.Errorf("hostPath %q is not absolute", source.Path)
	}
	if kind == "" {
		return nil
	}
	info, err := os.Stat(source.Path)
	if errors.Is(err, os.ErrNotExist) {
		switch kind {
		case v1alpha1.HostPathDirectoryOrCreate:
			return os.MkdirAll(source.Path, 0o755)
		case v1alpha1.HostPathFileOrCreate:
			created, err := os.OpenFile(source.Path, os.O_CREATE|os.O_WRONLY, 0o644)
			if err != nil {
				return err
			}
			return created.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("hostPath: %w", err)
	}
	matches := map[v1alpha1.HostPathType]bool{
		v1alpha1.HostPathDirectoryOrCreate: info.IsDir(),
		v1alpha1.HostPathDirectory:         info.IsDir(),
		v1alpha1.HostPathFileOrCreate:      info.Mode().IsRegular(),
		v1alpha1.HostPathFile:              info.Mode().IsRegular(),
		v1alpha1.HostPathSocket:            info.Mode().Type() == fs.ModeSocket,
		v1alpha1.HostPathCharDevice:        info.Mode().Type() == fs.ModeDevice|fs.ModeCharDevice,
		v1alpha1.HostPathBlockDevice:       info.Mode().Type() == fs.ModeDevice,
	}
	if !matches[kind] {
		return fmt.Errorf("hostPath %s is not what type %s requires: it is %s", source.Path, kind, describe(info.Mode()))
	}
	return nil
}

func describe(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a file"
	case mode.Type() == fs.ModeSocket:
		return "a socket"
	case mode.Type() == fs.ModeDevice|fs.ModeCharDevice:
		return "a character device"
	case mode.Type() == fs.ModeDevice:
		return "a block device"
	}
	return "of the mode " + mode.String()
}
