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

package app

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/garbagecollector"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/namespace"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/serviceaccount"
)

// controller is a client that runs beside the server, in its process, and reaches it through
// the front door as any other.
type controller interface {
	// Run works until the context ends, and returns when nothing of it works any more.
	Run(context.Context)
}

// controllers are those that a cluster would run, and that a standalone server runs itself.
type controllers []controller

// newControllers makes them. identity gives each a configuration of its own: it is
// authenticated and authorized by its name, and may do what its role says.
func newControllers(identity func(name string) *rest.Config) (controllers, error) {
	var all controllers
	for _, c := range []struct {
		name string
		make func(*rest.Config) (controller, error)
	}{
		{namespace.Name, func(config *rest.Config) (controller, error) { return namespace.New(config) }},
		{garbagecollector.Name, func(config *rest.Config) (controller, error) { return garbagecollector.New(config) }},
		{serviceaccount.Name, func(config *rest.Config) (controller, error) { return serviceaccount.New(config) }},
	} {
		made, err := c.make(identity(c.name))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, made)
	}
	return all, nil
}

// run returns when the context has ended and the last of them has stopped.
func (c controllers) run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, one := range c {
		wg.Go(func() { one.Run(ctx) })
	}
	wg.Wait()
}

// controllerConfig is how a controller reaches the server: nothing holds it back but the
// server's own flow control, and its kinds travel in protobuf where they can.
func controllerConfig(loopback *rest.Config, name string) *rest.Config {
	config := rest.CopyConfig(loopback)
	config.UserAgent = "gatehouse/" + name
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1
	return config
}

// standaloneControllers are none in the aggregated mode, where the cluster has its own. As
// long as the standalone mode knows no roles, the server itself stands in for each of them:
// a user of their own could do nothing.
func standaloneControllers(o options.CompletedOptions, server *apiserver.Server) (controllers, error) {
	if o.Aggregated() {
		return nil, nil
	}
	return newControllers(func(name string) *rest.Config {
		return controllerConfig(server.Generic.LoopbackClientConfig, name)
	})
}
