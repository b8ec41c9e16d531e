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

package scheduler

import (
	"fmt"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestAChangeThatFreesResourcesRetriesInstancesThatFit(t *testing.T) {
	for _, tc := range []struct {
		name string
		host *v1alpha1.Host
		then func(*story)
		want []string
	}{
		{"an instance is gone", readyHost("a"), func(s *story) { s.removeInstance(keyOf(newInstance("there")), s.now) }, []string{"bind x a"}},
		{"an instance has ended", readyHost("a"), func(s *story) {
			s.create(newInstance("there", asking("cpu", "4"), boundTo("a"), ended(v1alpha1.InstanceSucceeded)))
		}, []string{"bind x a"}},
		{"an instance is only being deleted", readyHost("a"), func(s *story) { s.create(newInstance("there", asking("cpu", "4"), boundTo("a"), beingDeleted)) }, nil},
		{"a new host", readyHost("a"), func(s *story) { s.setHost(readyHost("b"), s.now) }, []string{"bind x b"}},
		{"a new host that is too small", readyHost("a"), func(s *story) { s.setHost(readyHost("b", withAllocatable("cpu", "100m", "instances", "5")), s.now) }, nil},
		{"a host that grows", readyHost("a"), func(s *story) {
			s.setHost(readyHost("a", withAllocatable("cpu", "8", "memory", "8Gi", "instances", "10")), s.now)
		}, []string{"bind x a"}},
		{"a host that reports the same again", readyHost("a"), func(s *story) { s.setHost(readyHost("a"), s.now) }, nil},
		{"a host that becomes ready", readyHost("a", withReady("False")), func(s *story) {
			s.removeInstance(keyOf(newInstance("there")), s.now)
			s.setHost(readyHost("a"), s.now)
		}, []string{"bind x a"}},
		{"a taint that is removed", readyHost("a", withTaint("gpu", v1alpha1.TaintEffectNoSchedule), withAllocatable("cpu", "8", "memory", "8Gi", "instances", "10")), func(s *story) {
			s.setHost(readyHost("a", withAllocatable("cpu", "8", "memory", "8Gi", "instances", "10")), s.now)
		}, []string{"bind x a"}},
		{"a toleration that is added", readyHost("a", withTaint("gpu", v1alpha1.TaintEffectNoSchedule), withAllocatable("cpu", "8", "memory", "8Gi", "instances", "10")), func(s *story) { s.create(newInstance("x", tolerating("gpu"))) }, []string{"bind x a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := begin(t, tc.host)
			s.create(newInstance("there", asking("cpu", "4"), boundTo("a")), newInstance("x"))
			if got := drain(s.state, s.now); len(got) != 1 || got[0][:8] != "report x" {
				t.Fatalf("decided %q before", got)
			}
			s.now = s.now.Add(lastBackoff)
			tc.then(s)
			s.expect(tc.want...)
		})
	}
}

func TestAClassIsRetriedUntilOneInstanceDoesNotFit(t *testing.T) {
	s := begin(t, readyHost("a", withAllocatable("cpu", "0", "instances", "1000")))
	want := []string{}
	for i := range 100 {
		name := fmt.Sprintf("x%d", i)
		s.create(newInstance(name, asking("cpu", "1")))
		want = append(want, "report "+name+" "+nothingFits)
	}
	s.expect(want...)
	s.now = s.now.Add(lastBackoff)
	s.setHost(readyHost("a", withAllocatable("cpu", "3", "instances", "1000")), s.now)
	s.expect("bind x0 a", "bind x1 a", "bind x2 a")
	// The last candidate fitted nowhere, and the instances behind it were not tried.
	if l := s.queue.classes[classKeyOf(&requirements{demand: demandOf(newInstance("x", asking("cpu", "1")))})]; l.members.len() != 97 || l.failures != 1 {
		t.Errorf("%d wait after %d failures", l.members.len(), l.failures)
	}
}

func TestAClassBacksOffAfterFailedRetries(t *testing.T) {
	s := begin(t, readyHost("a", withAllocatable("instances", "0")))
	s.create(newInstance("x", asking()))
	drain(s.state, s.now)
	host := func(slots string) *v1alpha1.Host { return readyHost("a", withAllocatable("instances", slots)) }
	for failures := 1; failures <= 6; failures++ {
		// Capacity becomes free and is used up before the backoff is over.
		s.setHost(host("1"), s.now)
		s.expect()
		s.setHost(host("0"), s.now)
		s.now = s.now.Add(backoff(failures) - 1)
		s.expect()
		s.now = s.now.Add(1)
		s.expect() // tried without success, and no new message to report
	}
	l := s.queue.classes[classKeyOf(&requirements{})]
	if l == nil || l.failures != 7 || !l.until.Equal(s.now.Add(lastBackoff)) {
		t.Errorf("the line is %+v", l)
	}
}

func TestTheNextOfAClassIsRetriedWhenTheCandidateIsGone(t *testing.T) {
	s := begin(t, readyHost("a", withAllocatable("instances", "0")))
	s.create(newInstance("x", asking()), newInstance("y", asking()))
	drain(s.state, s.now)
	s.now = s.now.Add(lastBackoff)
	s.setHost(readyHost("a", withAllocatable("instances", "1")), s.now)
	s.removeInstance(keyOf(newInstance("x")), s.now)
	s.expect("bind y a")
}

func TestAllWaitingInstancesAreRefreshed(t *testing.T) {
	s := begin(t)
	s.create(newInstance("x"), newInstance("y"))
	s.expect("report x 0/0 hosts are available: there are no hosts", "report y 0/0 hosts are available: there are no hosts")
	s.setHost(readyHost("a", cordoned), s.now)
	s.now = s.now.Add(refreshPeriod - 1)
	s.expect()
	s.now = s.now.Add(1)
	s.expect("report x 0/1 hosts are available: 1 unschedulable", "report y 0/1 hosts are available: 1 unschedulable")
}
