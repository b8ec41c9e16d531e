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

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/resource"
)

// LocalObjectReference refers to an object in the namespace of the instance.
type LocalObjectReference struct {
	// name of the object.
	// +required
	// +k8s:required
	// +k8s:format=k8s-long-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`
}

// Volume is a directory or a file that containers of an instance can mount. Exactly one source
// must be set.
type Volume struct {
	// name of the volume: a DNS label that is unique within the instance.
	// +required
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// emptyDir is a directory that is empty at first and exists as long as the instance.
	// +optional
	EmptyDir *EmptyDirVolumeSource `json:"emptyDir,omitempty" protobuf:"bytes,2,opt,name=emptyDir"`

	// hostPath is a file or directory of the host.
	// +optional
	// +k8s:optional
	HostPath *HostPathVolumeSource `json:"hostPath,omitempty" protobuf:"bytes,3,opt,name=hostPath"`

	// configMap has a file for each key of a ConfigMap.
	// +optional
	// +k8s:optional
	ConfigMap *ConfigMapVolumeSource `json:"configMap,omitempty" protobuf:"bytes,4,opt,name=configMap"`

	// secret has a file for each key of a Secret.
	// +optional
	// +k8s:optional
	Secret *SecretVolumeSource `json:"secret,omitempty" protobuf:"bytes,5,opt,name=secret"`
}

// StorageMedium is the medium of an emptyDir volume.
// +enum
type StorageMedium string

const (
	// StorageMediumMemory is a file system in the memory of the host.
	StorageMediumMemory StorageMedium = "Memory"
)

// EmptyDirVolumeSource is a directory that is empty at first and is removed with the instance.
type EmptyDirVolumeSource struct {
	// medium of the directory: Memory, or the disk of the host if absent.
	// +optional
	Medium StorageMedium `json:"medium,omitempty" protobuf:"bytes,1,opt,name=medium,casttype=StorageMedium"`

	// sizeLimit is the maximum size of the directory. It is enforced for the medium Memory only.
	// +optional
	SizeLimit *resource.Quantity `json:"sizeLimit,omitempty" protobuf:"bytes,2,opt,name=sizeLimit"`
}

// HostPathType describes what must exist at the path of a hostPath volume.
// +enum
// +k8s:enum
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
	// path on the host, absolute and without "..".
	// +required
	// +k8s:required
	// +k8s:maxLength=4096
	Path string `json:"path" protobuf:"bytes,1,opt,name=path"`

	// type describes what must exist at the path: DirectoryOrCreate, Directory, FileOrCreate,
	// File, Socket, CharDevice or BlockDevice. If absent, nothing is checked.
	// +optional
	// +k8s:optional
	Type *HostPathType `json:"type,omitempty" protobuf:"bytes,2,opt,name=type,casttype=HostPathType"`
}

// ConfigMapVolumeSource has a file for each key of a ConfigMap of the instance's namespace.
type ConfigMapVolumeSource struct {
	// name of the ConfigMap.
	// +required
	// +k8s:required
	// +k8s:format=k8s-long-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// items are the keys that become files, and the paths of the files. If empty, each key
	// becomes a file of its name. A key that does not exist keeps the container from starting,
	// unless optional is set.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=1024
	Items []KeyToPath `json:"items,omitempty" protobuf:"bytes,2,rep,name=items"`

	// defaultMode is the mode of files without one, from 0 to 0777 (511 in JSON, which has no
	// octal numbers). Defaults to 0644.
	// +optional
	// +default=420
	// +k8s:optional
	// +k8s:minimum=0
	// +k8s:maximum=511
	DefaultMode *int32 `json:"defaultMode,omitempty" protobuf:"varint,3,opt,name=defaultMode"`

	// optional allows the ConfigMap or its keys to be absent.
	// +optional
	// +k8s:optional
	Optional *bool `json:"optional,omitempty" protobuf:"varint,4,opt,name=optional"`
}

// SecretVolumeSource has a file for each key of a Secret of the instance's namespace. The files
// are in the memory of the host.
type SecretVolumeSource struct {
	// secretName is the name of the Secret.
	// +required
	// +k8s:required
	// +k8s:format=k8s-long-name
	SecretName string `json:"secretName" protobuf:"bytes,1,opt,name=secretName"`

	// items are the keys that become files, and the paths of the files. If empty, each key
	// becomes a file of its name. A key that does not exist keeps the container from starting,
	// unless optional is set.
	// +optional
	// +listType=atomic
	// +k8s:optional
	// +k8s:listType=atomic
	// +k8s:maxItems=1024
	Items []KeyToPath `json:"items,omitempty" protobuf:"bytes,2,rep,name=items"`

	// defaultMode is the mode of files without one, from 0 to 0777 (511 in JSON, which has no
	// octal numbers). Defaults to 0644.
	// +optional
	// +default=420
	// +k8s:optional
	// +k8s:minimum=0
	// +k8s:maximum=511
	DefaultMode *int32 `json:"defaultMode,omitempty" protobuf:"varint,3,opt,name=defaultMode"`

	// optional allows the Secret or its keys to be absent.
	// +optional
	// +k8s:optional
	Optional *bool `json:"optional,omitempty" protobuf:"varint,4,opt,name=optional"`
}

// KeyToPath is the file of a key.
type KeyToPath struct {
	// key of the ConfigMap or Secret.
	// +required
	// +k8s:required
	// +k8s:maxLength=253
	Key string `json:"key" protobuf:"bytes,1,opt,name=key"`

	// path of the file, relative to the volume and without "..".
	// +required
	// +k8s:required
	// +k8s:maxLength=4096
	Path string `json:"path" protobuf:"bytes,2,opt,name=path"`

	// mode of the file, from 0 to 0777 (511 in JSON). Defaults to the volume's defaultMode.
	// +optional
	// +k8s:optional
	// +k8s:minimum=0
	// +k8s:maximum=511
	Mode *int32 `json:"mode,omitempty" protobuf:"varint,3,opt,name=mode"`
}

// VolumeMount is the place of a volume in a container. Only whole volumes can be mounted.
type VolumeMount struct {
	// name of the volume, as in spec.volumes.
	// +required
	// +k8s:required
	// +k8s:format=k8s-short-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// mountPath is the absolute path in the container at which the volume appears. It must be
	// unique within the container and contain no ":".
	// +required
	// +k8s:required
	// +k8s:maxLength=4096
	MountPath string `json:"mountPath" protobuf:"bytes,2,opt,name=mountPath"`

	// readOnly mounts the volume read-only. Volumes of ConfigMaps and Secrets always are.
	// +optional
	ReadOnly bool `json:"readOnly,omitempty" protobuf:"varint,3,opt,name=readOnly"`
}

// EnvVarSource is the source of the value of an environment variable. Exactly one field must be
// set.
type EnvVarSource struct {
	// configMapKeyRef is a key of a ConfigMap of the instance's namespace.
	// +optional
	// +k8s:optional
	ConfigMapKeyRef *KeySelector `json:"configMapKeyRef,omitempty" protobuf:"bytes,1,opt,name=configMapKeyRef"`

	// secretKeyRef is a key of a Secret of the instance's namespace.
	// +optional
	// +k8s:optional
	SecretKeyRef *KeySelector `json:"secretKeyRef,omitempty" protobuf:"bytes,2,opt,name=secretKeyRef"`
}

// KeySelector is a key of a ConfigMap or Secret.
type KeySelector struct {
	// name of the ConfigMap or Secret.
	// +required
	// +k8s:required
	// +k8s:format=k8s-long-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// key whose value is used.
	// +required
	// +k8s:required
	// +k8s:maxLength=253
	Key string `json:"key" protobuf:"bytes,2,opt,name=key"`

	// optional leaves the variable unset if the object or the key does not exist. Otherwise the
	// container does not start.
	// +optional
	// +k8s:optional
	Optional *bool `json:"optional,omitempty" protobuf:"varint,3,opt,name=optional"`
}

// EnvFromSource is an object each key of which becomes an environment variable. Exactly one of
// configMapRef and secretRef must be set.
type EnvFromSource struct {
	// prefix is prepended to each key. Keys that are not valid names of variables are skipped.
	// +optional
	// +k8s:optional
	// +k8s:maxLength=253
	Prefix string `json:"prefix,omitempty" protobuf:"bytes,1,opt,name=prefix"`

	// configMapRef is a ConfigMap of the instance's namespace.
	// +optional
	// +k8s:optional
	ConfigMapRef *EnvSource `json:"configMapRef,omitempty" protobuf:"bytes,2,opt,name=configMapRef"`

	// secretRef is a Secret of the instance's namespace.
	// +optional
	// +k8s:optional
	SecretRef *EnvSource `json:"secretRef,omitempty" protobuf:"bytes,3,opt,name=secretRef"`
}

// EnvSource is a ConfigMap or Secret whose keys become environment variables.
type EnvSource struct {
	// name of the ConfigMap or Secret.
	// +required
	// +k8s:required
	// +k8s:format=k8s-long-name
	Name string `json:"name" protobuf:"bytes,1,opt,name=name"`

	// optional allows the object to be absent. Otherwise the container does not start without it.
	// +optional
	// +k8s:optional
	Optional *bool `json:"optional,omitempty" protobuf:"varint,2,opt,name=optional"`
}
