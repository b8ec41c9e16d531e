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

// Package manifests compares the rendered artifacts/deploy with the server that it runs.
package manifests

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
)

const (
	namespace = "gatehouse-system"
	account   = "gatehouse"
)

func TestTheAPIServiceTrustsNothingUntilItIsGivenACABundle(t *testing.T) {
	forEveryOverlay(t, func(t *testing.T, r rendered) {
		versions := []schema.GroupVersion{diagnosticsv1alpha1.SchemeGroupVersion, v1alpha1.SchemeGroupVersion}
		if len(r.api) != len(versions) {
			t.Fatalf("there are %d APIServices, not %d", len(r.api), len(versions))
		}
		for i, api := range r.api {
			checkAPIService(t, r, api, versions[i])
		}
	})
}

func checkAPIService(t *testing.T, r rendered, api apiService, version schema.GroupVersion) {
	t.Helper()
	if api.Spec.InsecureSkipTLSVerify {
		t.Error("it skips the verification of the server's certificate")
	}
	if _, err := base64.StdEncoding.DecodeString(api.Spec.CABundle); api.Spec.CABundle == "" || err == nil {
		t.Errorf("a cluster would take the caBundle %q, and the missing value would not be noticed", api.Spec.CABundle)
	}
	if api.Spec.Group != version.Group || api.Spec.Version != version.Version || api.Name != version.Version+"."+version.Group {
		t.Errorf("%s registers %s/%s, and the server serves %s", api.Name, api.Spec.Group, api.Spec.Version, version)
	}
	service := one[*corev1.Service](t, r)
	if api.Spec.Service.Namespace != service.Namespace || api.Spec.Service.Name != service.Name || api.Spec.Service.Port != service.Spec.Ports[0].Port {
		t.Errorf("the APIService leads to %v and not to the Service", api.Spec.Service)
	}
}

func TestThePodMayDoNoMoreThanItNeeds(t *testing.T) {
	forEveryOverlay(t, func(t *testing.T, r rendered) {
		pod, c := container(t, r)
		yes := func(b *bool) bool { return b != nil && *b }
		podContext, context := pod.SecurityContext, c.SecurityContext
		if podContext == nil || context == nil {
			t.Fatal("a security context is missing")
		}
		for what, ok := range map[string]bool{
			"runs as a user other than root":   yes(podContext.RunAsNonRoot) && podContext.RunAsUser != nil && *podContext.RunAsUser == 65532,
			"can read its Secrets":             podContext.FSGroup != nil && podContext.RunAsGroup != nil && *podContext.FSGroup == *podContext.RunAsGroup,
			"has the runtime's seccomp filter": podContext.SeccompProfile != nil && podContext.SeccompProfile.Type == corev1.SeccompProfileTypeRuntimeDefault,
			"cannot write its root filesystem": yes(context.ReadOnlyRootFilesystem),
			"cannot gain privileges":           context.AllowPrivilegeEscalation != nil && !*context.AllowPrivilegeEscalation && !yes(context.Privileged),
			"has no capabilities":              context.Capabilities != nil && slices.Equal(context.Capabilities.Drop, []corev1.Capability{"ALL"}) && len(context.Capabilities.Add) == 0,
			"shares nothing with its node":     !pod.HostNetwork && !pod.HostPID && !pod.HostIPC,
			"says what it needs":               !c.Resources.Requests.Cpu().IsZero() && !c.Resources.Requests.Memory().IsZero(),
			"runs as the ServiceAccount":       pod.ServiceAccountName == account,
			"takes its image from no registry": c.Image == "gatehouse:dev",
		} {
			if !ok {
				t.Errorf("not true of the pod: it %s", what)
			}
		}
		if level := one[*corev1.Namespace](t, r).Labels["pod-security.kubernetes.io/enforce"]; level != "restricted" {
			t.Errorf("the namespace enforces the level %q, not restricted", level)
		}
		for _, volume := range pod.Volumes {
			if volume.HostPath != nil {
				t.Errorf("volume %s is a directory of the node", volume.Name)
			}
		}
	})
}

// environmentOf returns the variables of a container, whose values are in ConfigMaps.
func environmentOf(t *testing.T, r rendered, c corev1.Container) map[string]string {
	t.Helper()
	environment := map[string]string{}
	for _, variable := range c.Env {
		reference := variable.ValueFrom.ConfigMapKeyRef
		for _, configMap := range every[*corev1.ConfigMap](r) {
			if configMap.Name == reference.Name {
				environment[variable.Name] = configMap.Data[reference.Key]
			}
		}
		if environment[variable.Name] == "" {
			t.Errorf("variable %s has no value: key %s of ConfigMap %s", variable.Name, reference.Key, reference.Name)
		}
	}
	return environment
}

// onDisk creates the files that the pod would find mounted and returns the server's arguments
// with paths to these files.
func onDisk(t *testing.T, r rendered) []string {
	t.Helper()
	pod, c := container(t, r)
	root := t.TempDir()
	for _, mount := range c.VolumeMounts {
		if err := os.MkdirAll(filepath.Join(root, mount.MountPath), 0o755); err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if i < 0 {
			t.Fatalf("there is no volume %s to mount", mount.Name)
		}
		secret := pod.Volumes[i].Secret
		if secret == nil {
			continue
		}
		if mount.SubPath != "" || !mount.ReadOnly {
			t.Errorf("%s is mounted by subPath, which never changes, or writable", mount.Name)
		}
		keys, ok := secretKeys[secret.SecretName]
		if !ok {
			t.Errorf("docs/install.md makes no Secret %s", secret.SecretName)
		}
		for _, key := range keys {
			if err := os.WriteFile(filepath.Join(root, mount.MountPath, key), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	environment := environmentOf(t, r, c)
	var args []string
	for _, arg := range c.Args {
		flag, value, found := strings.Cut(arg, "=")
		for name, content := range environment {
			value = strings.ReplaceAll(value, "$("+name+")", content)
		}
		if strings.HasPrefix(value, "/") {
			value = filepath.Join(root, value)
			mounted := slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool {
				return strings.HasPrefix(value, filepath.Join(root, m.MountPath)+"/")
			})
			if !mounted {
				t.Errorf("%s leads outside of every volume", arg)
			}
		}
		if found {
			flag += "=" + value
		}
		args = append(args, flag)
	}
	return args
}

func TestTheServerTakesTheArgumentsOfTheDeployment(t *testing.T) {
	// All options are created first: after the first parsing no more can be created in one process.
	server := map[string]*options.Options{}
	for _, directory := range overlays {
		server[directory] = options.NewOptions()
	}
	for _, directory := range overlays {
		t.Run(directory, func(t *testing.T) {
			r := render(t, directory)
			args := onDisk(t, r)
			if args[0] != "apiserver" {
				t.Fatalf("the command is %s", args[0])
			}
			o := server[directory]
			sections := o.Flags()
			all := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
			for _, name := range sections.Order {
				all.AddFlagSet(sections.FlagSets[name])
			}
			if err := all.Parse(args[1:]); err != nil {
				t.Fatal(err)
			}
			if all.NArg() > 0 {
				t.Errorf("these are no flags: %v", all.Args())
			}
			completed, err := o.Complete()
			if err != nil {
				t.Fatal(err)
			}
			for _, err := range completed.Validate() {
				t.Error(err)
			}
			if !completed.Aggregated() {
				t.Errorf("the mode is %s", completed.Mode)
			}
			checkPorts(t, r, completed)
			checkStop(t, r, completed)
			checkRBAC(t, r, completed)
			if replicas := *one[*appsv1.Deployment](t, r).Spec.Replicas; completed.EmbeddedEtcd() != (replicas == 1) {
				t.Errorf("%d replicas, etcd inside the process: %v; each replica would have data of its own, or one is too few", replicas, completed.EmbeddedEtcd())
			}
		})
	}
}

// checkPorts compares the ports of the Service and the probes with the server's port.
func checkPorts(t *testing.T, r rendered, o options.CompletedOptions) {
	_, c := container(t, r)
	if len(c.Ports) != 1 || int(c.Ports[0].ContainerPort) != o.Serving.BindPort || !o.Serving.BindAddress.IsUnspecified() {
		t.Errorf("the server listens on %s:%d, and the container's ports are %v", o.Serving.BindAddress, o.Serving.BindPort, c.Ports)
	}
	service := one[*corev1.Service](t, r)
	port := intstr.FromString(c.Ports[0].Name)
	if service.Spec.Ports[0].TargetPort != port {
		t.Errorf("the Service leads to port %s", service.Spec.Ports[0].TargetPort.String())
	}
	pods := labels.Set(one[*appsv1.Deployment](t, r).Spec.Template.Labels)
	if !labels.SelectorFromSet(service.Spec.Selector).Matches(pods) {
		t.Error("the Service does not select the pods")
	}
	for _, probe := range []struct {
		name, path string
		probe      *corev1.Probe
	}{{"startup", "/livez", c.StartupProbe}, {"liveness", "/livez", c.LivenessProbe}, {"readiness", "/readyz", c.ReadinessProbe}} {
		if probe.probe == nil || probe.probe.HTTPGet == nil {
			t.Errorf("there is no %s probe", probe.name)
			continue
		}
		if get := probe.probe.HTTPGet; get.Path != probe.path || get.Port != port || get.Scheme != corev1.URISchemeHTTPS {
			t.Errorf("the %s probe requests %s at port %s by %s", probe.name, get.Path, get.Port.String(), get.Scheme)
		}
	}
}

// checkStop compares the duration of a stop with the time until the pod is killed.
func checkStop(t *testing.T, r rendered, o options.CompletedOptions) {
	pod, _ := container(t, r)
	slowest := o.ServerRun.ShutdownDelayDuration + o.ServerRun.RequestTimeout + o.ServerRun.ShutdownWatchTerminationGracePeriod
	if grace := time.Duration(*pod.TerminationGracePeriodSeconds) * time.Second; grace <= slowest {
		t.Errorf("the pod is killed after %s, and a stop may take %s", grace, slowest)
	}
	if o.ServerRun.ShutdownDelayDuration < 5*time.Second {
		t.Error("requests are refused before all clients have removed the endpoint")
	}
}

func TestAReplicaStaysWhenNodesAreDrained(t *testing.T) {
	r := render(t, "artifacts/deploy")
	deployment, budget := one[*appsv1.Deployment](t, r), one[*policyv1.PodDisruptionBudget](t, r)
	selector, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Matches(labels.Set(deployment.Spec.Template.Labels)) {
		t.Error("the PodDisruptionBudget does not select the pods")
	}
	if *budget.Spec.MinAvailable != intstr.FromInt32(1) || *deployment.Spec.Replicas < 2 {
		t.Errorf("%s of %d replicas stay", budget.Spec.MinAvailable.String(), *deployment.Spec.Replicas)
	}
	affinity := deployment.Spec.Template.Spec.Affinity
	if affinity == nil || affinity.PodAntiAffinity == nil || len(affinity.PodAntiAffinity.PreferredDuringSchedulingIgnoredDuringExecution) == 0 {
		t.Error("the replicas may all be on one node although there are others")
	}
	// A budget must not keep the only replica on a node.
	if budgets := every[*policyv1.PodDisruptionBudget](render(t, "artifacts/deploy-embedded-etcd")); len(budgets) > 0 {
		t.Error("a single replica has a PodDisruptionBudget: its node could not be drained")
	}
}

func TestHowPodsAreReplacedIsSaid(t *testing.T) {
	for directory, want := range map[string]appsv1.DeploymentStrategyType{
		// Every kubectl apply would remove a type that the cluster defaults.
		"artifacts/deploy": appsv1.RollingUpdateDeploymentStrategyType,
		// Two replicas would compete for the volume.
		"artifacts/deploy-embedded-etcd": appsv1.RecreateDeploymentStrategyType,
	} {
		strategy := one[*appsv1.Deployment](t, render(t, directory)).Spec.Strategy
		if strategy.Type != want || (strategy.RollingUpdate != nil) != (want == appsv1.RollingUpdateDeploymentStrategyType) {
			t.Errorf("%s: %+v", directory, strategy)
		}
	}
}
