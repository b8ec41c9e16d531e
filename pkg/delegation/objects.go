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

package delegation

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// ClusterObjects reads the ConfigMaps and Secrets to which instances refer from the cluster, as the
// service account of this server.
type ClusterObjects struct {
	Client kubernetes.Interface
}

// Objects reads the ConfigMaps and Secrets of the cluster.
func (d *Delegation) Objects() ClusterObjects { return ClusterObjects{Client: d.bounded} }

// ConfigMap returns a ConfigMap of the cluster.
func (o ClusterObjects) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	object, err := o.Client.CoreV1().ConfigMaps(namespace).Get(ctx, name, metav1.GetOptions{})
	return object, ownRefusal(err, "configmaps", namespace)
}

// Secret returns a Secret of the cluster.
func (o ClusterObjects) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	object, err := o.Client.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	return object, ownRefusal(err, "secrets", namespace)
}

// ownRefusal replaces a refusal of this server, which would look like one of the caller.
func ownRefusal(err error, resource, namespace string) error {
	switch {
	case apierrors.IsForbidden(err):
		return apierrors.NewInternalError(fmt.Errorf("the cluster does not allow this server to read %s of namespace %s: allow its service account get on %s in that namespace", resource, namespace, resource))
	case apierrors.IsUnauthorized(err):
		return apierrors.NewInternalError(fmt.Errorf("the cluster does not authenticate this server, which read %s of namespace %s", resource, namespace))
	}
	return err
}
