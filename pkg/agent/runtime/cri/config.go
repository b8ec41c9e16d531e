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
	"fmt"
	"math"
	"path/filepath"
	"strconv"

	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Labels and annotations of sandboxes and containers. They do not have the names that a kubelet
// uses, which would take them for its own and remove them.
const (
	hostLabel      = v1alpha1.Domain + "/host"
	uidLabel       = v1alpha1.InstanceUIDKey
	namespaceLabel = v1alpha1.Domain + "/instance-namespace"
	nameLabel      = v1alpha1.InstanceNameKey
	containerLabel = v1alpha1.Domain + "/container"

	// imageAnnotation is the image as the instance names it, and failuresAnnotation the number of
	// consecutive attempts before this one that ended soon.
	imageAnnotation    = v1alpha1.Domain + "/image"
	failuresAnnotation = v1alpha1.Domain + "/failures"
	// graceAnnotation is the grace period in seconds, and logDirAnnotation the name of the directory of
	// logs of an instance: they are needed when the instance is gone.
	graceAnnotation  = v1alpha1.Domain + "/termination-grace-period-seconds"
	logDirAnnotation = v1alpha1.Domain + "/log-directory"
)

const (
	// defaultGrace is the grace period of instances that do not specify one, in seconds.
	defaultGrace = 30
	// longestHostname is the longest name of a machine that Linux accepts.
	longestHostname = 63
	// cpuPeriod is the period of the limit of CPU time, in microseconds. A limit below minQuota per period
	// is refused by the kernel.
	cpuPeriod = 100_000
	minQuota  = 1_000
	// minShares is the smallest weight of CPU time.
	minShares = 2
	// oomBestEffort is the oom_score_adj of containers without a request of memory. Others have a
	// smaller one, the more they request.
	oomBestEffort = 1000
)

// The paths of /proc and /sys that containers must not see or write, as those of a kubelet. The runtime
// masks nothing by itself.
func maskedPaths() []string {
	return []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
}

func readOnlyPaths() []string {
	return []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

func (r *Runtime) labelsOf(instance *v1alpha1.Instance) map[string]string {
	all := labels(r.options.HostName, instance.UID)
	all[namespaceLabel], all[nameLabel] = instance.Namespace, instance.Name
	return all
}

// LogDirectory is the name of the directory of logs of an instance, as that of a pod.
func LogDirectory(namespace, name string, uid types.UID) string {
	return fmt.Sprintf("%s_%s_%s", namespace, name, uid)
}

// sandboxConfig returns the configuration of an attempt of the sandbox.
func (r *Runtime) sandboxConfig(instance *v1alpha1.Instance, attempt uint32) *criv1.PodSandboxConfig {
	directory := LogDirectory(instance.Namespace, instance.Name, instance.UID)
	hostname := instance.Name
	if len(hostname) > longestHostname {
		hostname = hostname[:longestHostname]
	}
	config := &criv1.PodSandboxConfig{
		Metadata: &criv1.PodSandboxMetadata{Name: instance.Name, Namespace: instance.Namespace, Uid: string(instance.UID), Attempt: attempt},
		Hostname: hostname, LogDirectory: filepath.Join(r.options.LogDir, directory),
		Labels: r.labelsOf(instance),
		Annotations: map[string]string{
			graceAnnotation:  strconv.FormatInt(ptr.Deref(instance.Spec.TerminationGracePeriodSeconds, defaultGrace), 10),
			logDirAnnotation: directory,
		},
		Linux: &criv1.LinuxPodSandboxConfig{
			CgroupParent:    r.options.CgroupParent,
			SecurityContext: sandboxSecurity(instance),
		},
	}
	if instance.Spec.HostNetwork {
		// The ports and the name are those of the host.
		config.Hostname = ""
		return config
	}
	for i := range instance.Spec.Containers {
		for _, port := range instance.Spec.Containers[i].Ports {
			if port.HostPort != 0 {
				config.PortMappings = append(config.PortMappings, &criv1.PortMapping{
					Protocol: protocol(port.Protocol), ContainerPort: port.ContainerPort, HostPort: port.HostPort,
				})
			}
		}
	}
	return config
}

func protocol(p v1alpha1.Protocol) criv1.Protocol {
	switch p {
	case v1alpha1.ProtocolUDP:
		return criv1.Protocol_UDP
	case v1alpha1.ProtocolSCTP:
		return criv1.Protocol_SCTP
	}
	return criv1.Protocol_TCP
}

// containerConfig returns the configuration of an attempt of a container, without what a Provider
// adds.
func (r *Runtime) containerConfig(o *order, failures int32, security *criv1.LinuxContainerSecurityContext) *criv1.ContainerConfig {
	spec := o.spec
	all := r.labelsOf(o.instance)
	all[containerLabel] = spec.Name
	return &criv1.ContainerConfig{
		Metadata:   &criv1.ContainerMetadata{Name: spec.Name, Attempt: uint32(o.attempt)},
		Image:      &criv1.ImageSpec{Image: spec.Image},
		Command:    spec.Command,
		Args:       spec.Args,
		WorkingDir: spec.WorkingDir,
		Labels:     all,
		Annotations: map[string]string{
			imageAnnotation: spec.Image, failuresAnnotation: strconv.Itoa(int(failures)),
		},
		LogPath: filepath.Join(spec.Name, strconv.Itoa(int(o.attempt))+".log"),
		Linux: &criv1.LinuxContainerConfig{
			Resources: resources(spec), SecurityContext: security,
		},
		Stdin: spec.Stdin, StdinOnce: spec.StdinOnce, Tty: spec.TTY,
	}
}

// resources translates limits and requests: limits of CPU time and memory are hard, a request of CPU
// time is a weight.
func resources(spec *v1alpha1.Container) *criv1.LinuxContainerResources {
	limits, requests := spec.Resources.Limits, spec.Resources.Requests
	out := &criv1.LinuxContainerResources{CpuShares: minShares, OomScoreAdj: oomBestEffort}
	cpu, limited := limits[v1alpha1.ResourceCPU]
	if limited {
		out.CpuPeriod, out.CpuQuota = cpuPeriod, max(minQuota, cpu.MilliValue()*cpuPeriod/1000)
	}
	if request, ok := requests[v1alpha1.ResourceCPU]; ok {
		cpu, limited = request, true
	}
	if limited {
		out.CpuShares = max(minShares, cpu.MilliValue()*1024/1000)
	}
	memory, limited := limits[v1alpha1.ResourceMemory]
	if limited {
		out.MemoryLimitInBytes = memory.Value()
	}
	if request, ok := requests[v1alpha1.ResourceMemory]; ok {
		memory, limited = request, true
	}
	if limited && memory.Value() > 0 {
		// 1 GiB or more of requested memory is killed last among the containers.
		share := math.Min(1, float64(memory.Value())/(1<<30))
		out.OomScoreAdj = oomBestEffort - 1 - int64(share*(oomBestEffort-3))
	}
	return out
}
