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

package fleet

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// LocalObjectReference refers to an object in the namespace of the instance.
type LocalObjectReference struct {
	Name string
}

// Volume is a directory or a file that containers of an instance can mount. Exactly one source
// must be set.
type Volume struct {
	Name      string
	EmptyDir  *EmptyDirVolumeSource
	HostPath  *HostPathVolumeSource
	ConfigMap *ConfigMapVolumeSource
	Secret    *SecretVolumeSource
}

// StorageMedium is the medium of an emptyDir volume.
type StorageMedium string

const (
	// StorageMediumMemory is a file system in the memory of the host.
	StorageMediumMemory StorageMedium = "Memory"
)

// EmptyDirVolumeSource is a directory that is empty at first and is removed with the instance.
type EmptyDirVolumeSource struct {
	Medium    StorageMedium
	SizeLimit *resource.Quantity
}

// HostPathType describes what must exist at the path of a hostPath volume.
type HostPathType string

const (
	// HostPathDirectoryOrCreate creates an empty directory, owned by root, if nothing exists.
	HostPathDirectoryOrCreate HostPathType = "DirectoryOrCreate"
	// HostPathDirectory requires a directory.
	HostPathDirectory HostPathType = "Directory"
	// HostPathFileOrCreate creates an empty file, owned by root, if nothing exists.
	HostPathFileOrCreate HostPathType = "FileOrCreate"
	// HostPathFile requires a file.
	HostPathFile HostPathType = "File"
	// HostPathSocket requires a UNIX socket.
	HostPathSocket HostPathType = "Socket"
	// HostPathCharDevice requires a character device.
	HostPathCharDevice HostPathType = "CharDevice"
	// HostPathBlockDevice requires a block device.
	HostPathBlockDevice HostPathType = "BlockDevice"
)

// HostPathVolumeSource is a file or directory of the host.
type HostPathVolumeSource struct {
	Path string
	Type *HostPathType
}

// ConfigMapVolumeSource has a file for each key of a ConfigMap of the instance's namespace.
type ConfigMapVolumeSource struct {
	Name        string
	Items       []KeyToPath
	DefaultMode *int32
	Optional    *bool
}

// SecretVolumeSource has a file for each key of a Secret of the instance's namespace. The files
// are in the memory of the host.
type SecretVolumeSource struct {
	SecretName  string
	Items       []KeyToPath
	DefaultMode *int32
	Optional    *bool
}

// KeyToPath is the file of a key.
type KeyToPath struct {
	Key  string
	Path string
	Mode *int32
}

// VolumeMount is the place of a volume in a container. Only whole volumes can be mounted.
type VolumeMount struct {
	Name      string
	MountPath string
	ReadOnly  bool
}

// EnvVarSource is the source of the value of an environment variable. Exactly one field must be
// set.
type EnvVarSource struct {
	ConfigMapKeyRef *KeySelector
	SecretKeyRef    *KeySelector
}

// KeySelector is a key of a ConfigMap or Secret.
type KeySelector struct {
	Name     string
	Key      string
	Optional *bool
}

// EnvFromSource is an object each key of which becomes an environment variable. Exactly one of
// configMapRef and secretRef must be set.
type EnvFromSource struct {
	Prefix       string
	ConfigMapRef *EnvSource
	SecretRef    *EnvSource
}

// EnvSource is a ConfigMap or Secret whose keys become environment variables.
type EnvSource struct {
	Name     string
	Optional *bool
}
