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
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleet "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

const (
	namespace = "default"
	// hostLabel has the host's name as a label, which is not indexed.
	hostLabel = "host"
)

// newInstance returns an instance like that of a deployment tool: about 1.5 KiB when stored,
// including managedFields.
func newInstance(name string) *fleet.Instance {
	return &fleet.Instance{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      map[string]string{"app.kubernetes.io/name": "checkout", "app.kubernetes.io/version": "2.14.3", "tier": "edge"},
			Annotations: map[string]string{"example.com/commit": "9f2c7a51d0e84b6f93a1c5d27e60b8f4a3d9e172"},
		},
		Spec: fleet.InstanceSpec{
			Containers: []fleet.Container{{
				Name:    "server",
				Image:   "registry.example.com/shop/checkout:2.14.3",
				Command: []string{"/usr/bin/checkout"},
				Args:    []string{"--listen=:8080", "--log-format=json"},
				Env: []fleet.EnvVar{
					{Name: "DATABASE_HOST", Value: "db.example.com"},
					{Name: "LOG_LEVEL", Value: "info"},
					{Name: "REGION", Value: "eu-north-1"},
				},
				Ports: []fleet.ContainerPort{{Name: "http", ContainerPort: 8080}, {Name: "metrics", ContainerPort: 9090}},
				Resources: fleet.ResourceRequirements{
					Requests: fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("250m"), fleet.ResourceMemory: resource.MustParse("256Mi")},
					Limits:   fleet.ResourceList{fleet.ResourceCPU: resource.MustParse("1"), fleet.ResourceMemory: resource.MustParse("512Mi")},
				},
			}},
			HostSelector: map[string]string{"zone": "north"},
			Tolerations:  []fleet.Toleration{{Key: "fleet.gatehouse.dev/not-ready", Operator: fleet.TolerationOpExists, Effect: fleet.TaintEffectNoExecute}},
		},
	}
}

// fill creates instances with several clients at the same time.
func fill(ctx context.Context, client versioned.Interface, prefix string, count int) error {
	const workers = 16
	instances := client.FleetV1alpha1().Instances(namespace)
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= count {
					return nil
				}
				if _, err := instances.Create(ctx, newInstance(fmt.Sprintf("%s-%06d", prefix, i)), metav1.CreateOptions{}); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// bindInstance creates a host, an instance that has the host's name as a label, and
// binds it to the host. All three have the same name.
func bindInstance(ctx context.Context, client versioned.Interface, name string) error {
	api := client.FleetV1alpha1()
	if _, err := api.Hosts().Create(ctx, &fleet.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	instance := newInstance(name)
	instance.Labels[hostLabel] = name
	if _, err := api.Instances(namespace).Create(ctx, instance, metav1.CreateOptions{}); err != nil {
		return err
	}
	binding := &fleet.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: fleet.BindingTarget{Kind: "Host", Name: name}}
	_, err := api.Instances(namespace).Bind(ctx, name, binding, metav1.CreateOptions{})
	return err
}

// statusPatch returns a merge patch like that of an agent; its number makes each one a change.
func statusPatch(number int) []byte {
	return fmt.Appendf(nil, `{"status":{"phase":"Running","hostIP":"192.0.2.17","instanceIP":"198.51.100.23","containerStatuses":[{"name":"server","ready":true,"started":true,"restartCount":%d,"image":"registry.example.com/shop/checkout:2.14.3"}]}}`, number)
}
