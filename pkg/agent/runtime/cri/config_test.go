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
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func instance(change ...func(*v1alpha1.Instance)) *v1alpha1.Instance {
	i := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "u"},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1", ImagePullPolicy: v1alpha1.PullIfNotPresent}}},
	}
	for _, f := range change {
		f(i)
	}
	return i
}

func TestRequestsAndLimitsBecomeLimitsOfTheCgroup(t *testing.T) {
	list := func(cpu, memory string) v1alpha1.ResourceList {
		out := v1alpha1.ResourceList{}
		if cpu != "" {
			out[v1alpha1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			out[v1alpha1.ResourceMemory] = resource.MustParse(memory)
		}
		return out
	}
	for _, tc := range []struct {
		name                        string
		limits, requests            v1alpha1.ResourceList
		quota, period, shares       int64
		memory, oomAtMost, oomLeast int64
	}{
		{"nothing", nil, nil, 0, 0, 2, 0, 1000, 1000},
		{"a limit is the request, too", list("500m", "64Mi"), nil, 50_000, 100_000, 512, 64 << 20, 999, 900},
		{"a request is a weight", nil, list("250m", "512Mi"), 0, 0, 256, 0, 600, 400},
		{"both", list("2", "2Gi"), list("100m", "1Gi"), 200_000, 100_000, 102, 2 << 30, 2, 2},
		{"less than the kernel takes", list("1m", ""), nil, 1000, 100_000, 2, 0, 1000, 1000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := resources(&v1alpha1.Container{Resources: v1alpha1.ResourceRequirements{Limits: tc.limits, Requests: tc.requests}})
			if got.CpuQuota != tc.quota || got.CpuPeriod != tc.period || got.CpuShares != tc.shares || got.MemoryLimitInBytes != tc.memory {
				t.Errorf("got %+v", got)
			}
			// Less than 0 needs a right that not every root has.
			if got.OomScoreAdj > tc.oomAtMost || got.OomScoreAdj < tc.oomLeast {
				t.Errorf("oom_score_adj is %d, not from %d to %d", got.OomScoreAdj, tc.oomLeast, tc.oomAtMost)
			}
		})
	}
}

func TestAContainerIsConfiguredAsTheInstanceNamesIt(t *testing.T) {
	r := &Runtime{options: Options{
		HostName: "edge-1", LogDir: "/logs", CgroupParent: "/gatehouse",
	}}
	i := instance(func(i *v1alpha1.Instance) {
		c := &i.Spec.Containers[0]
		c.Command, c.Args, c.WorkingDir, c.Env = []string{"/x"}, []string{"-y"}, "/w", []v1alpha1.EnvVar{{Name: "A", Value: "own"}}
		c.Ports = []v1alpha1.ContainerPort{{ContainerPort: 53, HostPort: 5353, Protocol: v1alpha1.ProtocolUDP}, {ContainerPort: 80}, {ContainerPort: 81, HostPort: 8081}}
	})
	sandbox := r.sandboxConfig(i, 2)
	if sandbox.LogDirectory != "/logs/default_web_u" || sandbox.Metadata.Attempt != 2 || sandbox.Linux.CgroupParent != "/gatehouse" || sandbox.Annotations[graceAnnotation] != "30" {
		t.Errorf("the sandbox is %+v", sandbox)
	}
	if p := sandbox.PortMappings; len(p) != 2 || p[0].Protocol != criv1.Protocol_UDP || p[0].HostPort != 5353 || p[1].Protocol != criv1.Protocol_TCP || p[1].ContainerPort != 81 {
		t.Errorf("the ports are %+v", p)
	}
	o := &order{instance: i, spec: &i.Spec.Containers[0], attempt: 3}
	security, err := r.security(t.Context(), i, o.spec)
	if err != nil {
		t.Fatal(err)
	}
	provided, err := r.provide(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	c := r.containerConfig(o, 1, security)
	addProvision(c, provided)
	if c.Command[0] != "/x" || c.Args[0] != "-y" || c.WorkingDir != "/w" || c.LogPath != filepath.Join("web", "3.log") || c.Metadata.Attempt != 3 ||
		c.Annotations[failuresAnnotation] != "1" || c.Annotations[imageAnnotation] != "web:1" || c.Labels[uidLabel] != "u" || c.Labels[hostLabel] != "edge-1" {
		t.Errorf("the container is %+v", c)
	}
	if len(c.Envs) != 1 || string(c.Envs[0].Value) != "own" {
		t.Errorf("the variables are %+v", c.Envs)
	}
	s := c.Linux.SecurityContext
	if s.Privileged || !slices.Contains(s.MaskedPaths, "/proc/kcore") || !slices.Contains(s.ReadonlyPaths, "/proc/sys") || s.Seccomp.ProfileType != criv1.SecurityProfile_RuntimeDefault {
		t.Errorf("the security context is %+v", s)
	}
}

func TestTheBackOffIsThatOfAKubelet(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, tc := range []struct {
		failures int32
		ran      time.Duration
		want     time.Duration
	}{
		{0, time.Second, 0}, {1, time.Second, 10 * time.Second}, {2, time.Second, 20 * time.Second},
		{5, time.Second, 160 * time.Second}, {6, time.Second, 5 * time.Minute}, {500, time.Second, 5 * time.Minute}, {500, 10 * time.Minute, 0},
	} {
		exited := &runtime.Container{Failures: tc.failures, StartedAt: at, FinishedAt: at.Add(tc.ran)}
		if got := RestartBackOff("", exited); got != tc.want {
			t.Errorf("after %d failures and a run of %s: %s, want %s", tc.failures, tc.ran, got, tc.want)
		}
	}
}
