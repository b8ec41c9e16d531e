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

package validation

import (
	"path"
	"regexp"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// validateUse checks what a container uses besides its image: variables, volumes, probes and
// security settings. volumes are the names of the volumes of the instance.
func validateUse(container *fleet.Container, volumes map[string]bool, at *field.Path) field.ErrorList {
	errs := validateEnv(container, at)
	errs = append(errs, validateMounts(container.VolumeMounts, volumes, at.Child("volumeMounts"))...)
	errs = append(errs, validateProbes(container, at)...)
	errs = append(errs, validateSecurityContext(container.SecurityContext, at.Child("securityContext"))...)
	if container.StdinOnce && !container.Stdin {
		errs = append(errs, field.Invalid(at.Child("stdinOnce"), true, "needs stdin: set stdin to true"))
	}
	if container.TTY && !container.Stdin {
		errs = append(errs, field.Invalid(at.Child("tty"), true, "needs stdin: set stdin to true"))
	}
	return errs
}

func validateEnv(container *fleet.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range container.Env {
		env, here := &container.Env[i], at.Child("env").Index(i)
		if env.Name != "" { // required: the declarative rule reports it
			for _, message := range utilvalidation.IsRelaxedEnvVarName(env.Name) {
				errs = append(errs, field.Invalid(here.Child("name"), env.Name, message))
			}
		}
		if env.ValueFrom == nil {
			continue
		}
		if env.Value != "" {
			errs = append(errs, field.Forbidden(here.Child("valueFrom"), "may not be set together with value: remove one of them"))
		}
		sources := here.Child("valueFrom")
		errs = append(errs, exactlyOne(sources, "configMapKeyRef or secretKeyRef", env.ValueFrom.ConfigMapKeyRef != nil, env.ValueFrom.SecretKeyRef != nil)...)
		errs = append(errs, validateKeySelector(env.ValueFrom.ConfigMapKeyRef, sources.Child("configMapKeyRef"))...)
		errs = append(errs, validateKeySelector(env.ValueFrom.SecretKeyRef, sources.Child("secretKeyRef"))...)
	}
	for i := range container.EnvFrom {
		source, here := &container.EnvFrom[i], at.Child("envFrom").Index(i)
		if source.Prefix != "" {
			for _, message := range utilvalidation.IsRelaxedEnvVarName(source.Prefix) {
				errs = append(errs, field.Invalid(here.Child("prefix"), source.Prefix, message))
			}
		}
		errs = append(errs, exactlyOne(here, "configMapRef or secretRef", source.ConfigMapRef != nil, source.SecretRef != nil)...)
	}
	return errs
}

func validateKeySelector(selector *fleet.KeySelector, at *field.Path) field.ErrorList {
	if selector == nil {
		return nil
	}
	return validateKey(selector.Key, at.Child("key"))
}

// validateKey checks a key of a ConfigMap or Secret. The declarative rule reports an absent one.
func validateKey(key string, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if key != "" {
		for _, message := range utilvalidation.IsConfigMapKey(key) {
			errs = append(errs, field.Invalid(at, key, message))
		}
	}
	return errs
}

// exactlyOne checks that one alternative is set, of which names has the fields.
func exactlyOne(at *field.Path, names string, alternatives ...bool) field.ErrorList {
	set := 0
	for _, isSet := range alternatives {
		if isSet {
			set++
		}
	}
	switch set {
	case 0:
		return field.ErrorList{field.Required(at, "specify "+names)}
	case 1:
		return nil
	}
	return field.ErrorList{field.Forbidden(at, "may specify only one of "+names)}
}

// validateVolumes checks the volumes of an instance and returns their names.
func validateVolumes(volumes []fleet.Volume, at *field.Path) (field.ErrorList, map[string]bool) {
	var errs field.ErrorList
	names := make(map[string]bool, len(volumes))
	for i := range volumes {
		volume, here := &volumes[i], at.Index(i)
		names[volume.Name] = true
		errs = append(errs, exactlyOne(here, "emptyDir, hostPath, configMap or secret",
			volume.EmptyDir != nil, volume.HostPath != nil, volume.ConfigMap != nil, volume.Secret != nil)...)
		if source := volume.EmptyDir; source != nil {
			errs = append(errs, validateEmptyDir(source, here.Child("emptyDir"))...)
		}
		if source := volume.HostPath; source != nil {
			errs = append(errs, validateAbsolute(source.Path, here.Child("hostPath", "path"))...)
		}
		if source := volume.ConfigMap; source != nil {
			errs = append(errs, validateItems(source.Items, here.Child("configMap", "items"))...)
		}
		if source := volume.Secret; source != nil {
			errs = append(errs, validateItems(source.Items, here.Child("secret", "items"))...)
		}
	}
	return errs, names
}

func validateEmptyDir(source *fleet.EmptyDirVolumeSource, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	if source.Medium != "" && source.Medium != fleet.StorageMediumMemory {
		errs = append(errs, field.NotSupported(at.Child("medium"), source.Medium, []fleet.StorageMedium{fleet.StorageMediumMemory}))
	}
	if source.SizeLimit != nil && source.SizeLimit.Sign() < 0 {
		errs = append(errs, field.Invalid(at.Child("sizeLimit"), source.SizeLimit.String(), apivalidation.IsNegativeErrorMsg))
	}
	return errs
}

// validateAbsolute checks a path. The declarative rule reports an absent one.
func validateAbsolute(p string, at *field.Path) field.ErrorList {
	switch {
	case p == "":
	case !path.IsAbs(p):
		return field.ErrorList{field.Invalid(at, p, "must be an absolute path, which begins with /")}
	case hasParent(p):
		return field.ErrorList{field.Invalid(at, p, "must not contain the segment ..")}
	}
	return nil
}

func hasParent(p string) bool {
	for segment := range strings.SplitSeq(p, "/") {
		if segment == ".." {
			return true
		}
	}
	return false
}

func validateItems(items []fleet.KeyToPath, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	paths := map[string]bool{}
	for i := range items {
		item, here := &items[i], at.Index(i)
		errs = append(errs, validateKey(item.Key, here.Child("key"))...)
		file := here.Child("path")
		switch clean := path.Clean(item.Path); {
		case item.Path == "":
		case path.IsAbs(item.Path) || hasParent(item.Path) || clean == ".":
			errs = append(errs, field.Invalid(file, item.Path, "must be relative to the volume and must not contain the segment .."))
		case strings.HasPrefix(item.Path, ".."):
			errs = append(errs, field.Invalid(file, item.Path, "must not begin with \"..\", with which the names of the agent's own files begin"))
		case paths[clean]:
			errs = append(errs, field.Duplicate(file, item.Path))
		default:
			paths[clean] = true
		}
	}
	return append(errs, validateNesting(items, paths, at)...)
}

// validateNesting refuses a path that would have to be a file and a directory.
func validateNesting(items []fleet.KeyToPath, paths map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i := range items {
		for parent := path.Dir(path.Clean(items[i].Path)); parent != "." && parent != "/"; parent = path.Dir(parent) {
			if paths[parent] {
				errs = append(errs, field.Invalid(at.Index(i).Child("path"), items[i].Path, "is below "+parent+", which is the file of another item"))
				break
			}
		}
	}
	return errs
}

func validateMounts(mounts []fleet.VolumeMount, volumes map[string]bool, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	places := map[string]bool{}
	for i := range mounts {
		mount, here := &mounts[i], at.Index(i)
		if mount.Name != "" && !volumes[mount.Name] {
			errs = append(errs, field.Invalid(here.Child("name"), mount.Name, "is not the name of a volume in spec.volumes"))
		}
		errs = append(errs, validateAbsolute(mount.MountPath, here.Child("mountPath"))...)
		clean := path.Clean(mount.MountPath)
		switch {
		case strings.Contains(mount.MountPath, ":"):
			errs = append(errs, field.Invalid(here.Child("mountPath"), mount.MountPath, "must not contain \":\""))
		case clean == "/":
			errs = append(errs, field.Invalid(here.Child("mountPath"), mount.MountPath, "must not be the root of the container"))
		case mount.MountPath != clean && places[clean]: // the declarative rule reports equal ones
			errs = append(errs, field.Duplicate(here.Child("mountPath"), mount.MountPath))
		}
		places[clean] = true
	}
	return errs
}

// capability is the name of a capability, without the prefix that the runtime adds.
var capability = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

func validateSecurityContext(security *fleet.SecurityContext, at *field.Path) field.ErrorList {
	if security == nil {
		return nil
	}
	var errs field.ErrorList
	if ptr.Deref(security.RunAsNonRoot, false) && ptr.Deref(security.RunAsUser, -1) == 0 {
		errs = append(errs, field.Invalid(at.Child("runAsUser"), 0, "must not be 0 when runAsNonRoot is true"))
	}
	if security.Capabilities != nil {
		check := func(names []string, at *field.Path) {
			for i, name := range names {
				switch {
				case strings.HasPrefix(name, "CAP_"):
					errs = append(errs, field.Invalid(at.Index(i), name, "leave out the prefix: "+strings.TrimPrefix(name, "CAP_")))
				case !capability.MatchString(name) || len(name) > 63:
					errs = append(errs, field.Invalid(at.Index(i), name, "must be a capability in upper case, such as NET_ADMIN, or ALL"))
				}
			}
		}
		check(security.Capabilities.Add, at.Child("capabilities", "add"))
		check(security.Capabilities.Drop, at.Child("capabilities", "drop"))
	}
	return errs
}

// validateHostPorts checks the ports of an instance in the network of its host: they are ports of
// the host, so that a hostPort can only be the same number.
func validateHostPorts(container *fleet.Container, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for i, port := range container.Ports {
		if port.HostPort != 0 && port.HostPort != port.ContainerPort {
			errs = append(errs, field.Invalid(at.Child("ports").Index(i).Child("hostPort"), port.HostPort, "must be the containerPort, or absent, when hostNetwork is true"))
		}
	}
	return errs
}

// validateUseUpdate checks that the fields of an instance that its containers use do not change.
func validateUseUpdate(spec, old *fleet.InstanceSpec, at *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, f := range []struct {
		name     string
		now, old any
	}{
		{"hostNetwork", spec.HostNetwork, old.HostNetwork},
		{"volumes", spec.Volumes, old.Volumes},
		{"imagePullSecrets", spec.ImagePullSecrets, old.ImagePullSecrets},
		{"automountServiceAccountToken", spec.AutomountServiceAccountToken, old.AutomountServiceAccountToken},
		{"stopAfterDisconnectSeconds", spec.StopAfterDisconnectSeconds, old.StopAfterDisconnectSeconds},
	} {
		if !apiequality.Semantic.DeepEqual(f.now, f.old) {
			errs = append(errs, field.Forbidden(at.Child(f.name), "cannot change after the instance was created: delete it and create another"))
		}
	}
	return errs
}
