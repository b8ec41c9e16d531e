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

package admission

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// TestANewQuotaAdmitsExactlyItsLimit lets many clients create ConfigMaps from the moment that the creation of a
// quota is acknowledged, in many namespaces at once: while watches show the quota, its first count and the charges
// to it, each in its own time.
func TestANewQuotaAdmitsExactlyItsLimit(t *testing.T) {
	c := harness.StartControlled(t)
	const rounds, concurrently = 60, 6
	var wrong atomic.Int32
	var group sync.WaitGroup
	next := make(chan int)
	for range concurrently {
		group.Go(func() {
			for round := range next {
				if err := newQuotaRound(t.Context(), c.Core, fmt.Sprintf("round-%d", round)); err != nil {
					wrong.Add(1)
					t.Error(err)
				}
			}
		})
	}
	for round := range rounds {
		next <- round
	}
	close(next)
	group.Wait()
	t.Logf("%d of %d rounds were wrong", wrong.Load(), rounds)
}

func newQuotaRound(ctx context.Context, core kubernetes.Interface, namespace string) error {
	const clients, limit = 4, 4
	if _, err := core.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	few := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: quantities(fmt.Sprintf("count/configmaps=%d", limit))}}
	if _, err := core.CoreV1().ResourceQuotas(namespace).Create(ctx, few, metav1.CreateOptions{}); err != nil {
		return err
	}
	failures := make([]error, clients)
	var group sync.WaitGroup
	for i := range failures {
		group.Go(func() {
			for n := 0; ; n++ {
				object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c%d-%d", i, n)}}
				_, err := core.CoreV1().ConfigMaps(namespace).Create(ctx, object, metav1.CreateOptions{})
				if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota: few,") {
					return
				}
				if err != nil && !strings.Contains(err.Error(), "status unknown for quota: few,") {
					failures[i] = err
					return
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	// The published kube-root-ca.crt is one of them, or comes too late.
	list, err := core.CoreV1().ConfigMaps(namespace).List(ctx, metav1.ListOptions{})
	if err == nil && len(list.Items) != limit {
		err = fmt.Errorf("%s has %d ConfigMaps, want %d", namespace, len(list.Items), limit)
	}
	return err
}
