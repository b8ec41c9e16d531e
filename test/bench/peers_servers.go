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

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetscheme "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/scheme"
	"github.com/gatehouse-dev/gatehouse/test/e2e/harness"
)

const (
	protobufType = "application/vnd.kubernetes.protobuf"
	jsonType     = "application/json"
)

// peer is a server with one kind of objects, and how that kind is used.
type peer struct {
	name string
	// start starts the server in a new directory.
	start func(ctx context.Context, dir string) (*runningPeer, error)
	// path is that of the objects, and media the best type that the server has for them.
	path, media string
	// object returns a new object, on a host if host is not empty, in that type.
	object func(name, host string) ([]byte, error)
	// status returns a merge patch of the status that differs for each number.
	status func(number int) []byte
	// hostField is the field selector of a host's watches.
	hostField string
}

// runningPeer is a started server.
type runningPeer struct {
	// config is that of an ordinary user, with a certificate and a role.
	config *rest.Config
	// took is the time from exec until the server was ready.
	took time.Duration
	// pids are the processes of the server: with the etcd, if that is a process of its own.
	pids []int
	// bind puts an object that exists on a host; nil if the object names its host when it is created.
	bind func(ctx context.Context, name, host string) error
	stop func() error
}

func (p *runningPeer) cpu() (sum time.Duration, err error) {
	for _, pid := range p.pids {
		cpu, err := cpuTime(pid)
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

func (p *runningPeer) resident() (sum int64, err error) {
	for _, pid := range p.pids {
		memory, err := memoryOf(pid)
		if err != nil {
			return 0, err
		}
		sum += memory.resident
	}
	return sum, nil
}

// peers returns Gatehouse and what it is compared with.
func (b *peersBench) peers() []peer {
	return []peer{
		{
			name: "Gatehouse", start: b.startGatehouse, media: protobufType, hostField: "spec.hostName", status: statusPatch,
			path: "/apis/fleet.gatehouse.dev/v1alpha1/namespaces/default/instances",
			object: func(name, _ string) ([]byte, error) {
				return encode(fleetscheme.Codecs, fleet.SchemeGroupVersion, newInstance(name))
			},
		},
		{
			name: "CRD", start: b.startCRD, media: jsonType, hostField: "spec.hostName", status: statusPatch,
			path: "/apis/" + crdGroup + "/v1/namespaces/default/instances",
			object: func(name, host string) ([]byte, error) {
				instance := newInstance(name)
				instance.APIVersion, instance.Kind, instance.Spec.HostName = crdGroup+"/v1", "Instance", host
				return json.Marshal(instance)
			},
		},
		{
			name: "Pod", start: b.startPods, media: protobufType, hostField: "spec.nodeName", status: podStatusPatch,
			path: "/api/v1/namespaces/default/pods",
			object: func(name, host string) ([]byte, error) {
				return encode(scheme.Codecs, corev1.SchemeGroupVersion, newPod(name, host))
			},
		},
	}
}

// codecs are those of a clientset.
type codecs interface {
	SupportedMediaTypes() []runtime.SerializerInfo
	EncoderForVersion(runtime.Encoder, runtime.GroupVersioner) runtime.Encoder
}

// encode encodes an object as protobuf.
func encode(of codecs, version schema.GroupVersion, object runtime.Object) ([]byte, error) {
	info, ok := runtime.SerializerInfoForMediaType(of.SupportedMediaTypes(), protobufType)
	if !ok {
		return nil, errors.New("the clientset has no protobuf")
	}
	return runtime.Encode(of.EncoderForVersion(info.Serializer, version), object)
}

// newPod returns the pod that runs the same as newInstance.
func newPod(name, host string) *corev1.Pod {
	instance := newInstance(name)
	from := instance.Spec.Containers[0]
	to := corev1.Container{Name: from.Name, Image: from.Image, Command: from.Command, Args: from.Args, Resources: corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m"), corev1.ResourceMemory: resource.MustParse("256Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1"), corev1.ResourceMemory: resource.MustParse("512Mi")},
	}}
	for _, env := range from.Env {
		to.Env = append(to.Env, corev1.EnvVar{Name: env.Name, Value: env.Value})
	}
	for _, port := range from.Ports {
		to.Ports = append(to.Ports, corev1.ContainerPort{Name: port.Name, ContainerPort: port.ContainerPort})
	}
	automount := false
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: instance.Labels, Annotations: instance.Annotations},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{to}, NodeName: host, NodeSelector: instance.Spec.HostSelector, AutomountServiceAccountToken: &automount,
			Tolerations: []corev1.Toleration{{Key: "node.kubernetes.io/not-ready", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}},
		},
	}
}

// podStatusPatch is statusPatch for a pod.
func podStatusPatch(number int) []byte {
	return fmt.Appendf(nil, `{"status":{"phase":"Running","hostIP":"192.0.2.17","podIP":"198.51.100.23","podIPs":[{"ip":"198.51.100.23"}],"containerStatuses":[{"name":"server","ready":true,"started":true,"restartCount":%d,"image":"registry.example.com/shop/checkout:2.14.3","imageID":""}]}}`, number)
}

func (b *peersBench) startGatehouse(ctx context.Context, dir string) (*runningPeer, error) {
	s, err := b.startServer(ctx, filepath.Join(dir, "data"), clusterControllers())
	if err != nil {
		return nil, err
	}
	p := &runningPeer{pids: []int{s.pid()}, stop: s.stop}
	if p.took, err = s.waitReady(ctx); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	if p.config, err = b.userConfig(ctx, s); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	client, err := versioned.NewForConfig(p.config)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	api := client.FleetV1alpha1()
	p.bind = func(ctx context.Context, name, host string) error {
		if _, err := api.Hosts().Create(ctx, &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: host}}, metav1.CreateOptions{}); err != nil {
			return err
		}
		_, err := api.Instances(namespace).Bind(ctx, name, &fleet.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: fleet.BindingTarget{Kind: "Host", Name: host}}, metav1.CreateOptions{})
		return err
	}
	return p, nil
}

func (b *peersBench) startCRD(ctx context.Context, dir string) (*runningPeer, error) {
	return b.startCluster(ctx, dir, instanceCRD, "/apis/"+crdGroup+"/v1/namespaces/default/instances")
}

func (b *peersBench) startPods(ctx context.Context, dir string) (*runningPeer, error) {
	return b.startCluster(ctx, dir, "", "/api/v1/namespaces/default/pods")
}

// startCluster starts etcd, kube-apiserver and kube-controller-manager, applies manifests, and waits until the user may
// read the path. A pod also needs the default service account, which kube-controller-manager creates.
func (b *peersBench) startCluster(ctx context.Context, dir, manifests, path string) (*runningPeer, error) {
	binaries, err := b.binaries()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	cluster, err := harness.StartCluster(ctx, dir, binaries)
	if err != nil {
		return nil, err
	}
	p := &runningPeer{took: time.Since(began), pids: []int{cluster.KubeAPIServer.PID(), cluster.Etcd.PID()}, stop: func() error { cluster.Stop(); return nil }}
	if err := p.prepare(ctx, cluster, manifests, path); err != nil {
		cluster.Stop()
		return nil, err
	}
	return p, nil
}

func (p *runningPeer) prepare(ctx context.Context, cluster *harness.Cluster, manifests, path string) error {
	for _, text := range []string{peerAccess, manifests} {
		if text == "" {
			continue
		}
		if err := cluster.Apply(text); err != nil {
			return err
		}
	}
	kubeconfig, err := cluster.UserKubeconfig(clientUser)
	if err != nil {
		return err
	}
	if p.config, err = clientcmd.BuildConfigFromFlags("", kubeconfig); err != nil {
		return err
	}
	p.config.QPS = -1
	client, err := versioned.NewForConfig(p.config)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, readyTimeout, true, func(ctx context.Context) (bool, error) {
		_, account := cluster.Client.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		_, list := client.Discovery().RESTClient().Get().AbsPath(path).DoRaw(ctx)
		for _, err := range []error{account, list} {
			if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err) {
				return false, err
			}
		}
		return account == nil && list == nil, nil
	})
}

// binaries returns those of the peers, which make controlplane builds.
func (b *peersBench) binaries() (harness.Binaries, error) {
	root, err := repository()
	if err != nil {
		return harness.Binaries{}, err
	}
	binaries := harness.Binaries{Gatehouse: b.gatehouse, Kubectl: b.kubectl}
	dir := filepath.Join(root, "_output", "e2e")
	binaries.Etcd, binaries.KubeAPIServer, binaries.KubeControllerManager = filepath.Join(dir, "etcd"), filepath.Join(dir, "kube-apiserver"), filepath.Join(dir, "kube-controller-manager")
	for _, path := range []string{binaries.Etcd, binaries.KubeAPIServer, binaries.KubeControllerManager} {
		if _, err := exec.LookPath(path); err != nil {
			return binaries, fmt.Errorf("%s: run `make controlplane`, which builds it: %w", path, err)
		}
	}
	return binaries, nil
}

// crdGroup is the group of the custom resource.
const crdGroup = "bench.example.com"

// peerAccess grants the user what the role of userConfig grants in Gatehouse.
var peerAccess = strings.ReplaceAll(`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: USER}
rules:
- {apiGroups: ["", bench.example.com], resources: [pods, pods/status, instances, instances/status], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: USER}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: USER}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: USER}]
`, "USER", clientUser)

// instanceCRD is a custom resource of the shape of newInstance.
const instanceCRD = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: instances.bench.example.com}
spec:
  group: bench.example.com
  scope: Namespaced
  names: {kind: Instance, listKind: InstanceList, plural: instances, singular: instance}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    selectableFields: [{jsonPath: .spec.hostName}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [containers]
            properties:
              hostName: {type: string, maxLength: 253}
              hostSelector: {type: object, additionalProperties: {type: string}}
              restartPolicy: {type: string, default: Always, enum: [Always, OnFailure, Never]}
              serviceAccountName: {type: string}
              terminationGracePeriodSeconds: {type: integer, format: int64, default: 30}
              tolerations:
                type: array
                items:
                  type: object
                  properties: {key: {type: string}, operator: {type: string}, value: {type: string}, effect: {type: string}, tolerationSeconds: {type: integer, format: int64}}
              containers:
                type: array
                minItems: 1
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name, image]
                  properties:
                    name: {type: string, maxLength: 63}
                    image: {type: string, maxLength: 1024}
                    imagePullPolicy: {type: string, default: IfNotPresent}
                    workingDir: {type: string}
                    command: {type: array, items: {type: string}}
                    args: {type: array, items: {type: string}}
                    env:
                      type: array
                      x-kubernetes-list-type: map
                      x-kubernetes-list-map-keys: [name]
                      items: {type: object, required: [name], properties: {name: {type: string}, value: {type: string}}}
                    ports:
                      type: array
                      items: {type: object, properties: {name: {type: string}, containerPort: {type: integer, format: int32}, hostPort: {type: integer, format: int32}, protocol: {type: string}}}
                    resources:
                      type: object
                      properties:
                        requests: {type: object, additionalProperties: {x-kubernetes-int-or-string: true}}
                        limits: {type: object, additionalProperties: {x-kubernetes-int-or-string: true}}
          status:
            type: object
            properties:
              phase: {type: string}
              hostIP: {type: string}
              instanceIP: {type: string}
              containerStatuses:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, ready: {type: boolean}, started: {type: boolean}, restartCount: {type: integer, format: int32}, image: {type: string}}
`
