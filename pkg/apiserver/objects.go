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

package apiserver

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
)

// InstanceObjects returns the reader of the ConfigMaps and Secrets to which instances refer. It
// reads from etcd, so that an object that was just created or changed is seen.
func (l *StoreLookup) InstanceObjects() instance.ObjectReader { return instanceObjects{l} }

type instanceObjects struct{ lookup *StoreLookup }

// ConfigMap implements instance.ObjectReader.
func (o instanceObjects) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	object, err := o.lookup.read(ctx, corev1.Resource("configmaps"), namespace, name, fromEtcd)
	return typed[*corev1.ConfigMap](object, err, corev1.Resource("configmaps"))
}

// Secret implements instance.ObjectReader.
func (o instanceObjects) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	object, err := o.lookup.read(ctx, corev1.Resource("secrets"), namespace, name, fromEtcd)
	return typed[*corev1.Secret](object, err, corev1.Resource("secrets"))
}

func typed[T metav1.Object](object metav1.Object, err error, resource schema.GroupResource) (T, error) {
	var none T
	if err != nil {
		return none, err
	}
	if found, ok := object.(T); ok {
		return found, nil
	}
	return none, fmt.Errorf("%T in the storage of %s", object, resource)
}
