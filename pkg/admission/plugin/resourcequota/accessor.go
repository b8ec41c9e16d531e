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
	// remembered bounds the quotas that are cached because they are newer than the informer's.
	remembered = 1000
	// writeTimeout bounds a write to a server that does not respond; the charged request times out
	// after ten seconds.
	writeTimeout = 5 * time.Second
)

// accessor reads quotas from the informer and writes their status. It caches the quotas that it has
// written or read after a conflict until the informer has them: otherwise every second charge
// would be computed from an old sum.
type accessor struct {
	client kubernetes.Interface
	lister corelisters.ResourceQuotaLister
	newer  *lru.Cache
}

var _ resourcequota.QuotaAccessor = &accessor{}

func newAccessor() *accessor { return &accessor{newer: lru.New(remembered)} }

// UpdateQuotaStatus implements resourcequota.QuotaAccessor. After a conflict the next attempt begins
// with the current quota.
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

// unwritten is the error of the write of a charge, unlike a refusal of the request.
type unwritten struct{ error }

// Unwrap returns the error for errors.As and errors.Is.
func (u unwritten) Unwrap() error { return u.error }

// outrun reports whether another server or the controller wrote first, or the quota was deleted: the
// next attempt may succeed.
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
