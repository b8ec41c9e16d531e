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

package simulation

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// A container that failed is started again later each time, up to this many doublings of
	// the start's delay, or the longest wait of a kubelet.
	maxDoublings   = 4
	longestBackOff = 5 * time.Minute

	exitError  = 1
	exitKilled = 137 // 128 + SIGKILL

	reasonCreating = "ContainerCreating"
	reasonBadImage = "ImagePullBackOff"
	reasonBackOff  = "CrashLoopBackOff"
	reasonError    = "Error"
	reasonDone     = "Completed"
	reasonDeadline = "DeadlineExceeded"
)

// machine is what a container runtime would know of one instance.
type machine struct {
	uid types.UID
	// key is namespace/name, and what dice are asked about.
	key        string
	accepted   time.Time
	containers []container
	// address is the instance's; empty where its host had none left.
	address string
	// stopping is when it was asked to stop; zero before.
	stopping time.Time
	// expired is set once the instance has used up its activeDeadlineSeconds.
	expired bool
	// over is set where the status says that the instance has ended for a reason that is not
	// ours, such as an eviction: it is reported on no more.
	over bool
	// gone is set once it has been deleted for good: what is heard of it afterwards is old.
	gone bool
}

type containerState int

const (
	waiting containerState = iota
	running
	ended
)

type container struct {
	name, image string
	state       containerState
	// since is when the state began.
	since    time.Time
	restarts int32
	// end is how the container ended, or ended the last time; nil where it never has.
	end *end
}

type end struct {
	code              int32
	reason            string
	started, finished time.Time
}

// advance brings the machine up to now, and returns when it wants to be looked at again: zero
// for never, where nothing changes by itself. stopped says that the instance has been asked
// to stop, and has.
func (m *machine) advance(instance *v1alpha1.Instance, now time.Time, b *Behaviour, d dice) (next time.Time, stopped bool) {
	if instance.DeletionTimestamp != nil {
		return m.stop(instance, now, b, d)
	}
	if isOver(instance.Status.Phase) && !m.expired && !m.finished() {
		m.over = true
	}
	if m.over || m.expired {
		return time.Time{}, false
	}
	if seconds := instance.Spec.ActiveDeadlineSeconds; seconds != nil && !m.finished() {
		deadline := m.accepted.Add(time.Duration(*seconds) * time.Second)
		if !now.Before(deadline) {
			m.expired = true
			m.kill(now, exitKilled, reasonDeadline)
			return time.Time{}, false
		}
		next = deadline
	}
	for i := range m.containers {
		m.follow(i, instance.Spec.Containers, now)
		if due := m.advanceContainer(&m.containers[i], instance.Spec.RestartPolicy, now, b, d); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
	}
	if m.finished() {
		return time.Time{}, false
	}
	return next, false
}

// stop takes its time, but not longer than the grace period, and ends with nothing running.
func (m *machine) stop(instance *v1alpha1.Instance, now time.Time, b *Behaviour, d dice) (next time.Time, stopped bool) {
	if m.stopping.IsZero() {
		m.stopping = now
	}
	due, code, reason := m.stopping.Add(d.around(b.StopDelay, m.key, "stop")), int32(0), reasonDone
	// deletionTimestamp is when the grace period ends.
	if deadline := instance.DeletionTimestamp.Time; deadline.Before(due) {
		due, code, reason = deadline, exitKilled, reasonError
	}
	if now.Before(due) && !m.over && !m.finished() {
		return due, false
	}
	m.kill(now, code, reason)
	return time.Time{}, true
}

func isOver(phase v1alpha1.InstancePhase) bool {
	return phase == v1alpha1.InstanceSucceeded || phase == v1alpha1.InstanceFailed
}

// kill ends what runs, and what would have been started.
func (m *machine) kill(now time.Time, code int32, reason string) {
	for i := range m.containers {
		c := &m.containers[i]
		switch c.state {
		case running:
			c.finish(now, code, reason)
		case waiting:
			c.since = now
			c.finish(now, code, reason)
		}
	}
}

// finished is true when all containers have ended and none will be started again.
func (m *machine) finished() bool {
	for i := range m.containers {
		if m.containers[i].state != ended {
			return false
		}
	}
	return true
}

// follow starts a container anew when its image has changed: that of a running one may.
func (m *machine) follow(i int, specs []v1alpha1.Container, now time.Time) {
	c, image := &m.containers[i], specs[i].Image
	if c.image == image {
		return
	}
	c.image = image
	switch c.state {
	case running:
		c.finish(now, 0, reasonDone)
		c.restart(now)
	case waiting:
		c.since = now
	}
}

// advanceContainer returns when the next change is due, or zero.
func (m *machine) advanceContainer(c *container, policy v1alpha1.RestartPolicy, now time.Time, b *Behaviour, d dice) time.Time {
	attempt := strconv.Itoa(int(c.restarts))
	if c.state == waiting {
		if isBad(c.image, b.BadImages) {
			return time.Time{}
		}
		if due := c.since.Add(m.startDelay(c, b, d)); now.Before(due) {
			return due
		}
		c.state, c.since = running, now
	}
	if c.state == running {
		code, reason, due := int32(0), reasonDone, time.Time{}
		if policy != v1alpha1.RestartPolicyAlways && b.RunTime > 0 {
			due = c.since.Add(b.RunTime)
		}
		if d.throw(m.key, c.name, attempt, "fails") < b.FailureRate {
			failure := c.since.Add(d.around(b.FailureAfter, m.key, c.name, attempt, "when"))
			if due.IsZero() || failure.Before(due) {
				code, reason, due = exitError, reasonError, failure
			}
		}
		if due.IsZero() || now.Before(due) {
			return due
		}
		c.finish(now, code, reason)
		again := policy == v1alpha1.RestartPolicyAlways || policy == v1alpha1.RestartPolicyOnFailure && code != 0
		if !again {
			return time.Time{}
		}
		c.restart(now)
		return c.since.Add(m.startDelay(c, b, d))
	}
	return time.Time{}
}

// startDelay is that of a first start, and doubles with each failure.
func (m *machine) startDelay(c *container, b *Behaviour, d dice) time.Duration {
	delay := d.around(b.StartDelay, m.key, c.name, strconv.Itoa(int(c.restarts)), "start")
	if c.end != nil && c.end.code != 0 {
		delay <<= min(c.restarts, maxDoublings)
	}
	return min(delay, longestBackOff)
}

func (c *container) finish(now time.Time, code int32, reason string) {
	c.end = &end{code: code, reason: reason, started: c.since, finished: now}
	c.state, c.since = ended, now
}

func (c *container) restart(now time.Time) {
	c.state, c.since = waiting, now
	c.restarts++
}

// why says what a waiting container waits for.
func (c *container) why(badImages []string) (reason, message string) {
	switch {
	case isBad(c.image, badImages):
		return reasonBadImage, fmt.Sprintf("simulated: the image %q cannot be fetched, because its name contains one of %s", c.image, strings.Join(badImages, ", "))
	case c.end != nil && c.end.code != 0:
		return reasonBackOff, "simulated: the container failed and is started again later each time"
	}
	return reasonCreating, ""
}

func isBad(image string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(image, part) {
			return true
		}
	}
	return false
}
