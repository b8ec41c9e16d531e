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
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"

	"github.com/gatehouse-dev/gatehouse/pkg/signers"
)

// unknownExpiry is the value of a revoked certificate whose expiry is not known. Its entry stays.
const unknownExpiry = "unknown"

// Revoke writes the entry of a host into the ConfigMap and creates the ConfigMap if it is
// missing. It keeps an entry with a later time. Certificates have whole seconds, so until must be
// one.
func Revoke(ctx context.Context, configMaps corev1client.ConfigMapInterface, host string, until time.Time) error {
	return change(ctx, configMaps, func(data map[string]string) {
		if before, err := time.Parse(time.RFC3339, data[host]); err == nil && before.After(until) {
			return
		}
		data[host] = until.Format(time.RFC3339)
	})
}

// RevokeCertificates writes entries of certificates, by serial number with the time of expiry, which
// may be zero for one that is not known. Entries of certificates that have expired are removed.
func RevokeCertificates(ctx context.Context, configMaps corev1client.ConfigMapInterface, expiries map[string]time.Time, now time.Time) error {
	return change(ctx, configMaps, func(data map[string]string) {
		maps.DeleteFunc(data, func(key, value string) bool {
			expiry, err := time.Parse(time.RFC3339, value)
			return strings.HasPrefix(key, signers.RevokedSerialPrefix) && err == nil && expiry.Before(now)
		})
		for serial, expiry := range expiries {
			data[signers.RevokedSerialPrefix+serial] = unknownExpiry
			if !expiry.IsZero() {
				data[signers.RevokedSerialPrefix+serial] = expiry.UTC().Format(time.RFC3339)
			}
		}
	})
}

// RevokedSerials returns the serial numbers of revoked certificates.
func RevokedSerials(ctx context.Context, configMaps corev1client.ConfigMapInterface) (map[string]bool, error) {
	found, err := configMaps.Get(ctx, ConfigMap, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	serials := map[string]bool{}
	for key := range found.Data {
		if serial, ok := strings.CutPrefix(key, signers.RevokedSerialPrefix); ok {
			serials[serial] = true
		}
	}
	return serials, nil
}

// change applies a change to the data of the ConfigMap, and creates the ConfigMap if it is missing.
func change(ctx context.Context, configMaps corev1client.ConfigMapInterface, edit func(data map[string]string)) error {
	raced := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	return retry.OnError(retry.DefaultBackoff, raced, func() error {
		found, err := configMaps.Get(ctx, ConfigMap, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			created := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: ConfigMap}, Data: map[string]string{}}
			edit(created.Data)
			_, err = configMaps.Create(ctx, created, metav1.CreateOptions{})
			return err
		}
		if err != nil {
			return err
		}
		before := maps.Clone(found.Data)
		if found.Data == nil {
			found.Data = map[string]string{}
		}
		if edit(found.Data); maps.Equal(before, found.Data) {
			return nil
		}
		_, err = configMaps.Update(ctx, found, metav1.UpdateOptions{})
		return err
	})
}
