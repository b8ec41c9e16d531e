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

package cri

import (
	"context"
	"errors"
	"fmt"
	"slices"

	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// namespaces returns the namespaces of the containers of an instance.
func namespaces(instance *v1alpha1.Instance) *criv1.NamespaceOption {
	options := &criv1.NamespaceOption{Network: criv1.NamespaceMode_POD, Ipc: criv1.NamespaceMode_POD, Pid: criv1.NamespaceMode_CONTAINER}
	if instance.Spec.HostNetwork {
		options.Network = criv1.NamespaceMode_NODE
	}
	return options
}

func runtimeDefault() *criv1.SecurityProfile {
	return &criv1.SecurityProfile{ProfileType: criv1.SecurityProfile_RuntimeDefault}
}

func isPrivileged(spec *v1alpha1.Container) bool {
	return spec.SecurityContext != nil && ptr.Deref(spec.SecurityContext.Privileged, false)
}

// sandboxSecurity returns the security settings of a sandbox. Runtimes create a privileged container
// in a privileged sandbox only.
func sandboxSecurity(instance *v1alpha1.Instance) *criv1.LinuxSandboxSecurityContext {
	privileged := slices.ContainsFunc(instance.Spec.Containers, func(spec v1alpha1.Container) bool { return isPrivileged(&spec) })
	return &criv1.LinuxSandboxSecurityContext{NamespaceOptions: namespaces(instance), Seccomp: runtimeDefault(), Privileged: privileged}
}

// security returns the security settings of a container. It reads the user of the image if they
// depend on it. An error is the reason why the container must not start.
func (r *Runtime) security(ctx context.Context, instance *v1alpha1.Instance, spec *v1alpha1.Container) (*criv1.LinuxContainerSecurityContext, error) {
	out := &criv1.LinuxContainerSecurityContext{
		NamespaceOptions: namespaces(instance), Seccomp: runtimeDefault(), MaskedPaths: maskedPaths(), ReadonlyPaths: readOnlyPaths(),
	}
	own := spec.SecurityContext
	if own == nil {
		return out, nil
	}
	if isPrivileged(spec) {
		out.Privileged, out.MaskedPaths, out.ReadonlyPaths = true, nil, nil
		out.Seccomp = &criv1.SecurityProfile{ProfileType: criv1.SecurityProfile_Unconfined}
	}
	out.ReadonlyRootfs = ptr.Deref(own.ReadOnlyRootFilesystem, false)
	if own.Capabilities != nil {
		out.Capabilities = &criv1.Capability{AddCapabilities: own.Capabilities.Add, DropCapabilities: own.Capabilities.Drop}
	}
	if own.RunAsGroup != nil {
		out.RunAsGroup = &criv1.Int64Value{Value: *own.RunAsGroup}
	}
	nonRoot := ptr.Deref(own.RunAsNonRoot, false)
	if own.RunAsUser != nil {
		out.RunAsUser = &criv1.Int64Value{Value: *own.RunAsUser}
		if nonRoot && *own.RunAsUser == 0 {
			return nil, errors.New("runAsNonRoot is true, but runAsUser is 0")
		}
		return out, nil
	}
	if !nonRoot && own.RunAsGroup == nil {
		return out, nil
	}
	// A runtime accepts a group only together with a user.
	response, err := r.images.ImageStatus(ctx, &criv1.ImageSpec{Image: spec.Image}, false)
	if err != nil {
		return nil, fmt.Errorf("reading the user of image %q failed: %s", spec.Image, text(err))
	}
	image := response.GetImage()
	if image == nil {
		return nil, fmt.Errorf("image %q is not present any more", spec.Image)
	}
	return out, asImageUser(out, image, spec.Image, nonRoot)
}

// asImageUser sets the user of an image.
func asImageUser(out *criv1.LinuxContainerSecurityContext, image *criv1.Image, name string, nonRoot bool) error {
	switch {
	case nonRoot && image.Uid == nil && image.Username != "":
		return fmt.Errorf("runAsNonRoot is true, but the user %q of image %q is a name, which may be root: set runAsUser", image.Username, name)
	case nonRoot && image.GetUid().GetValue() == 0:
		return fmt.Errorf("runAsNonRoot is true, but image %q runs as root: set runAsUser", name)
	case image.Uid == nil && image.Username != "":
		out.RunAsUsername = image.Username
	default:
		out.RunAsUser = &criv1.Int64Value{Value: image.GetUid().GetValue()}
	}
	return nil
}

// provide returns what a container gets besides its image.
func (r *Runtime) provide(ctx context.Context, o *order) (*runtime.Provision, error) {
	if r.options.Provider == nil {
		provided := &runtime.Provision{}
		for i := range o.spec.Env {
			if o.spec.Env[i].ValueFrom == nil {
				provided.Env = append(provided.Env, o.spec.Env[i])
			}
		}
		return provided, nil
	}
	return r.options.Provider.Provide(ctx, o.instance, o.spec)
}

// addProvision adds it to the configuration of a container.
func addProvision(config *criv1.ContainerConfig, provided *runtime.Provision) {
	for _, variable := range provided.Env {
		config.Envs = append(config.Envs, &criv1.KeyValue{Key: variable.Name, Value: []byte(variable.Value)})
	}
	for _, mount := range provided.Mounts {
		config.Mounts = append(config.Mounts, &criv1.Mount{HostPath: mount.HostPath, ContainerPath: mount.ContainerPath, Readonly: mount.ReadOnly})
	}
}
