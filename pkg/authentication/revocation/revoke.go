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

package revocation

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"
)

// Revoke writes the entry of a host into the ConfigMap and creates the ConfigMap if it is
// missing. It keeps an entry with a later time. Certificates have whole seconds, so until must be
// one.
func Revoke(ctx context.Context, configMaps corev1client.ConfigMapInterface, host string, until time.Time) error {
	raced := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	return retry.OnError(retry.DefaultBackoff, raced, func() error {
		found, err := configMaps.Get(ctx, ConfigMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = configMaps.Create(ctx, &corev1.ConfigMap{
				ObjectMeta: metav1.ObjectMeta{Name: ConfigMap},
				Data:       map[string]string{host: until.Format(time.RFC3339)},
			}, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		if before, err := time.Parse(time.RFC3339, found.Data[host]); err == nil && before.After(until) {
			return nil
		}
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		found.Data[host] = until.Format(time.RFC3339)
		_, err = configMaps.Update(ctx, found, metav1.UpdateOptions{})
		return err
	})
}
