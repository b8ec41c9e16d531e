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

package quota

import (
	"math"
	"math/big"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
)

// amounts is how much an object uses of each name.
type amounts map[corev1.ResourceName]int64

// ledger holds the usage of each namespace, and the namespace's quotas. Both are updated change by
// change; nothing is ever summed up again.
type ledger struct {
	clock clock.PassiveClock
	// ordered is set if quotas and objects are stored together, so that their resource versions are revisions of
	// one store.
	ordered bool

	mu sync.Mutex
	// counted has no zeros. It exceeds an int64 if two objects request the greatest number,
	// which they can while no quota forbids it.
	counted map[string]map[corev1.ResourceName]*big.Int
	quotas  map[string]map[string]*entry
}

// entry is a quota as last received by the watch. Decisions use this object and no newer
// one, because charges between the two would not be in the accounts; if there is a newer one, the
// write conflicts.
type entry struct {
	quota    *corev1.ResourceQuota
	wrote    string // resource version of this controller's last write
	accounts map[corev1.ResourceName]*account
}

func newLedger(clock clock.PassiveClock) *ledger {
	return &ledger{clock: clock, counted: map[string]map[corev1.ResourceName]*big.Int{}, quotas: map[string]map[string]*entry{}}
}

// quotaUpdated records a quota. Usage that has grown was charged by admission; all usage of a quota
// that is seen for the first time may have been charged a moment ago.
func (l *ledger) quotaUpdated(quota *corev1.ResourceQuota) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.quotas[quota.Namespace][quota.Name]
	if e == nil || e.quota.UID != quota.UID {
		e = &entry{quota: &corev1.ResourceQuota{}, accounts: map[corev1.ResourceName]*account{}}
		if l.quotas[quota.Namespace] == nil {
			l.quotas[quota.Namespace] = map[string]*entry{}
		}
		l.quotas[quota.Namespace][quota.Name] = e
	}
	for name, used := range quota.Status.Used {
		before := e.quota.Status.Used[name]
		if more := used.Value() - before.Value(); more > 0 && quota.ResourceVersion != e.wrote {
			e.account(name).charged(more, revisionOf(quota), l.clock.Now())
		}
	}
	e.quota = quota
}

func (e *entry) account(name corev1.ResourceName) *account {
	if e.accounts[name] == nil {
		e.accounts[name] = &account{}
	}
	return e.accounts[name]
}

// quotaDeleted drops a quota.
func (l *ledger) quotaDeleted(namespace, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.quotas[namespace], name)
	if len(l.quotas[namespace]) == 0 {
		delete(l.quotas, namespace)
	}
}

// statusWritten records this controller's own write, which was decided at a time: usage that has grown with it is
// not a charge, and what had been counted by then is in it.
func (l *ledger) statusWritten(quota *corev1.ResourceQuota, decided time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.quotas[quota.Namespace][quota.Name]
	if e == nil || e.quota.UID != quota.UID {
		return
	}
	e.wrote = quota.ResourceVersion
	for _, a := range e.accounts {
		a.corrected(decided, revisionOf(quota))
	}
}

// changed records that an object in the namespace uses other amounts than before, and reports
// whether it does. isNew is set for an object that was not in the first list of its kind, and so
// has been charged lately.
func (l *ledger) changed(object metav1.Object, before, now amounts, isNew bool) bool {
	namespace, revision := object.GetNamespace(), uint64(0)
	if l.ordered {
		revision = revisionOf(object)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	differs := false
	for name := range union(before, now) {
		more := now[name] - before[name]
		if more == 0 {
			continue
		}
		differs = true
		l.add(namespace, name, more)
		if more < 0 || !isNew {
			continue
		}
		for _, e := range l.quotas[namespace] {
			if _, limited := e.quota.Spec.Hard[name]; limited {
				e.account(name).stored(more, revision, l.clock.Now())
			}
		}
	}
	return differs
}

func union(a, b amounts) map[corev1.ResourceName]bool {
	names := make(map[corev1.ResourceName]bool, max(len(a), len(b)))
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	return names
}

func (l *ledger) add(namespace string, name corev1.ResourceName, more int64) {
	sums := l.counted[namespace]
	if sums == nil {
		sums = map[corev1.ResourceName]*big.Int{}
		l.counted[namespace] = sums
	}
	if sums[name] == nil {
		sums[name] = &big.Int{}
	}
	if sums[name].Add(sums[name], big.NewInt(more)).Sign() == 0 {
		delete(sums, name)
	}
	if len(sums) == 0 {
		delete(l.counted, namespace)
	}
}

// quotasIn returns the quotas of a namespace.
func (l *ledger) quotasIn(namespace string) []types.NamespacedName {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keys []types.NamespacedName
	for name := range l.quotas[namespace] {
		keys = append(keys, types.NamespacedName{Namespace: namespace, Name: name})
	}
	return keys
}

// quota returns a quota as last received by the watch; nil for none.
func (l *ledger) quota(key types.NamespacedName) *corev1.ResourceQuota {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.quotas[key.Namespace][key.Name]; e != nil {
		return e.quota
	}
	return nil
}

// read returns a quota, the figures of those of its limits that are among the names, and the time of them.
func (l *ledger) read(key types.NamespacedName, names map[corev1.ResourceName]bool) (*corev1.ResourceQuota, map[corev1.ResourceName]figures, time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, e := l.clock.Now(), l.quotas[key.Namespace][key.Name]
	if e == nil {
		return nil, nil, now
	}
	all := map[corev1.ResourceName]figures{}
	for name := range e.quota.Spec.Hard {
		if names[name] {
			all[name] = e.account(name).figures(l.sum(key.Namespace, name), now)
		}
	}
	return e.quota, all, now
}

func (l *ledger) sum(namespace string, name corev1.ResourceName) int64 {
	switch sum := l.counted[namespace][name]; {
	case sum == nil:
		return 0
	case !sum.IsInt64():
		return math.MaxInt64
	default:
		return sum.Int64()
	}
}

// amountOf returns the amount of the name; nil if the list has none.
func amountOf(list corev1.ResourceList, name corev1.ResourceName) *int64 {
	amount, ok := list[name]
	if !ok {
		return nil
	}
	value := amount.Value()
	return &value
}

// revisionOf returns the revision of the last write of an object; 0 if it is not known.
func revisionOf(object metav1.Object) uint64 {
	revision, err := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	if err != nil {
		return 0
	}
	return revision
}
