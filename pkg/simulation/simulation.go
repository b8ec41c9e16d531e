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
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// registeringAtOnce is how many hosts shake hands with the server and register at the same
// time: more would only wait for each other.
const registeringAtOnce = 32

// Simulation is a number of simulated hosts.
type Simulation struct {
	agents     []*agent
	registered func()
	// turn holds a token for each host that registers.
	turn chan struct{}
}

// New makes the hosts. identity gives each a configuration of its own, with which it is known
// to the server as the agent of the host of that name.
func New(options Options, identity func(host string) (*rest.Config, error)) (*Simulation, error) {
	s := &Simulation{turn: make(chan struct{}, registeringAtOnce)}
	for number := 1; number <= options.Count; number++ {
		name := options.HostName(number)
		config, err := identity(name)
		if err != nil {
			return nil, fmt.Errorf("host %s: %w", name, err)
		}
		a, err := newAgent(config, name, number, &options)
		if err != nil {
			return nil, err
		}
		s.agents = append(s.agents, a)
	}
	return s, nil
}

// HostName is the name of the host with the number, from 1.
func (o *Options) HostName(number int) string { return fmt.Sprintf("%s%d", o.NamePrefix, number) }

// OnRegistered has the function called when all hosts have registered for the first time.
func (s *Simulation) OnRegistered(f func()) { s.registered = f }

// Run works until the context ends. Then the hosts are gone as if the power had failed: their
// leases run out, and what they have registered stays.
func (s *Simulation) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("simulation"))
	var running, registering sync.WaitGroup
	registering.Add(len(s.agents))
	for _, a := range s.agents {
		running.Go(func() { s.runHost(ctx, a, registering.Done) })
	}
	registering.Wait()
	if ctx.Err() == nil && s.registered != nil {
		s.registered()
	}
	running.Wait()
}

// runHost plays one host: one goroutine for its heartbeat, one for its watch and one for all
// of its instances.
func (s *Simulation) runHost(ctx context.Context, a *agent, registered func()) {
	err := errStopped
	select {
	case s.turn <- struct{}{}:
		err = a.register(ctx)
		<-s.turn
	case <-ctx.Done():
	}
	registered()
	if err != nil {
		return // the context ended
	}
	k := newKeeper(a)
	var parts sync.WaitGroup
	parts.Go(func() { a.stayAlive(ctx) })
	parts.Go(func() { a.watch(ctx, k.mirror) })
	k.run(ctx)
	parts.Wait()
}
