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

package agent

import (
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	critesting "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/cri"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// history is a random history of one instance on a fakeMachine.
type history struct {
	t        *testing.T
	random   *rand.Rand
	machine  *fakeMachine
	clock    *clocktesting.FakeClock
	images   *critesting.FakeImageService
	dir      string
	instance *v1alpha1.Instance

	connection *connection
	runtime    *cri.Runtime
	controller *controller
	// mayKill is the end of the grace period of what is being stopped; far away if nothing is.
	mayKill  time.Time
	replaced bool
	stopped  bool
	log      []string
}

func newHistory(t *testing.T, seed int64, policy v1alpha1.RestartPolicy) *history {
	clock := clocktesting.NewFakeClock(start)
	h := &history{
		t: t, random: rand.New(rand.NewSource(seed)), clock: clock, dir: t.TempDir(), images: critesting.NewFakeImageService(),
		machine: newFakeMachine(t, clock), mayKill: start.Add(1000 * time.Hour),
		instance: newInstance(func(i *v1alpha1.Instance) {
			i.Spec.RestartPolicy, i.Spec.TerminationGracePeriodSeconds = policy, ptr.To[int64](30)
			i.Spec.Containers[0].ImagePullPolicy = v1alpha1.PullIfNotPresent
		}),
	}
	h.machine.mayKill = func() time.Time { return h.mayKill }
	h.startAgent()
	return h
}

// startAgent starts a process of the agent that knows nothing.
func (h *history) startAgent() {
	h.connection = h.machine.connect()
	h.runtime = cri.New(klog.NewContext(h.t.Context(), klog.Logger{}), h.connection, h.images, cri.Options{HostName: "edge-1", LogDir: h.dir, Clock: h.clock})
	a := newAgent(nil, h.runtime, Options{HostName: "edge-1", RestartBackOff: cri.RestartBackOff})
	a.clock = h.clock
	h.controller = newController(a)
}

// settle synchronizes until nothing changes without the clock.
func (h *history) settle() {
	for pass, quiet := 0, 0; quiet < 6; pass++ {
		before := len(h.machine.GetCalls()) + h.machine.waiting()
		// What the runtime does by itself is found by a list, as Watch does it. An operation is followed by
		// synchronizations without one.
		if pass%4 == 0 {
			if _, err := h.runtime.Sandboxes(h.t.Context()); err != nil && !errors.Is(err, runtime.ErrUnavailable) {
				h.t.Fatal(err)
			}
		}
		s, o, err := h.controller.runInstance(h.t.Context(), keyOf(h.instance), h.instance)
		if o != nil {
			h.instance.Status = s.status(h.instance, o.sandbox, "10.0.0.1", h.clock.Now())
			h.stopped = h.stopped || o.stopped
		}
		if err != nil && !errors.Is(err, runtime.ErrUnavailable) {
			h.t.Errorf("the agent takes a wrong step: %v", err)
		}
		for h.runtime.Pending() > h.machine.waiting() {
			time.Sleep(20 * time.Microsecond)
		}
		// A list and a status are always read; more than that is progress.
		if after := len(h.machine.GetCalls()) + h.machine.waiting(); after-before <= 2 {
			quiet++
		} else {
			quiet = 0
		}
	}
}

// restartAgent kills the agent, perhaps in the middle of an operation.
func (h *history) restartAgent(after int) {
	h.connection.kill(after)
	if after > 0 {
		_, _, _ = h.controller.runInstance(h.t.Context(), keyOf(h.instance), h.instance)
		time.Sleep(200 * time.Microsecond)
		h.connection.mu.Lock()
		if h.connection.left > 0 {
			h.connection.left = 0
			close(h.connection.ended)
		}
		h.connection.mu.Unlock()
	}
	h.startAgent()
}

// step lets something happen.
func (h *history) step() {
	what := func(format string, args ...any) { h.log = append(h.log, fmt.Sprintf(format, args...)) }
	switch n := h.random.Intn(20); {
	case n < 3:
		h.machine.mu.Lock()
		h.machine.failing = h.random.Intn(12) + 1
		what("call %d from here fails", h.machine.failing)
		h.machine.mu.Unlock()
		for _, id := range h.machine.running() {
			h.machine.exit(id, 1, "")
		}
		h.clock.Step(10 * time.Minute)
	case n < 6:
		d := time.Duration(h.random.Intn(int(time.Minute)))
		what("%s pass", d)
		h.clock.Step(d)
	case n < 10:
		code := int32(h.random.Intn(2))
		for _, id := range h.machine.running() {
			what("%s exits with %d", id, code)
			h.machine.exit(id, code, "")
		}
	case n < 12:
		after := h.random.Intn(8)
		what("the agent is killed after %d calls", after)
		h.restartAgent(after)
	case n < 13:
		what("the machine reboots")
		h.machine.reboot()
		h.restartAgent(0)
	case n < 15:
		h.machine.mu.Lock()
		h.machine.down = !h.machine.down
		what("the runtime is down: %v", h.machine.down)
		h.machine.mu.Unlock()
	case n < 17:
		call := []string{"RunPodSandbox", "CreateContainer", "StartContainer", "RemovePodSandbox", "ContainerStatus"}[h.random.Intn(5)]
		what("%s fails once", call)
		h.machine.InjectError(call, errors.New("injected"))
	case n < 18:
		h.machine.mu.Lock()
		h.machine.stubborn = !h.machine.stubborn
		what("programs ignore SIGTERM: %v", h.machine.stubborn)
		h.machine.mu.Unlock()
	case n < 19 && h.instance.DeletionTimestamp == nil:
		h.instance.Spec.Containers[0].Image = fmt.Sprintf("web:%d", h.random.Intn(100)+2)
		what("the image changes to %s", h.instance.Spec.Containers[0].Image)
		h.replaced, h.mayKill = true, h.clock.Now().Add(30*time.Second)
	}
}

// remove deletes the instance with a grace period and waits for its end.
func (h *history) remove() {
	h.machine.mu.Lock()
	h.machine.down = false
	h.machine.mu.Unlock()
	h.mayKill = h.clock.Now().Add(30 * time.Second)
	h.instance.DeletionTimestamp, h.instance.DeletionGracePeriodSeconds = ptr.To(metav1.NewTime(h.mayKill)), ptr.To[int64](30)
	h.log = append(h.log, "the instance is deleted")
	starts := len(h.machine.started)
	for range 60 {
		h.settle()
		if h.stopped {
			break
		}
		h.clock.Step(2 * time.Second)
	}
	if !h.stopped || len(h.machine.running()) > 0 {
		h.t.Errorf("it does not stop: stopped is %v, %v run", h.stopped, h.machine.running())
	}
	if len(h.machine.started) > starts {
		h.t.Error("a container is started after the deletion")
	}
	for range 60 {
		if err := h.runtime.RemoveSandbox(h.t.Context(), h.instance.UID); err != nil {
			h.t.Fatal(err)
		}
		for h.runtime.Pending() > h.machine.waiting() {
			time.Sleep(20 * time.Microsecond)
		}
		uids, err := h.runtime.Sandboxes(h.t.Context())
		if err == nil && len(uids) == 0 && len(h.machine.Sandboxes) == 0 {
			return
		}
		h.clock.Step(2 * time.Second)
	}
	h.t.Errorf("%d sandboxes are left", len(h.machine.Sandboxes))
}

// checkStatus checks that the status shows the newest end.
func (h *history) checkStatus() {
	h.machine.mu.Lock()
	h.machine.down = false
	newest := h.machine.newest
	code, ended := h.machine.ended[fmt.Sprint("web/", newest)]
	h.machine.mu.Unlock()
	h.settle()
	status := h.instance.Status.ContainerStatuses[0]
	if h.runs(); newest < 0 || !ended {
		return
	}
	shown := status.State.Terminated
	if shown == nil {
		shown = status.LastState.Terminated
	}
	if shown == nil {
		h.t.Errorf("the end of attempt %d with code %d is lost: %+v", newest, code, status)
		return
	}
	h.machine.mu.Lock()
	again := h.machine.newest > newest
	h.machine.mu.Unlock()
	if shown.ExitCode != code && !again {
		h.t.Errorf("attempt %d ended with code %d, and the status shows %d", newest, code, shown.ExitCode)
	}
	if status.RestartCount < newest {
		h.t.Errorf("attempt %d has run, and restartCount is %d", newest, status.RestartCount)
	}
}

func TestOnRandomHistoriesNothingStartsTwiceNoEndIsLostAndGraceIsRespected(t *testing.T) {
	for _, policy := range []v1alpha1.RestartPolicy{v1alpha1.RestartPolicyAlways, v1alpha1.RestartPolicyOnFailure, v1alpha1.RestartPolicyNever} {
		for seed := range int64(60) {
			t.Run(fmt.Sprint(policy, "/", seed), func(t *testing.T) {
				t.Parallel()
				h := newHistory(t, seed, policy)
				defer func() {
					if t.Failed() {
						for _, line := range h.log {
							t.Log(line)
						}
					}
				}()
				h.settle()
				for range 40 {
					h.step()
					h.settle()
					h.checkPolicy(policy)
				}
				h.checkStatus()
				h.remove()
			})
		}
	}
}

// runs checks that a container that shall always run does, once its backoff is over.
func (h *history) runs() {
	h.machine.Lock()
	h.machine.Errors = map[string][]error{}
	h.machine.Unlock()
	for range 10 {
		if h.instance.Spec.RestartPolicy != v1alpha1.RestartPolicyAlways || len(h.machine.running()) == 1 {
			return
		}
		h.clock.Step(time.Minute)
		h.settle()
	}
	h.t.Errorf("it does not run after ten minutes: %+v", h.instance.Status.ContainerStatuses)
}

// checkPolicy checks that the restart policy allowed each start.
func (h *history) checkPolicy(policy v1alpha1.RestartPolicy) {
	h.machine.mu.Lock()
	defer h.machine.mu.Unlock()
	for attempt := range h.machine.newest {
		code, ended := h.machine.ended[fmt.Sprint("web/", attempt)]
		switch {
		case h.replaced || !ended && h.machine.started[fmt.Sprint("web/", attempt)] == 0:
		case !ended:
			h.t.Errorf("attempt %d has not ended, and a later one was started", attempt)
		case policy == v1alpha1.RestartPolicyNever, policy == v1alpha1.RestartPolicyOnFailure && code == 0:
			h.t.Errorf("attempt %d ended with code %d, and was restarted in spite of %s", attempt, code, policy)
		}
	}
}
