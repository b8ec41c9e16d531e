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
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// fakeProvider provides one variable and one mount, or fails.
type fakeProvider struct {
	err      error
	left     []types.UID
	released []types.UID
}

func (p *fakeProvider) Provide(context.Context, *v1alpha1.Instance, *v1alpha1.Container) (*runtime.Provision, error) {
	return &runtime.Provision{
		Env:    []v1alpha1.EnvVar{{Name: "A", Value: "b"}},
		Mounts: []runtime.Mount{{HostPath: "/host", ContainerPath: "/data", ReadOnly: true}},
	}, p.err
}

func (p *fakeProvider) Logins(context.Context, *v1alpha1.Instance, string) ([]runtime.Login, error) {
	return nil, p.err
}
func (p *fakeProvider) Provided() ([]types.UID, error) { return p.left, nil }
func (p *fakeProvider) Release(uid types.UID) error {
	p.released = append(p.released, uid)
	return nil
}

func TestAContainerWaitsForWhatItRefersTo(t *testing.T) {
	r, service, images, clock := newRuntime(t)
	provider := &fakeProvider{err: errors.New(`ConfigMap "settings" does not exist`)}
	r.options.Provider = provider
	images.SetFakeImages([]string{"web:1"})
	i := instance()
	start := func() error { return r.StartContainer(t.Context(), i, &i.Spec.Containers[0], 0) }
	for range 3 { // with the same pause each time
		if err := start(); err != nil {
			t.Fatal(err)
		}
		settle(t, r)
		err := start()
		if reasonOf(err) != "CreateContainerConfigError" || err.Error() != `ConfigMap "settings" does not exist` || len(service.Containers) != 0 {
			t.Fatalf("got %v and %d containers", err, len(service.Containers))
		}
		clock.Step(FirstBackOff)
		settle(t, r)
	}
	provider.err = nil
	if err := start(); err != nil {
		t.Fatal(err)
	}
	settle(t, r)
	if len(service.Containers) != 1 {
		t.Fatalf("%d containers", len(service.Containers))
	}
	if err := r.RemoveSandbox(t.Context(), i.UID); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the volumes are removed with the sandbox", func(context.Context) bool {
		settle(t, r)
		return slices.Equal(provider.released, []types.UID{i.UID})
	})
}

func TestTheVolumesOfAnInstanceWithoutASandboxAreRemoved(t *testing.T) {
	r, _, _, _ := newRuntime(t)
	provider := &fakeProvider{left: []types.UID{"gone"}}
	r.options.Provider = provider
	uids, err := r.Sandboxes(t.Context())
	if err != nil || !slices.Equal(uids, []types.UID{"gone"}) {
		t.Fatalf("got %v, %v", uids, err)
	}
	if err := r.RemoveSandbox(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	settle(t, r)
	if !slices.Equal(provider.released, uids) {
		t.Errorf("released are %v", provider.released)
	}
}

func TestTheProvisionIsInTheConfigurationOfTheContainer(t *testing.T) {
	provided, err := (&fakeProvider{}).Provide(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	config := &criv1.ContainerConfig{}
	addProvision(config, provided)
	if len(config.Envs) != 1 || string(config.Envs[0].Value) != "b" || len(config.Mounts) != 1 || config.Mounts[0].HostPath != "/host" || config.Mounts[0].ContainerPath != "/data" || !config.Mounts[0].Readonly {
		t.Errorf("got %+v", config)
	}
}

func TestAnInstanceInTheNetworkOfTheHostMapsNoPorts(t *testing.T) {
	r, _, _, _ := newRuntime(t)
	i := instance(func(i *v1alpha1.Instance) {
		i.Spec.HostNetwork = true
		i.Spec.Containers[0].Ports = []v1alpha1.ContainerPort{{ContainerPort: 80, HostPort: 80}}
	})
	config := r.sandboxConfig(i, 0)
	if config.Linux.SecurityContext.NamespaceOptions.Network != criv1.NamespaceMode_NODE || len(config.PortMappings) > 0 || config.Hostname != "" {
		t.Errorf("got %+v", config)
	}
	security, err := r.security(t.Context(), i, &i.Spec.Containers[0])
	if err != nil || security.NamespaceOptions.Network != criv1.NamespaceMode_NODE {
		t.Errorf("got %+v, %v", security, err)
	}
}

func TestAContainerHasItsSecuritySettings(t *testing.T) {
	yes, number := ptr.To(true), func(n int64) *criv1.Int64Value { return &criv1.Int64Value{Value: n} }
	for _, tc := range []struct {
		name    string
		own     *v1alpha1.SecurityContext
		image   *criv1.Image
		expects func(*criv1.LinuxContainerSecurityContext) bool
		fails   string
	}{
		{name: "without any", expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return !s.Privileged && !s.ReadonlyRootfs && s.RunAsUser == nil && s.Capabilities == nil && len(s.MaskedPaths) > 0 && s.Seccomp.ProfileType == criv1.SecurityProfile_RuntimeDefault
		}},
		{name: "a user and a group", own: &v1alpha1.SecurityContext{RunAsUser: ptr.To[int64](1000), RunAsGroup: ptr.To[int64](2000)}, expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return s.RunAsUser.Value == 1000 && s.RunAsGroup.Value == 2000
		}},
		{name: "a group with the user of the image", own: &v1alpha1.SecurityContext{RunAsGroup: ptr.To[int64](2000)}, image: &criv1.Image{Uid: number(7)}, expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return s.RunAsUser.Value == 7 && s.RunAsGroup.Value == 2000
		}},
		{name: "a group with a user that the image names", own: &v1alpha1.SecurityContext{RunAsGroup: ptr.To[int64](2000)}, image: &criv1.Image{Username: "web"}, expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return s.RunAsUsername == "web" && s.RunAsUser == nil
		}},
		{name: "not root, by the image", own: &v1alpha1.SecurityContext{RunAsNonRoot: yes}, image: &criv1.Image{Uid: number(7)}, expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return s.RunAsUser.Value == 7
		}},
		{name: "not root, and the image is root", own: &v1alpha1.SecurityContext{RunAsNonRoot: yes}, image: &criv1.Image{}, fails: "runs as root: set runAsUser"},
		{name: "not root, and the image has the user 0", own: &v1alpha1.SecurityContext{RunAsNonRoot: yes}, image: &criv1.Image{Uid: number(0)}, fails: "runs as root: set runAsUser"},
		{name: "not root, and the image has the name of a user", own: &v1alpha1.SecurityContext{RunAsNonRoot: yes}, image: &criv1.Image{Username: "web"}, fails: "is a name, which may be root"},
		{name: "not root, and the image is gone", own: &v1alpha1.SecurityContext{RunAsNonRoot: yes}, fails: "not present any more"},
		{name: "a read-only root, and capabilities", own: &v1alpha1.SecurityContext{ReadOnlyRootFilesystem: yes, Capabilities: &v1alpha1.Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"ALL"}}}, expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return s.ReadonlyRootfs && s.Capabilities.AddCapabilities[0] == "NET_ADMIN" && s.Capabilities.DropCapabilities[0] == "ALL"
		}},
		{name: "privileged", own: &v1alpha1.SecurityContext{Privileged: yes}, expects: func(s *criv1.LinuxContainerSecurityContext) bool {
			return s.Privileged && s.MaskedPaths == nil && s.ReadonlyPaths == nil && s.Seccomp.ProfileType == criv1.SecurityProfile_Unconfined
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _, images, _ := newRuntime(t)
			if tc.image != nil {
				tc.image.Id = "web:1"
				images.Images["web:1"] = tc.image
			}
			i := instance(func(i *v1alpha1.Instance) { i.Spec.Containers[0].SecurityContext = tc.own })
			got, err := r.security(t.Context(), i, &i.Spec.Containers[0])
			switch {
			case tc.fails != "":
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("got %v", err)
				}
			case err != nil || !tc.expects(got):
				t.Errorf("got %+v, %v", got, err)
			}
			if sandbox := sandboxSecurity(i); tc.fails == "" && sandbox.Privileged != got.Privileged {
				t.Errorf("the sandbox is privileged: %v", sandbox.Privileged)
			}
		})
	}
}
