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
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

func security(value fleet.SecurityContext) func(*fleet.Instance) {
	return container(func(c *fleet.Container) { c.SecurityContext = &value })
}

func volume(value fleet.Volume) func(*fleet.Instance) {
	return spec(func(s *fleet.InstanceSpec) { value.Name = "data"; s.Volumes = []fleet.Volume{value} })
}

func items(values ...fleet.KeyToPath) func(*fleet.Instance) {
	return volume(fleet.Volume{ConfigMap: &fleet.ConfigMapVolumeSource{Name: "settings", Items: values}})
}

// mount mounts an empty volume at the paths.
func mount(paths ...string) func(*fleet.Instance) {
	return spec(func(s *fleet.InstanceSpec) {
		s.Volumes = []fleet.Volume{{Name: "data", EmptyDir: &fleet.EmptyDirVolumeSource{}}}
		for _, path := range paths {
			s.Containers[0].VolumeMounts = append(s.Containers[0].VolumeMounts, fleet.VolumeMount{Name: "data", MountPath: path})
		}
	})
}

func variable(value fleet.EnvVar) func(*fleet.Instance) {
	return container(func(c *fleet.Container) { value.Name = "A"; c.Env = []fleet.EnvVar{value} })
}

func probe(value fleet.Probe) func(*fleet.Instance) {
	return container(func(c *fleet.Container) { c.LivenessProbe = &value })
}

func get(port intstr.IntOrString) fleet.Probe {
	return fleet.Probe{HTTPGet: &fleet.HTTPGetAction{Path: "/", Port: port}}
}

func TestWhatANewInstanceUsesIsChecked(t *testing.T) {
	const first, data, live = "spec.containers[0].", "spec.volumes[0]", "spec.containers[0].livenessProbe"
	key := &fleet.KeySelector{Name: "settings", Key: "level"}
	run(t, []instanceTest{
		{name: "a user other than root may be required and set", change: security(fleet.SecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](1000)})},
		{name: "a user other than root may be left to the image", change: security(fleet.SecurityContext{RunAsNonRoot: ptr.To(true)})},
		{name: "root is not a user other than root", change: security(fleet.SecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](0)}), want: []want{{invalid, first + "securityContext.runAsUser"}}},
		{name: "a privileged container is valid", change: security(fleet.SecurityContext{Privileged: ptr.To(true)})},
		{name: "capabilities have names in upper case", change: security(fleet.SecurityContext{Capabilities: &fleet.Capabilities{Add: []string{"NET_ADMIN"}, Drop: []string{"all"}}}), want: []want{{invalid, first + "securityContext.capabilities.drop[0]"}}},
		{name: "capabilities have no prefix", change: security(fleet.SecurityContext{Capabilities: &fleet.Capabilities{Add: []string{"CAP_CHOWN"}}}), want: []want{{invalid, first + "securityContext.capabilities.add[0]"}}},
		{name: "a terminal needs a standard input", change: container(func(c *fleet.Container) { c.TTY, c.StdinOnce = true, true }), want: []want{{invalid, first + "tty"}, {invalid, first + "stdinOnce"}}},
		{name: "a port of the host's network is one of the host", change: spec(func(s *fleet.InstanceSpec) { s.HostNetwork = true }), want: []want{{invalid, first + "ports[0].hostPort"}}},

		{name: "a variable may come from a ConfigMap", change: variable(fleet.EnvVar{ValueFrom: &fleet.EnvVarSource{ConfigMapKeyRef: key}})},
		{name: "a variable has one value", change: variable(fleet.EnvVar{Value: "v", ValueFrom: &fleet.EnvVarSource{ConfigMapKeyRef: key}}), want: []want{{forbidden, first + "env[0].valueFrom"}}},
		{name: "a source of a variable is one", change: variable(fleet.EnvVar{ValueFrom: &fleet.EnvVarSource{ConfigMapKeyRef: key, SecretKeyRef: key}}), want: []want{{forbidden, first + "env[0].valueFrom"}}},
		{name: "a source of a variable is not empty", change: variable(fleet.EnvVar{ValueFrom: &fleet.EnvVarSource{}}), want: []want{{required, first + "env[0].valueFrom"}}},
		{name: "a key is one of a Secret", change: variable(fleet.EnvVar{ValueFrom: &fleet.EnvVarSource{SecretKeyRef: &fleet.KeySelector{Name: "a", Key: "a b"}}}), want: []want{{invalid, first + "env[0].valueFrom.secretKeyRef.key"}}},
		{name: "variables come from an object", change: container(func(c *fleet.Container) { c.EnvFrom = []fleet.EnvFromSource{{Prefix: "A="}} }), want: []want{{required, first + "envFrom[0]"}, {invalid, first + "envFrom[0].prefix"}}},

		{name: "a volume has a source", change: volume(fleet.Volume{}), want: []want{{required, data}}},
		{name: "a volume has one source", change: volume(fleet.Volume{EmptyDir: &fleet.EmptyDirVolumeSource{}, HostPath: &fleet.HostPathVolumeSource{Path: "/"}}), want: []want{{forbidden, data}}},
		{name: "an empty directory may be in memory", change: volume(fleet.Volume{EmptyDir: &fleet.EmptyDirVolumeSource{Medium: "Memory"}})},
		{name: "an empty directory has a known medium and no negative size", change: volume(fleet.Volume{EmptyDir: &fleet.EmptyDirVolumeSource{Medium: "Disk", SizeLimit: ptr.To(resource.MustParse("-1"))}}), want: []want{{notSupported, data + ".emptyDir.medium"}, {invalid, data + ".emptyDir.sizeLimit"}}},
		{name: "a path of the host is absolute", change: volume(fleet.Volume{HostPath: &fleet.HostPathVolumeSource{Path: "data"}}), want: []want{{invalid, data + ".hostPath.path"}}},
		{name: "a path of the host has no parent", change: volume(fleet.Volume{HostPath: &fleet.HostPathVolumeSource{Path: "/a/../b"}}), want: []want{{invalid, data + ".hostPath.path"}}},
		{name: "items may have directories", change: items(fleet.KeyToPath{Key: "a", Path: "d/a"}, fleet.KeyToPath{Key: "b", Path: "d/b"})},
		{name: "an item stays in its volume", change: items(fleet.KeyToPath{Key: "a", Path: "../a"}, fleet.KeyToPath{Key: "a", Path: "/a"}, fleet.KeyToPath{Key: "a", Path: "."}), want: []want{{invalid, data + ".configMap.items[0].path"}, {invalid, data + ".configMap.items[1].path"}, {invalid, data + ".configMap.items[2].path"}}},
		{name: "an item does not replace the agent's files", change: items(fleet.KeyToPath{Key: "a", Path: "..data/a"}), want: []want{{invalid, data + ".configMap.items[0].path"}}},
		{name: "a file has one key", change: items(fleet.KeyToPath{Key: "a", Path: "x"}, fleet.KeyToPath{Key: "b", Path: "./x"}), want: []want{{duplicate, data + ".configMap.items[1].path"}}},
		{name: "a file is not a directory", change: items(fleet.KeyToPath{Key: "a", Path: "x/y"}, fleet.KeyToPath{Key: "b", Path: "x"}), want: []want{{invalid, data + ".configMap.items[0].path"}}},

		{name: "a volume may be mounted twice", change: mount("/a", "/b")},
		{name: "a mounted volume exists", change: container(func(c *fleet.Container) { c.VolumeMounts = []fleet.VolumeMount{{Name: "data", MountPath: "/a"}} }), want: []want{{invalid, first + "volumeMounts[0].name"}}},
		{name: "a place of a volume is absolute, not the root and not a list", change: mount("a", "/", "/a:b"), want: []want{{invalid, first + "volumeMounts[0].mountPath"}, {invalid, first + "volumeMounts[1].mountPath"}, {invalid, first + "volumeMounts[2].mountPath"}}},
		{name: "a place has one volume", change: mount("/a", "/a/"), want: []want{{duplicate, first + "volumeMounts[1].mountPath"}}},

		{name: "a probe may name a port", change: probe(get(intstr.FromString("http")))},
		{name: "a probe names a port of its container", change: probe(get(intstr.FromString("admin"))), want: []want{{invalid, live + ".httpGet.port"}}},
		{name: "a probe has a port that there is", change: probe(fleet.Probe{TCPSocket: &fleet.TCPSocketAction{Port: intstr.FromInt32(70000)}}), want: []want{{invalid, live + ".tcpSocket.port"}}},
		{name: "a probe does something", change: probe(fleet.Probe{}), want: []want{{required, live}}},
		{name: "a probe does one thing", change: probe(fleet.Probe{Exec: &fleet.ExecAction{Command: []string{"true"}}, GRPC: &fleet.GRPCAction{Port: 1}}), want: []want{{forbidden, live}}},
		{name: "a liveness probe succeeds with one success", change: probe(fleet.Probe{GRPC: &fleet.GRPCAction{Port: 1}, SuccessThreshold: 2}), want: []want{{invalid, live + ".successThreshold"}}},
		{name: "a header has a name of HTTP", change: probe(fleet.Probe{HTTPGet: &fleet.HTTPGetAction{Port: intstr.FromInt32(80), HTTPHeaders: []fleet.HTTPHeader{{Name: "a b"}}}}), want: []want{{invalid, live + ".httpGet.httpHeaders[0].name"}}},
		{name: "a readiness probe stops nothing", change: container(func(c *fleet.Container) {
			c.ReadinessProbe = &fleet.Probe{GRPC: &fleet.GRPCAction{Port: 1}, SuccessThreshold: 2, TerminationGracePeriodSeconds: ptr.To[int64](1)}
		}), want: []want{{forbidden, first + "readinessProbe.terminationGracePeriodSeconds"}}},
	}, ValidateInstance)
}

func TestWhatAnInstanceUsesDoesNotChange(t *testing.T) {
	run(t, []instanceTest{
		{name: "its network", change: spec(func(s *fleet.InstanceSpec) { s.HostNetwork = true; s.Containers[0].Ports = nil }), want: []want{{forbidden, "spec.hostNetwork"}, {forbidden, "spec.containers[0]"}}},
		{name: "its volumes", change: volume(fleet.Volume{EmptyDir: &fleet.EmptyDirVolumeSource{}}), want: []want{{forbidden, "spec.volumes"}}},
		{name: "its credentials", change: spec(func(s *fleet.InstanceSpec) { s.ImagePullSecrets = []fleet.LocalObjectReference{{Name: "a"}} }), want: []want{{forbidden, "spec.imagePullSecrets"}}},
		{name: "its token", change: spec(func(s *fleet.InstanceSpec) { s.AutomountServiceAccountToken = ptr.To(false) }), want: []want{{forbidden, "spec.automountServiceAccountToken"}}},
		{name: "its stop without the server", change: spec(func(s *fleet.InstanceSpec) { s.StopAfterDisconnectSeconds = ptr.To[int64](60) }), want: []want{{forbidden, "spec.stopAfterDisconnectSeconds"}}},
		{name: "its probes", change: probe(fleet.Probe{GRPC: &fleet.GRPCAction{Port: 1}}), want: []want{{forbidden, "spec.containers[0]"}}},
		{name: "its security settings", change: security(fleet.SecurityContext{Privileged: ptr.To(true)}), want: []want{{forbidden, "spec.containers[0]"}}},
	}, func(i *fleet.Instance) field.ErrorList { return ValidateInstanceUpdate(i, validInstance()) })
}
