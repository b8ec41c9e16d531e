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
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/prober"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// running is the sandbox of an instance with one running container.
func running() *runtime.Sandbox {
	return &runtime.Sandbox{IP: "10.0.0.7", Containers: []runtime.Container{{Name: "web", ID: "fake://1", Image: "web:1", State: runtime.ContainerRunning, StartedAt: start}}}
}

func TestTheHealthOfAContainerIsInDecisionsAndInTheStatus(t *testing.T) {
	for _, tc := range []struct {
		name   string
		health *prober.Result
		// ready and started are those of the status; grace is that of a stop, nil for none.
		ready, started bool
		grace          *time.Duration
		message        string
	}{
		{name: "without a probe", ready: true, started: true},
		{name: "healthy", health: &prober.Result{Started: true, Ready: true}, ready: true, started: true},
		{name: "not ready", health: &prober.Result{Started: true, Message: "HTTP status 503"}, started: true, message: "web (HTTP status 503)"},
		{name: "not started", health: &prober.Result{Message: "no probe has succeeded yet"}, message: "web (no probe has succeeded yet)"},
		{name: "dead", health: &prober.Result{Started: true, Stop: true, Message: "dead"}, started: true, grace: ptr.To(30 * time.Second), message: "web (dead)"},
		{name: "dead, with a grace period of the probe", health: &prober.Result{Started: true, Stop: true, GraceSeconds: ptr.To[int64](2)}, started: true, grace: ptr.To(2 * time.Second), message: "web"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			instance := newInstance()
			s := accept(instance, start)
			s.containers["web"].health = tc.health
			d := s.decide(instance, running(), start, &Options{})
			switch {
			case tc.grace == nil && len(d.actions) > 0, tc.grace != nil && (len(d.actions) != 1 || d.actions[0].kind != stopContainer || d.actions[0].grace != *tc.grace):
				t.Errorf("the actions are %+v", d.actions)
			}
			status := s.status(instance, running(), "192.0.2.1", start)
			if c := status.ContainerStatuses[0]; c.Ready != tc.ready || c.Started != tc.started {
				t.Errorf("the status is %+v", c)
			}
			for _, condition := range status.Conditions {
				if condition.Type == v1alpha1.InstanceConditionReady && ((condition.Status == "True") != tc.ready || !strings.HasSuffix(condition.Message, tc.message)) {
					t.Errorf("the condition is %+v", condition)
				}
			}
		})
	}
}

func TestAContainerThatAProbeHasStoppedIsRestartedByItsPolicy(t *testing.T) {
	for _, tc := range []struct {
		policy   v1alpha1.RestartPolicy
		restarts bool
	}{{v1alpha1.RestartPolicyAlways, true}, {v1alpha1.RestartPolicyOnFailure, true}, {v1alpha1.RestartPolicyNever, false}} {
		t.Run(string(tc.policy), func(t *testing.T) {
			instance := newInstance(policy(tc.policy))
			s := accept(instance, start)
			s.containers["web"].health = &prober.Result{Stop: true, Message: "liveness probe failed: dead"}
			o := &Options{RestartBackOff: func(string, *runtime.Container) time.Duration { return 0 }}
			s.decide(instance, running(), start, o)
			ended := running()
			ended.Containers[0].State, ended.Containers[0].ExitCode, ended.Containers[0].FinishedAt = runtime.ContainerExited, 137, start
			s.containers["web"].health = nil
			d := s.decide(instance, ended, start, o)
			if starts := len(d.actions) == 1 && d.actions[0].kind == startContainer && d.actions[0].attempt == 1; starts != tc.restarts {
				t.Errorf("the actions are %+v", d.actions)
			}
			c := s.status(instance, ended, "", start).ContainerStatuses[0]
			end := c.State.Terminated
			if tc.restarts {
				end = c.LastState.Terminated
			}
			if end == nil || end.Message != "liveness probe failed: dead" {
				t.Errorf("the end is %+v", end)
			}
		})
	}
}

// probedRuntime answers every command of a probe with its code.
type probedRuntime struct {
	runtime.Runtime
	mu   sync.Mutex
	code int32
}

func (r *probedRuntime) ExecSync(context.Context, types.UID, string, []string, time.Duration) (int32, string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.code, "", nil
}

func TestTheControllerProbesWhatRuns(t *testing.T) {
	c, _ := newHost(simulated.Behaviour{}, start)
	c.prober = prober.New(t.Context(), &probedRuntime{}, func(types.UID) {})
	instance := newInstance(func(i *v1alpha1.Instance) {
		i.Spec.Containers[0].ReadinessProbe = &v1alpha1.Probe{Exec: &v1alpha1.ExecAction{Command: []string{"true"}}, PeriodSeconds: 1}
		// An earlier process of the agent has reported it as ready.
		i.Status.ContainerStatuses = []v1alpha1.ContainerStatus{{Name: "web", ContainerID: "fake://1", Ready: true, Started: true}}
	})
	s := accept(instance, start)
	c.probe(s, instance, running())
	if health := s.containers["web"].health; health == nil || !health.Ready {
		t.Errorf("after a restart of the agent the health is %+v", health)
	}
	next := running()
	next.Containers[0].ID, next.Containers[0].StartedAt = "fake://2", time.Now()
	c.probe(s, instance, next)
	if health := s.containers["web"].health; health == nil {
		t.Error("the next attempt has no health")
	}
	kit.Eventually(t, "the next attempt is ready", func(context.Context) bool {
		c.probe(s, instance, next)
		return s.containers["web"].health.Ready
	})
	next.Containers[0].State = runtime.ContainerExited
	c.probe(s, instance, next)
	if health := s.containers["web"].health; health != nil {
		t.Errorf("the health of what has ended is %+v", health)
	}
}
