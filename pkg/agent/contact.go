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
	"sync"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// reconnectPoll is the time between looks for the server, for instances that wait for it.
const reconnectPoll = time.Second

// contact is when the server last answered.
type contact struct {
	mu sync.Mutex
	// at is the start of the agent until the first answer, which sets answered.
	at       time.Time
	answered bool
}

func (c *contact) answer(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.answered = now, true
}

// begin sets the start of the agent.
func (c *contact) begin(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered {
		c.at = now
	}
}

// last returns the time of the last answer, or the start of the agent and false.
func (c *contact) last() (at time.Time, answered bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at, c.answered
}

// cutOff reports whether an instance must not run because the server has not answered for
// stopAfterDisconnectSeconds. Without an answer since the start of the agent, nothing new starts:
// the server may have replaced the instance long ago. next is the time at which to look again.
func (c *contact) cutOff(instance *v1alpha1.Instance, sandbox *runtime.Sandbox, now time.Time) (cut bool, next time.Time) {
	limit := instance.Spec.StopAfterDisconnectSeconds
	if limit == nil {
		return false, time.Time{}
	}
	at, answered := c.last()
	end := at.Add(time.Duration(*limit) * time.Second)
	if !now.Before(end) || !answered && (sandbox == nil || sandbox.Exited()) {
		return true, now.Add(reconnectPoll)
	}
	return false, end
}

// stopRunning returns the actions that stop the containers that run. Their sandbox and volumes stay.
func stopRunning(instance *v1alpha1.Instance, sandbox *runtime.Sandbox) []action {
	if sandbox == nil {
		return nil
	}
	var actions []action
	for i := range instance.Spec.Containers {
		spec := &instance.Spec.Containers[i]
		if newest, _ := sandbox.Newest(spec.Name); newest != nil && newest.State == runtime.ContainerRunning {
			actions = append(actions, action{kind: stopContainer, container: spec, grace: gracePeriod(instance)})
		}
	}
	return actions
}
