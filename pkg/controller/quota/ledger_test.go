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
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
)

const things corev1.ResourceName = "count/things.example.com"

// play has one quota of one namespace, its objects, and their writers.
type play struct {
	t       *testing.T
	clock   *clocktesting.FakeClock
	ledger  *ledger
	quota   *corev1.ResourceQuota
	version int
}

func newPlay(t *testing.T, used int64) *play {
	clock := clocktesting.NewFakeClock(start)
	p := &play{t: t, clock: clock, ledger: newLedger(clock), quota: &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "few", UID: "1"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{things: quantity(100)}},
		Status:     corev1.ResourceQuotaStatus{Hard: corev1.ResourceList{things: quantity(100)}},
	}}
	p.writes(used)
	return p
}

// newUncounted returns a play with a quota that has no status yet, and with resource versions of one store.
func newUncounted(t *testing.T) *play {
	p := newPlay(t, 0)
	p.ledger.ordered = true
	p.quota.UID, p.quota.Status = "2", corev1.ResourceQuotaStatus{}
	p.version++
	p.quota.ResourceVersion = strconv.Itoa(p.version)
	p.ledger.quotaUpdated(p.quota)
	return p
}

// writes simulates a write of the status and its watch event.
func (p *play) writes(used int64) {
	p.quota = p.quota.DeepCopy()
	p.version++
	p.quota.ResourceVersion = strconv.Itoa(p.version)
	p.quota.Status.Used = corev1.ResourceList{things: quantity(used)}
	p.ledger.quotaUpdated(p.quota)
}

func (p *play) appears(n int, isNew bool) {
	for range n {
		p.version++
		p.ledger.changed(thing(p.version), nil, amounts{things: 1}, isNew)
	}
}

func (p *play) goes(n int) {
	for range n {
		p.ledger.changed(thing(p.version), amounts{things: 1}, nil, true)
	}
}

// corrects simulates a write of the controller: its answer, and its watch event before or after it.
func (p *play) corrects(answerFirst bool) {
	key := types.NamespacedName{Namespace: "team", Name: "few"}
	q, all, decided := p.ledger.read(key, map[corev1.ResourceName]bool{things: true})
	status, _ := decide(q, all, true, decided)
	p.version++
	p.quota = q.DeepCopy()
	p.quota.ResourceVersion, p.quota.Status = strconv.Itoa(p.version), status
	if answerFirst {
		p.ledger.statusWritten(p.quota, decided)
	}
	p.ledger.quotaUpdated(p.quota)
	if !answerFirst {
		p.ledger.statusWritten(p.quota, decided)
	}
}

// thing returns an object that was stored in a revision.
func thing(revision int) metav1.Object {
	return &metav1.ObjectMeta{Namespace: "team", ResourceVersion: strconv.Itoa(revision)}
}

// used returns the usage that the controller would write now.
func (p *play) used() int64 {
	q, all, decided := p.ledger.read(types.NamespacedName{Namespace: "team", Name: "few"}, map[corev1.ResourceName]bool{things: true})
	status, _ := decide(q, all, true, decided)
	return *amountOf(status.Used, things)
}

func (p *play) wants(used int64) {
	p.t.Helper()
	if got := p.used(); got != used {
		p.t.Errorf("it writes %d, want %d", got, used)
	}
}

func TestACreateIsNotTakenForAnError(t *testing.T) {
	p := newPlay(t, 0)
	p.writes(1)
	p.wants(1)
	p.appears(1, true)
	p.wants(1)
	p.clock.Step(settle)
	p.wants(1)
}

func TestACreateThatIsSeenBeforeItsChargeIsNotTakenForAnError(t *testing.T) {
	p := newPlay(t, 0)
	p.appears(1, true)
	p.wants(1) // a write that conflicts with the charge
	p.writes(1)
	p.wants(1)
	p.goes(1)
	p.wants(0)
}

func TestADeleteIsGivenBackAtOnceThoughOthersAreOnTheirWay(t *testing.T) {
	p := newPlay(t, 0)
	p.writes(10)
	p.appears(10, true)
	p.writes(12)
	p.goes(4)
	p.wants(8)
	p.writes(8)
	p.appears(2, true)
	p.wants(8)
}

func TestTwoControllersGiveADeleteBackOnce(t *testing.T) {
	p := newPlay(t, 0)
	p.writes(10)
	p.appears(10, true)
	p.writes(11)
	p.writes(10) // the other one has observed the delete that arrives here later
	p.wants(10)
	p.goes(1)
	p.wants(10)
}

func TestAChargeForNothingIsGivenBackInTheEnd(t *testing.T) {
	p := newPlay(t, 0)
	p.writes(5)
	p.appears(3, true)
	p.wants(5)
	p.clock.Step(settle - time.Second)
	p.wants(5)
	p.clock.Step(time.Second)
	p.wants(3)
}

func TestWhatWasThereBeforeIsNotWhatWasChargedJustNow(t *testing.T) {
	p := newPlay(t, 7)
	p.appears(5, false)
	p.wants(7) // two may be in flight
	p.clock.Step(settle)
	p.wants(5)
}

// Objects that were admitted before admission knew the quota are counted without a charge. The charges that follow
// must not be taken for theirs: the next correction would give them back, and as many would be admitted again.
func TestAChargeIsNotThatOfAnObjectFromBeforeTheQuota(t *testing.T) {
	for _, answerFirst := range []bool{true, false} {
		t.Run("the answer of the first count comes before its event: "+strconv.FormatBool(answerFirst), func(t *testing.T) {
			for _, ordered := range []bool{true, false} {
				p := newUncounted(t)
				p.ledger.ordered = ordered
				p.appears(2, true)
				p.corrects(answerFirst)
				p.wants(2)
				p.writes(3)
				p.wants(3) // the object of the charge is on its way
				p.appears(1, true)
				p.wants(3)
				p.goes(1)
				p.wants(2)
			}
		})
	}
}

func TestAnObjectFromBeforeTheQuotaThatIsSeenLateIsAddedToTheCharges(t *testing.T) {
	p := newUncounted(t)
	p.corrects(true)
	before := thing(p.version)
	p.writes(1)
	p.ledger.changed(before, nil, amounts{things: 1}, true)
	p.wants(1) // it may be the charged one, or not
	p.appears(1, true)
	p.wants(2)
}

func TestAnErrorOfTheControllersOwnIsNoCharge(t *testing.T) {
	p := newPlay(t, 0)
	p.appears(3, false)
	next := p.quota.DeepCopy()
	next.ResourceVersion = strconv.Itoa(p.version + 1)
	p.ledger.statusWritten(next, p.clock.Now())
	p.writes(3)
	p.goes(1)
	p.wants(2)
}

func TestAQuotaOfTheSameNameIsAnother(t *testing.T) {
	p := newPlay(t, 0)
	p.writes(4)
	p.appears(4, true)
	p.ledger.quotaDeleted("team", "few")
	if p.ledger.quota(types.NamespacedName{Namespace: "team", Name: "few"}) != nil || len(p.ledger.quotasIn("team")) != 0 {
		t.Error("the quota is still in the ledger")
	}
	p.quota.UID = "2"
	p.writes(4)
	p.goes(1)
	p.wants(4) // all of this number may be recent charges
	p.clock.Step(settle)
	p.wants(3)
}

func TestSumsMayBeMoreThanANumberHolds(t *testing.T) {
	l := newLedger(clocktesting.NewFakeClock(start))
	greatest := amounts{things: math.MaxInt64}
	l.changed(thing(1), nil, greatest, true)
	l.changed(thing(1), nil, greatest, true)
	if got := l.sum("team", things); got != math.MaxInt64 {
		t.Errorf("got %d", got)
	}
	l.changed(thing(1), greatest, amounts{things: 2}, true)
	l.changed(thing(1), greatest, nil, true)
	if got := l.sum("team", things); got != 2 {
		t.Errorf("got %d", got)
	}
	l.changed(thing(1), amounts{things: 2}, nil, true)
	if len(l.counted) != 0 {
		t.Errorf("it remembers nothing: %v", l.counted)
	}
}

func TestStatus(t *testing.T) {
	limited := func(pairs ...any) corev1.ResourceList {
		list := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			list[corev1.ResourceName(pairs[i].(string))] = quantity(int64(pairs[i+1].(int)))
		}
		return list
	}
	const pods = "count/pods"
	for _, tc := range []struct {
		name    string
		hard    corev1.ResourceList
		scopes  []corev1.ResourceQuotaScope
		status  corev1.ResourceQuotaStatus
		whole   bool
		hardNow corev1.ResourceList
		usedNow corev1.ResourceList
	}{
		{"a new quota", limited(string(things), 5), nil, corev1.ResourceQuotaStatus{}, true, limited(string(things), 5), limited(string(things), 3)},
		{"what is no longer limited is forgotten", limited(string(things), 5), nil, corev1.ResourceQuotaStatus{Hard: limited(pods, 1), Used: limited(pods, 1)}, true, limited(string(things), 5), limited(string(things), 3)},
		{"a name that is not counted here is not changed", limited(string(things), 5, pods, 1), nil, corev1.ResourceQuotaStatus{Used: limited(pods, 1)}, true, limited(string(things), 5, pods, 1), limited(string(things), 3, pods, 1)},
		{"with a scope nothing is used", limited(string(things), 5), []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}, corev1.ResourceQuotaStatus{Used: limited(string(things), 3)}, true, limited(string(things), 5), limited(string(things), 0)},
		{"in a cluster the rest is another's", limited(string(things), 5), nil, corev1.ResourceQuotaStatus{Hard: limited(pods, 1), Used: limited(pods, 1)}, false, limited(pods, 1), limited(string(things), 3, pods, 1)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := &corev1.ResourceQuota{Spec: corev1.ResourceQuotaSpec{Hard: tc.hard, Scopes: tc.scopes}, Status: tc.status}
			got, _ := decide(q, map[corev1.ResourceName]figures{things: {counted: 3}}, tc.whole, start)
			if want := (corev1.ResourceQuotaStatus{Hard: tc.hardNow, Used: tc.usedNow}); !sameStatus(&got, &want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func quantity(amount int64) resource.Quantity {
	return *resource.NewQuantity(amount, resource.DecimalSI)
}
