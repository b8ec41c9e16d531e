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
	"testing"
	"time"

	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestAnInstanceStopsWhenTheServerHasNotAnsweredForItsTime(t *testing.T) {
	const none, starts, stops = "nothing", "a start", "a stop"
	for _, tc := range []struct {
		name     string
		limit    *int64
		answered bool
		seconds  int // since the last answer, or the start of the agent
		runs     bool
		want     string
	}{
		{"without a limit it runs on", nil, true, 3600, true, none},
		{"before the limit it runs on", ptr.To[int64](60), true, 59, true, none},
		{"at the limit it stops", ptr.To[int64](60), true, 60, true, stops},
		{"after the limit it does not start", ptr.To[int64](60), true, 60, false, none},
		{"before the limit it starts", ptr.To[int64](60), true, 59, false, starts},
		{"after a restart of the agent it runs on", ptr.To[int64](60), false, 59, true, none},
		{"at the limit after a restart of the agent it stops", ptr.To[int64](60), false, 60, true, stops},
		{"after a reboot it waits for the server", ptr.To[int64](60), false, 1, false, none},
		{"after a reboot without a limit it starts", nil, false, 1, false, starts},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := newHost(simulated.Behaviour{}, start)
			c.contact.begin(start)
			if tc.answered {
				c.contact.answer(start)
			}
			instance := newInstance(func(i *v1alpha1.Instance) { i.Spec.StopAfterDisconnectSeconds = tc.limit })
			s, now := accept(instance, start), start.Add(time.Duration(tc.seconds)*time.Second)
			var sandbox *runtime.Sandbox
			if tc.runs {
				sandbox = running()
			}
			s.cut, s.cutNext = c.contact.cutOff(instance, sandbox, now)
			d := s.decide(instance, sandbox, now, &Options{})
			got := none
			switch {
			case len(d.actions) == 1 && d.actions[0].kind == stopContainer && d.actions[0].grace == defaultGrace*time.Second:
				got = stops
			case len(d.actions) > 0 && d.actions[0].kind == runSandbox:
				got = starts
			}
			if got != tc.want {
				t.Errorf("got %s (%+v), want %s", got, d.actions, tc.want)
			}
			if tc.limit != nil && !d.next.After(now) {
				t.Errorf("the next look is at %s", d.next)
			}
			if got == stops {
				c.contact.answer(now)
				s.cut, s.cutNext = c.contact.cutOff(instance, sandbox, now)
				if s.cut {
					t.Error("the server answers again, and the instance stays stopped")
				}
			}
		})
	}
}
