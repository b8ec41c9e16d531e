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
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/informers"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/bodies"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/memory"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/police"
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
	// AccountTokens gives out service accounts' tokens; see base.StorageOptions.
	AccountTokens base.AccountTokens
	// Builtins are Kubernetes' own kinds; nil where a cluster serves them.
	Builtins *Builtins
	// StartChecks must each pass once before requests other than health checks are answered,
	// besides those of the watch caches and of Builtins. They are also checks of /readyz.
	StartChecks []healthz.HealthChecker
	// HealthPaths are answered before that, so that probes can follow the start.
	HealthPaths []string
	// Memory is what requests that need much share; nil where memory has no limit.
	Memory *memory.Budget
	// Watches bound how long a watch lasts without being asked again who watches; both are set.
	Watches WatchLimits
}

// Builtins is what a server of Kubernetes' own kinds needs, besides what all need.
type Builtins struct {
	// Scheme and Codecs are those of NewBuiltinScheme, the same as in the storage factory.
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	// Informers read from the storages of built-in kinds.
	Informers *StoreInformers
	// Lookup finds in the same storages what service accounts' tokens depend on, and what
	// resource a kind is.
	Lookup *StoreLookup
	// Tokens answers TokenReviews, and Audiences are the names of the server.
	Tokens    authenticator.Token
	Audiences authenticator.Audiences
	// Authorizer and Rules answer questions about what somebody may.
	Authorizer authorizer.Authorizer
	Rules      authorizer.RuleResolver
	// Escalation keeps callers from granting what they do not hold.
	Escalation police.Escalation
	// Paths serves further paths once every group is installed; nil for none.
	Paths func(*genericapiserver.GenericAPIServer) error
	// types checks the expressions of policies.
	types *typeCheck
	// EventTTL is how long an event lives after the last write to it.
	EventTTL time.Duration
	// Bootstrap are objects that exist before the server serves, besides those that every
	// server has.
	Bootstrap []BootstrapObject
}

// NewBuiltins makes the scheme, the informers and the lookup.
func NewBuiltins() *Builtins {
	b := &Builtins{Informers: NewStoreInformers(), Lookup: &StoreLookup{}, types: &typeCheck{}}
	b.Scheme, b.Codecs = NewBuiltinScheme()
	return b
}

type completedConfig struct {
	generic          genericapiserver.CompletedConfig
	garbageCollected bool
	accountTokens    base.AccountTokens
	groups           []group
	builtins         *Builtins
	bootstrap        []BootstrapObject
	gate             *startGate
	patches          *patchCheck
	startChecks      []healthz.HealthChecker
	watches          *watches
}

// CompletedConfig is a Config with all that can be derived filled in.
type CompletedConfig struct {
	// Embedded and private, so that nobody makes one but Complete.
	*completedConfig
}

// Complete derives the remaining values. It changes neither its receiver nor the library's
// configuration in it.
func (c *Config) Complete() CompletedConfig {
	library := *c.Generic
	completed := &completedConfig{
		garbageCollected: c.GarbageCollected,
		accountTokens:    c.AccountTokens,
		groups:           []group{fleetGroup()},
		builtins:         c.Builtins,
		gate:             &startGate{serializer: library.Serializer, healthPaths: c.HealthPaths},
		patches:          &patchCheck{serializer: library.Serializer, maxBytes: library.MaxRequestBodyBytes},
		startChecks:      slices.Clone(c.StartChecks),
	}
	if loopback := library.LoopbackClientConfig; loopback != nil {
		completed.gate.loopbackToken = loopback.BearerToken
	}
	schemes := []*runtime.Scheme{external(completed.groups[0].scheme)}
	definitions := withTokenRequestDefinitions
	if b := c.Builtins; b != nil {
		completed.groups = append(builtinGroups(b), completed.groups...)
		completed.bootstrap = append(bootstrapObjects(), b.Bootstrap...)
		completed.startChecks = append(completed.startChecks, b.Informers.check())
		schemes = append(schemes, external(b.Scheme))
		definitions = withBuiltinDefinitions
	}
	indexes := map[schema.GroupResource]string{}
	for _, g := range completed.groups {
		maps.Copy(indexes, g.watchIndexes)
	}
	if library.FlowControl != nil {
		library.FlowControl = WithIndexedWatches(library.FlowControl, indexes)
	}
	buildChain := library.BuildHandlerChainFunc
	watches := newWatches(c.Watches, clock.RealClock{})
	library.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		completed.gate.cures = mayCure(config.Authentication.Authenticator)
		// The innermost filters come after authorization, and run in this order: how long a watch
		// lasts, the media type, how large a body is, and what a patch holds.
		inner := watches.inner(withMediaType(c.withinBounds(completed.patches.wrap(handler), config), config))
		return completed.gate.wrap(base.WithStreamAsked(withUserAgent(watches.outer(buildChain(inner, config), config))))
	}
	completed.watches = watches
	namer := openapi.NewDefinitionNamer(schemes...)
	library.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	library.OpenAPIConfig.Info.Title = "Gatehouse"
	library.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	library.OpenAPIV3Config.Info.Title = "Gatehouse"
	describeSecurity(library.OpenAPIConfig, library.OpenAPIV3Config)
	// The library builds both documents at the start; here they are built when somebody asks.
	library.SkipOpenAPIInstallation = true
	completed.generic = library.Complete(c.Informers)
	return CompletedConfig{completed}
}

// holdsAmounts tells the resources with a resource.Quantity in them.
func holdsAmounts(resource schema.GroupResource) bool {
	return resource.Group == fleet.GroupName || resource == corev1.Resource("resourcequotas")
}

// withinBounds lets no request to the handler that would cost the server too much. It is the last
// stop before the handler, so that nothing is read for callers without rights.
func (c *Config) withinBounds(handler http.Handler, config *genericapiserver.Config) http.Handler {
	handler = bodies.WithBounds(handler, config.MaxRequestBodyBytes, holdsAmounts, config.Serializer)
	if c.Memory == nil {
		return handler
	}
	sizes := func(resource schema.GroupResource) (count, averageBytes int64) {
		stats, err := config.StorageObjectCountTracker.Get(resource.String())
		if err != nil {
			return 0, 0 // nothing is known yet, or nothing is stored
		}
		return stats.ObjectCount, stats.EstimatedAverageObjectSizeBytes
	}
	return memory.WithBudget(handler, c.Memory, sizes, config.MaxRequestBodyBytes, config.Serializer)
}

// New builds the storages, starts to write the bootstrap objects, until the context ends, and
// installs every group. From here on etcd is in use: the caller must call Prepare.
func (c CompletedConfig) New(ctx context.Context) (*Server, error) {
	generic, err := c.generic.New("gatehouse", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	if err := generic.AddPostStartHook("watch-lifetimes", func(hook genericapiserver.PostStartHookContext) error {
		go c.watches.Run(hook)
		return nil
	}); err != nil {
		generic.Destroy()
		return nil, err
	}
	infos, err := buildGroups(c.groups, func(g group) base.StorageOptions {
		return base.StorageOptions{
			RESTOptions: c.generic.RESTOptionsGetter, GarbageCollected: c.garbageCollected, AccountTokens: c.accountTokens,
			CallerUpdates: NewCallerUpdates(g.scheme, c.generic.AdmissionControl),
		}
	})
	if err != nil {
		generic.Destroy()
		return nil, err
	}
	server := &Server{generic: generic, bootstrap: c.bootstrap, storages: storagesOf(c.groups, infos)}
	if c.builtins != nil {
		server.informers = c.builtins.Informers
	}
	server.startBootstrap(ctx)
	if err := c.install(server, infos); err != nil {
		err = errors.Join(err, server.waitBootstrapped())
		generic.Destroy()
		return nil, err
	}
	return server, nil
}

func (c CompletedConfig) install(server *Server, infos []*genericapiserver.APIGroupInfo) error {
	if err := installGroups(server.generic, c.groups, infos); err != nil {
		return err
	}
	if err := c.patches.learn(c.groups, infos); err != nil {
		return err
	}
	checks := append(storagesReady(c.groups, infos), c.startChecks...)
	if err := server.generic.AddReadyzChecks(checks...); err != nil {
		return err
	}
	c.gate.checks = checks
	installOpenAPIV2(server.generic, c.generic.OpenAPIConfig)
	server.buildOpenAPI = installOpenAPIV3(server.generic, c.generic.OpenAPIV3Config)
	if c.builtins == nil {
		return nil
	}
	installNoCustomResources(server.generic, time.Duration(c.generic.MinRequestTimeout)*time.Second)
	c.builtins.Lookup.bind(server.storages)
	for _, g := range c.groups {
		c.builtins.Lookup.schemes = append(c.builtins.Lookup.schemes, g.scheme)
	}
	c.builtins.types.bind(c.patches, c.builtins.Lookup.schemes...)
	if err := c.builtins.Informers.bind(server.storages); err != nil {
		return err
	}
	if c.builtins.Paths == nil {
		return nil
	}
	return c.builtins.Paths(server.generic)
}

// storageReady keeps /readyz red until every watch cache of a group is filled: before,
// reads are answered with 429. The library has a post-start hook for this, which a generic
// server does not install, and which stops looking after a minute whether they are or not.
func storageReady(groupName string, storages map[schema.GroupResource]rest.Storage) healthz.HealthChecker {
	checks := map[string]rest.StorageWithReadiness{}
	for resource, storage := range storages {
		if ready, ok := storage.(rest.StorageWithReadiness); ok {
			checks[resource.Resource] = ready
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
