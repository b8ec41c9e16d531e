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

package resourcequota

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/lru"
)

const (
	// remembered is how many quotas are known to be newer than the informer's.
	remembered = 1000
	// writeTimeout keeps a worker from waiting for a server that is gone; the request that is
	// charged gives up after ten seconds itself.
	writeTimeout = 5 * time.Second
)

// accessor reads quotas from the informer and writes their status. What it has written or
// met is newer than what the informer knows for a moment, and is remembered that long:
// otherwise every second charge would be computed from a sum that is no longer true.
type accessor struct {
	client kubernetes.Interface
	lister corelisters.ResourceQuotaLister
	newer  *lru.Cache
}

var _ resourcequota.QuotaAccessor = &accessor{}

func newAccessor() *accessor { return &accessor{newer: lru.New(remembered)} }

// UpdateQuotaStatus implements resourcequota.QuotaAccessor. The write is refused where the
// quota is no longer the one that was read, and then the next attempt begins with what came
// in between.
func (a *accessor) UpdateQuotaStatus(quota *corev1.ResourceQuota) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	quotas := a.client.CoreV1().ResourceQuotas(quota.Namespace)
	written, err := quotas.UpdateStatus(ctx, quota, metav1.UpdateOptions{})
	if err == nil {
		a.newer.Add(key(quota), written)
		return nil
	}
	if apierrors.IsConflict(err) {
		if current, getErr := quotas.Get(ctx, quota.Name, metav1.GetOptions{}); getErr == nil {
			a.newer.Add(key(quota), current)
		}
	}
	return unwritten{err}
}

// unwritten is why a charge could not be written down. It is not about what was asked for.
type unwritten struct{ error }

// Unwrap implements what errors.As and errors.Is ask for.
func (u unwritten) Unwrap() error { return u.error }

// outrun says whether another server or the controller wrote first, or the quota is gone:
// then the next attempt may succeed.
func (u unwritten) outrun() bool {
	return apierrors.IsConflict(u.error) || apierrors.IsNotFound(u.error)
}

// GetQuotas implements resourcequota.QuotaAccessor.
func (a *accessor) GetQuotas(namespace string) ([]corev1.ResourceQuota, error) {
	listed, err := a.lister.ResourceQuotas(namespace).List(labels.Everything())
	if err != nil {
		return nil, err
	}
	quotas := make([]corev1.ResourceQuota, 0, len(listed))
	for _, quota := range listed {
		quotas = append(quotas, *a.newest(quota).DeepCopy())
	}
	return quotas, nil
}

func (a *accessor) newest(listed *corev1.ResourceQuota) *corev1.ResourceQuota {
	cached, ok := a.newer.Get(key(listed))
	if !ok {
		return listed
	}
	known := cached.(*corev1.ResourceQuota)
	order, err := resourceversion.CompareResourceVersion(known.ResourceVersion, listed.ResourceVersion)
	if err != nil {
		klog.ErrorS(err, "Resource versions of a quota cannot be compared", "quota", klog.KObj(listed))
	}
	if err != nil || order <= 0 {
		a.newer.Remove(key(listed))
		return listed
	}
	return known
}

func key(quota *corev1.ResourceQuota) string { return quota.Namespace + "/" + quota.Name }
