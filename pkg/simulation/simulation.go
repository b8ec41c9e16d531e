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

	"github.com/gatehouse-dev/gatehouse/pkg/agent"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime/simulated"
	"github.com/gatehouse-dev/gatehouse/pkg/agent/streaming"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
)

// maxRegistering is the number of hosts that connect and register concurrently: more would only wait for
// each other.
const maxRegistering = 32

// Simulation is a number of simulated hosts.
type Simulation struct {
	agents []*agent.Agent
	// tunnels keep the tunnels of the first agents.
	tunnels    []func(ctx context.Context)
	registered func()
	// registering holds a token for each host that registers.
	registering chan struct{}
}

// New creates the hosts. identity returns the client configuration of a host, with which the
// server authenticates it as the agent of that host.
func New(options Options, identity func(host string) (*rest.Config, error)) (*Simulation, error) {
	s := &Simulation{registering: make(chan struct{}, maxRegistering)}
	for number := 1; number <= options.Count; number++ {
		name := options.HostName(number)
		config, err := identity(name)
		if err != nil {
			return nil, fmt.Errorf("host %s: %w", name, err)
		}
		runtime := simulated.New(simulated.Options{HostName: name, Seed: options.Seed, HostNumber: number, Behaviour: options.Behaviour})
		a, err := agent.New(config, runtime, options.agentOptions(number, runtime))
		if err != nil {
			return nil, err
		}
		s.agents = append(s.agents, a)
		if number <= options.Tunnels {
			s.tunnels = append(s.tunnels, func(ctx context.Context) {
				tunnel.Serve(ctx, config, options.Servers, name, streaming.New(a, runtime), nil)
			})
		}
	}
	return s, nil
}

// OnRegistered sets a function that is called when all hosts have registered for the first time.
func (s *Simulation) OnRegistered(f func()) { s.registered = f }

// Run runs the hosts until the context ends. Then the hosts are gone as after a power failure: their leases
// expire, and their registered objects stay.
func (s *Simulation) Run(ctx context.Context) {
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithName("simulation"))
	var running, registering sync.WaitGroup
	registering.Add(len(s.agents))
	for i, a := range s.agents {
		var keepTunnel func(context.Context)
		if i < len(s.tunnels) {
			keepTunnel = s.tunnels[i]
		}
		running.Go(func() { s.runHost(ctx, a, keepTunnel, registering.Done) })
	}
	registering.Wait()
	if ctx.Err() == nil && s.registered != nil {
		s.registered()
	}
	running.Wait()
}

// runHost registers one host, runs its agent and keeps its tunnel, if it has one.
func (s *Simulation) runHost(ctx context.Context, a *agent.Agent, keepTunnel func(context.Context), registered func()) {
	err := context.Canceled
	select {
	case s.registering <- struct{}{}:
		err = a.Register(ctx)
		<-s.registering
	case <-ctx.Done():
	}
	registered()
	if err != nil { // the context ended
		return
	}
	var parts sync.WaitGroup
	if keepTunnel != nil {
		parts.Go(func() { keepTunnel(ctx) })
	}
	a.Run(ctx)
	parts.Wait()
}
