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
	"k8s.io/component-base/metrics"
	"k8s.io/utils/clock"

	diagnosticsapi "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/bodies"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/memory"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	diagnosticsregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/storagemember"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/uisession"
	fleetregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/instance"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/streams"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/rbac/escalation"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/tunnel"
	"github.com/gatehouse-dev/gatehouse/pkg/watches"
)

// Config holds the inputs of a server.
type Config struct {
	// Generic is k8s.io/apiserver's own configuration, with everything applied to it:
	// serving, authentication, authorization, admission, etcd.
	Generic *genericapiserver.Config
	// Informers is the factory from which stages 1 to 3 read; nil for none.
	Informers informers.SharedInformerFactory
	// GarbageCollected is true if a garbage collector runs; see base.StorageOptions.
	GarbageCollected bool
	// Tokens issues the tokens of instances and service accounts. If it is nil, the endpoints are
	// not served.
	Tokens tokenrequest.Issuer
	// Objects reads the ConfigMaps and Secrets to which instances refer. If it is nil, the endpoint
	// is not served.
	Objects instance.ObjectReader
	// Builtins are the inputs of Kubernetes' own kinds; nil if a cluster serves them.
	Builtins *Builtins
	// StartChecks must each pass once before requests other than health checks are served,
	// besides those of the watch caches and of Builtins. They are also checks of /readyz.
	StartChecks []healthz.HealthChecker
	// HealthPaths are served before that, so that probes can observe the start.
	HealthPaths []string
	// Encryption has the reason why stored objects cannot be read; nil for none.
	Encryption *storage.Encryption
	// Memory is shared by requests that need much of it; nil if memory has no limit.
	Memory *memory.Budget
	// Traces record requests.
	Traces Traces
	// StorageMembers are the members of etcd; nil if they are not observed.
	StorageMembers storagemember.Source
	// Pages makes links to the page of this server; nil if it has none.
	Pages uisession.Pages
	// Watches bound the duration of a watch without a new authorization; both are set.
	Watches WatchLimits
	// WatchSessions records the open watches; a new one if it is nil.
	WatchSessions *watches.Registry
	// Tunnels are those of hosts to this server; new ones if it is nil. Hosts opens streams to hosts, by these tunnels only if
	// it is nil.
	Tunnels *tunnel.Registry
	Hosts   streams.Dialer
	// Metrics are served at /metrics besides those of the process and of watches.
	Metrics []metrics.Gatherer
}

// Builtins are the inputs of a server of Kubernetes' own kinds, besides those of every server.
// All fields but Paths, Bootstrap and Controllers are required.
type Builtins struct {
	// Scheme and Codecs are those of NewBuiltinScheme, the same as in the storage factory.
	Scheme *runtime.Scheme
	Codecs serializer.CodecFactory
	// Informers read from the storages of built-in kinds.
	Informers *StoreInformers
	// Lookup reads the objects on which tokens of service accounts depend from the same storages,
	// and resolves the resource of a kind.
	Lookup *StoreLookup
	// Tokens processes TokenReviews, and Audiences are those of the server.
	Tokens    authenticator.Token
	Audiences authenticator.Audiences
	// Authorizer and Rules process access reviews.
	Authorizer authorizer.Authorizer
	Rules      authorizer.RuleResolver
	// Escalation refuses writes that grant rights which the caller does not have.
	Escalation escalation.Checker
	// EventTTL is the time for which an event is kept after the last write to it.
	EventTTL time.Duration
	// Paths installs further paths after every group is installed; nil for none.
	Paths func(*genericapiserver.GenericAPIServer) error
	// Bootstrap are objects that exist before the server serves, besides those that every
	// server has.
	Bootstrap []BootstrapObject
	// Controllers are the users of controllers, for which there are FlowSchemas.
	Controllers []string
}

type completedConfig struct {
	generic        genericapiserver.CompletedConfig
	storageOptions base.StorageOptions
	tokens         tokenrequest.Issuer
	objects        instance.ObjectReader
	fleetScheme    *runtime.Scheme
	fleetCodecs    serializer.CodecFactory
	builtins       *Builtins
	bootstrap      []BootstrapObject
	gate           *startGate
	patches        *patchCheck
	startChecks    []healthz.HealthChecker
	lifetimes      *watchLifetimes
	metrics        []metrics.Gatherer
	encryption     *storage.Encryption
	diagnostics    diagnosticsregistry.StorageProvider
	watches        *watches.Registry
	tunnels        *tunnel.Registry
	hosts          streams.Dialer
}

// CompletedConfig is a Config with all derived values.
type CompletedConfig struct {
	// Embedded and private, so that only Complete constructs one.
	*completedConfig
}

// Complete derives the remaining values. It changes neither its receiver nor the library's
// configuration in it.
func (c *Config) Complete() CompletedConfig {
	library := *c.Generic
	completed := &completedConfig{
		storageOptions: base.StorageOptions{RESTOptions: library.RESTOptionsGetter, GarbageCollected: c.GarbageCollected},
		tokens:         c.Tokens,
		objects:        c.Objects,
		builtins:       c.Builtins,
		gate:           &startGate{serializer: library.Serializer, healthPaths: c.HealthPaths},
		patches:        &patchCheck{serializer: library.Serializer},
		startChecks:    slices.Clone(c.StartChecks),
		encryption:     c.Encryption,
	}
	completed.tunnels, completed.hosts = c.Tunnels, c.Hosts
	if completed.tunnels == nil {
		completed.tunnels = tunnel.NewRegistry()
	}
	if completed.hosts == nil {
		completed.hosts = completed.tunnels
	}
	completed.fleetScheme, completed.fleetCodecs = NewFleetScheme()
	if loopback := library.LoopbackClientConfig; loopback != nil {
		completed.gate.loopbackToken = loopback.BearerToken
	}
	schemes := []*runtime.Scheme{external(completed.fleetScheme)}
	definitions := withTokenRequestDefinitions
	if b := c.Builtins; b != nil {
		completed.bootstrap = slices.Concat(bootstrapObjects(), b.Bootstrap, flowControlObjects(b.Controllers))
		completed.startChecks = append(completed.startChecks, b.Informers.check())
		schemes = append(schemes, external(b.Scheme))
		definitions = withBuiltinDefinitions
	}
	if library.FlowControl != nil {
		library.FlowControl = WithIndexedWatches(library.FlowControl, watchIndexes())
	}
	buildChain := library.BuildHandlerChainFunc
	lifetimes, sessions := newWatchLifetimes(c.Watches, clock.RealClock{}), c.WatchSessions
	if sessions == nil {
		sessions = watches.NewRegistry(clock.RealClock{})
	}
	traced := newTraced(c.Traces.Options, &library)
	sessions.Server = library.APIServerID
	completed.watches = sessions
	reviews := newReviews(traced)
	completed.diagnostics = diagnosticsregistry.StorageProvider{
		Traces: traced.storage(c), Reviews: reviews.storage(c), Watches: watchSessions(sessions, c), Members: c.StorageMembers, Pages: c.Pages,
	}
	library.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		completed.gate.cures = mayCure(config.Authentication.Authenticator)
		// The innermost filters run after authorization, in this order: the duration of a watch, the
		// media type, the size of a body, the content of a patch, and the record of a watch.
		inner := func(endpoints http.Handler) http.Handler {
			return withMediaType(c.withinBounds(completed.patches.wrap(endpoints), config), config)
		}
		reviewed := inner(reviews.at(served, diagnostics.EndReviews(handler)))
		reviews.chain = reviews.at(limits, base.WithStreamRequested(withUserAgent(buildChain(reviews.at(limits, reviewed), reviews.configOf(config)))))
		chain := lifetimes.outer(buildChain(traced.at(limits, lifetimes.inner(inner(traced.at(served, sessions.Wrap(withWatchObserver(handler)))))), traced.config(config)), config)
		return traced.recorder.Wrap(completed.gate.wrap(traced.at(limits, base.WithStreamRequested(withUserAgent(chain)))))
	}
	completed.lifetimes, completed.metrics = lifetimes, append(slices.Clone(c.Metrics), sessions.Metrics())
	namer := openapi.NewDefinitionNamer(schemes...)
	library.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(definitions, namer)
	library.OpenAPIConfig.Info.Title = "Gatehouse"
	library.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(definitions, namer)
	library.OpenAPIV3Config.Info.Title = "Gatehouse"
	describeSecurity(library.OpenAPIConfig, library.OpenAPIV3Config)
	// The library builds both documents at the start; this server builds them on the first request.
	library.SkipOpenAPIInstallation = true
	completed.generic = library.Complete(c.Informers)
	return CompletedConfig{completed}
}

// holdsAmounts reports whether objects of the resource contain a resource.Quantity.
func holdsAmounts(resource schema.GroupResource) bool {
	return resource.Group == fleet.GroupName || resource == corev1.Resource("resourcequotas")
}

// withinBounds refuses requests that would cost the server too much. It runs after authorization, so
// that no body is read for callers without rights.
func (c *Config) withinBounds(handler http.Handler, config *genericapiserver.Config) http.Handler {
	handler = bodies.WithBounds(handler, config.MaxRequestBodyBytes, holdsAmounts, config.Serializer)
	if c.Memory == nil {
		return handler
	}
	sizes := func(resource schema.GroupResource) (count, averageBytes int64) {
		stats, err := config.StorageObjectCountTracker.Get(resource.String())
		if err != nil {
			return 0, 0 // not counted yet, or nothing is stored
		}
		return stats.ObjectCount, stats.EstimatedAverageObjectSizeBytes
	}
	return memory.WithBudget(handler, c.Memory, sizes, config.MaxRequestBodyBytes, config.Serializer)
}

// New builds the storages, begins to write the bootstrap objects, which ends with the context, and
// installs every group. From here on etcd is in use: the caller must call Prepare.
func (c CompletedConfig) New(ctx context.Context) (*Server, error) {
	generic, err := c.generic.New("gatehouse", genericapiserver.NewEmptyDelegate())
	if err != nil {
		return nil, err
	}
	server, err := c.build(ctx, generic)
	if err != nil {
		generic.Destroy()
		return nil, err
	}
	return server, nil
}

func (c CompletedConfig) build(ctx context.Context, generic *genericapiserver.GenericAPIServer) (*Server, error) {
	if err := generic.AddPostStartHook("watch-lifetimes", func(hook genericapiserver.PostStartHookContext) error {
		go c.lifetimes.Run(hook)
		return nil
	}); err != nil {
		return nil, err
	}
	types := &typeCheck{}
	sets, err := c.groupSets(types)
	if err != nil {
		return nil, err
	}
	groups, err := buildGroups(c.storageOptions, sets...)
	if err != nil {
		return nil, err
	}
	server := &Server{generic: generic, bootstrap: c.bootstrap, storages: storagesOf(groups...), encryption: c.encryption}
	if c.builtins != nil {
		server.informers = c.builtins.Informers
	}
	server.startBootstrap(ctx)
	if err := server.maintainFlowControl(); err != nil {
		return nil, err
	}
	if err := c.install(server, groups, types); err != nil {
		return nil, errors.Join(err, server.waitBootstrapped())
	}
	return server, nil
}

// groupSets returns the groups that the server serves, in the order in which they are installed.
func (c CompletedConfig) groupSets(types *typeCheck) ([]groupSet, error) {
	updates, err := NewCallerUpdates(c.fleetScheme, c.generic.AdmissionControl)
	if err != nil {
		return nil, err
	}
	var sets []groupSet
	if c.builtins != nil {
		sets = append(sets, c.builtins.groups(c.tokens, types))
	}
	own := fleetGroups(c.fleetScheme, c.fleetCodecs, fleetregistry.StorageProvider{
		Tokens: c.tokens, Objects: c.objects, Updates: updates, Tunnels: c.tunnels, Hosts: c.hosts, Authorizer: c.generic.Authorization.Authorizer,
	})
	own.names, own.providers = append(own.names, diagnosticsapi.GroupName), append(own.providers, c.diagnostics)
	return append(sets, own), nil
}

func (c CompletedConfig) install(server *Server, groups []apiGroup, types *typeCheck) error {
	if err := installGroups(server.generic, groups); err != nil {
		return err
	}
	if err := c.patches.learn(groups); err != nil {
		return err
	}
	c.watches.Source = watchSource(server.storages, watchIndexes())
	checks := append(storagesReady(groups), c.startChecks...)
	if err := server.generic.AddReadyzChecks(checks...); err != nil {
		return err
	}
	c.gate.checks = checks
	serveMetrics(server.generic, c.generic.EnableProfiling, c.metrics...)
	installOpenAPIV2(server.generic, c.generic.OpenAPIConfig)
	server.buildOpenAPI = installOpenAPIV3(server.generic, c.generic.OpenAPIV3Config)
	if c.builtins == nil {
		return nil
	}
	installNoCustomResources(server.generic, time.Duration(c.generic.MinRequestTimeout)*time.Second)
	schemes := []*runtime.Scheme{c.builtins.Scheme, c.fleetScheme}
	c.builtins.Lookup.bind(server.storages, schemes...)
	types.bind(c.patches, schemes...)
	if err := c.builtins.Informers.bind(server.storages); err != nil {
		return err
	}
	if c.builtins.Paths == nil {
		return nil
	}
	return c.builtins.Paths(server.generic)
}

// storageReady returns a check of /readyz that fails until every watch cache of a group is filled:
// until then reads fail with 429. The library has a post-start hook for this, which a generic
// server does not install, and which gives up after a minute.
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
