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

package apiserver

import (
	"fmt"
	"maps"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/informers"

	generatedopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
)

// Config is what New needs.
type Config struct {
	// Generic is k8s.io/apiserver's own configuration, with everything applied to it:
	// serving, authentication, authorization, etcd.
	Generic *genericapiserver.Config
	// Informers is the factory from which stops 1 to 3 read; nil where nobody does.
	Informers informers.SharedInformerFactory
	// GarbageCollected says that somebody collects garbage by ownerReferences; see
	// base.StorageOptions.
	GarbageCollected bool
}

type completedConfig struct {
	generic          genericapiserver.CompletedConfig
	garbageCollected bool
	groups           []group
}

// CompletedConfig is a Config with all that can be derived filled in.
type CompletedConfig struct {
	// Embedded and private, so that nobody makes one but Complete.
	*completedConfig
}

// Complete fills in what can be derived from the rest.
func (c *Config) Complete() CompletedConfig {
	groups := []group{fleetGroup()}
	indexes := map[schema.GroupResource]string{}
	for _, g := range groups {
		maps.Copy(indexes, g.watchIndexes)
	}
	if c.Generic.FlowControl != nil {
		c.Generic.FlowControl = WithIndexedWatches(c.Generic.FlowControl, indexes)
	}
	scheme, _ := NewFleetScheme()
	namer := openapi.NewDefinitionNamer(scheme)
	c.Generic.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.Generic.OpenAPIConfig.Info.Title = "Gatehouse"
	c.Generic.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, namer)
	c.Generic.OpenAPIV3Config.Info.Title = "Gatehouse"
	return CompletedConfig{&completedConfig{
		generic:          c.Generic.Complete(c.Informers),
		garbageCollected: c.GarbageCollected,
		groups:           groups,
	}}
}

// Server is a Gatehouse API server, ready to be prepared and run.
type Server struct {
	Generic *genericapiserver.GenericAPIServer
}

// New builds the storages and installs every group. From here on etcd is in use: whoever
// gets a server must run it, or call Generic.Destroy.
func (c CompletedConfig) New() (*Server, error) {
	generic, err := c.generic.New("gatehouse", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	for _, g := range c.groups {
		info, err := g.apiGroupInfo(c.generic.RESTOptionsGetter, c.garbageCollected)
		if err != nil {
			generic.Destroy()
			return nil, err
		}
		if err := generic.InstallAPIGroup(info); err != nil {
			generic.Destroy()
			return nil, fmt.Errorf("installing API group %s: %w", g.name, err)
		}
		if err := generic.AddReadyzChecks(storageReady(g.name, info)); err != nil {
			generic.Destroy()
			return nil, err
		}
	}
	return &Server{Generic: generic}, nil
}

// storageReady keeps /readyz red until every watch cache of a group is filled: before,
// reads are answered with 429. The library has a post-start hook for this, which a generic
// server does not install, and which stops looking after a minute whether they are or not.
func storageReady(groupName string, info *genericapiserver.APIGroupInfo) healthz.HealthChecker {
	checks := map[string]rest.StorageWithReadiness{}
	for _, resources := range info.VersionedResourcesStorageMap {
		for name, storage := range resources {
			if ready, ok := storage.(rest.StorageWithReadiness); ok {
				checks[name] = ready
			}
		}
	}
	return healthz.NamedCheck("watch-caches-"+groupName, func(*http.Request) error {
		for name, storage := range checks {
			if err := storage.ReadinessCheck(); err != nil {
				return fmt.Errorf("watch cache of %s is not ready: %w", name, err)
			}
		}
		return nil
	})
}
