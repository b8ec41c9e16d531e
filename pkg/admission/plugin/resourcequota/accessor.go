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
	"slices"
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
	// newFor is the time for which a quota without a count counts as new. After it, no controller seems to count.
	newFor = 5 * time.Second
)

// accessor reads quotas from the informer and writes their status. It caches the quotas that it has
// written or read after a conflict until the informer has them: otherwise every second charge
// would be computed from an old sum.
type accessor struct {
	client kubernetes.Interface
	lister corelisters.ResourceQuotaLister
	newer  *lru.Cache
	// announced are the quotas whose creation this server has admitted lately.
	announced announcements
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
	if apierrors.IsNotFound(err) {
		a.newer.Remove(key(quota))
		a.announced.drop(quota.Namespace, quota.UID)
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
	for _, announced := range a.announced.in(namespace) {
		if slices.ContainsFunc(listed, func(quota *corev1.ResourceQuota) bool { return quota.UID == announced.uid }) {
			a.announced.drop(namespace, announced.uid)
			continue
		}
		quota, err := a.created(namespace, announced)
		if err != nil {
			return nil, unwritten{err}
		}
		if quota != nil {
			quotas = slices.DeleteFunc(quotas, func(other corev1.ResourceQuota) bool { return other.Name == quota.Name })
			quotas = append(quotas, *quota.DeepCopy())
		}
	}
	for i := range quotas {
		enforce(&quotas[i])
	}
	return quotas, nil
}

// enforce adds the limits of the spec that the controller has not copied to the status yet: the evaluator enforces
// those of the status, so it would admit everything that the quota limits until then. It refuses what has no usage
// in the status.
func enforce(quota *corev1.ResourceQuota) {
	for name, hard := range quota.Spec.Hard {
		if _, copied := quota.Status.Hard[name]; copied {
			continue
		}
		if quota.Status.Hard == nil {
			quota.Status.Hard = corev1.ResourceList{}
		}
		quota.Status.Hard[name] = hard
	}
}

// created returns a quota that the informer does not have yet; nil if it is not stored.
func (a *accessor) created(namespace string, announced announcement) (*corev1.ResourceQuota, error) {
	if cached, ok := a.newer.Get(namespace + "/" + announced.name); ok {
		if known := cached.(*corev1.ResourceQuota); known.UID == announced.uid {
			return known, nil
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	quota, err := a.client.CoreV1().ResourceQuotas(namespace).Get(ctx, announced.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	a.newer.Add(key(quota), quota)
	return quota, nil
}

// hasNew reports whether a quota of the namespace was created so lately that its first count may be under way.
func (a *accessor) hasNew(namespace string) bool {
	quotas, err := a.GetQuotas(namespace)
	return err == nil && slices.ContainsFunc(quotas, func(quota corev1.ResourceQuota) bool {
		return quota.Status.Used == nil && time.Since(quota.CreationTimestamp.Time) < newFor
	})
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
