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
	"net"
	"os"
	"time"

	"github.com/google/uuid"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/informers"
	"k8s.io/component-base/metrics"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver/memory"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// newConfig applies the options to a server configuration. From here on the port is taken.
func newConfig(ctx context.Context, o options.CompletedOptions, etcd *embedded.Server, bundle *certificates.Bundle, controllers *authentication.Controllers) (*apiserver.Config, error) {
	scheme, codecs := apiserver.NewFleetScheme()
	generic := genericapiserver.NewConfig(codecs)
	if err := o.ServerRun.ApplyTo(generic); err != nil {
		return nil, err
	}
	if err := applyServing(o, bundle, generic); err != nil {
		return nil, err
	}
	var factory informers.SharedInformerFactory
	var builtins *apiserver.Builtins
	var tokens base.AccountTokens
	var read healthz.HealthChecker
	if o.Aggregated() {
		var err error
		if factory, tokens, read, err = applyCluster(ctx, o, generic); err != nil {
			return nil, err
		}
	} else {
		builtins = apiserver.NewBuiltins()
		builtins.EventTTL = o.EventTTL
		factory = builtins.Informers.Factory
		bound, err := newBindings(generic)
		if err != nil {
			return nil, err
		}
		if tokens, read, err = applyStandalone(o, bundle, controllers, builtins, bound, generic); err != nil {
			return nil, err
		}
		if err := applyStandaloneAdmission(o, builtins, bound, generic); err != nil {
			return nil, err
		}
	}
	applyLimits(ctx, o, generic)
	if err := applyAudit(o, generic); err != nil {
		return nil, err
	}
	generic.EnableProfiling = o.Features.EnableProfiling
	generic.EnableContentionProfiling = o.Features.EnableContentionProfiling
	generic.DebugSocketPath = o.Features.DebugSocketPath
	applyMetrics(o.Metrics)

	generic.FlowControl = apiserver.WithUserShares(apiserver.NewStaticFlowControl(factory, generic.MaxRequestsInFlight+generic.MaxMutatingRequestsInFlight, controllerUsers()), controllerUsers())

	storageConfig := o.Etcd.StorageConfig
	storageConfig.StorageObjectCountTracker = generic.StorageObjectCountTracker
	storageFactory := apiserver.NewStorageFactory(storageConfig, o.Etcd.DefaultStorageMediaType, scheme, codecs)
	if builtins != nil {
		storageFactory = apiserver.WithBuiltins(storageFactory,
			apiserver.NewStorageFactory(storageConfig, o.Etcd.DefaultStorageMediaType, builtins.Scheme, builtins.Codecs))
	}
	if err := o.Etcd.ApplyWithStorageFactoryTo(storageFactory, generic); err != nil {
		return nil, err
	}
	generic.RESTOptionsGetter = storage.WithChecksums(generic.RESTOptionsGetter)
	if etcd != nil {
		inProcess, err := storage.InProcess(generic.RESTOptionsGetter, o.Etcd, etcd)
		if err != nil {
			return nil, err
		}
		generic.RESTOptionsGetter = inProcess
	}
	if err := applySpace(ctx, o, etcd, generic); err != nil {
		return nil, err
	}
	if o.Aggregated() {
		// Ready does not mean that the cluster lets admission see everything: see seenOnce.
		factory = nil
	}
	// In a cluster kube-controller-manager collects garbage of every group that it discovers;
	// a standalone server has a collector of its own.
	return &apiserver.Config{
		Generic: generic, Informers: factory, GarbageCollected: true, AccountTokens: tokens, Builtins: builtins, Memory: memoryBudget(o),
		StartChecks: []healthz.HealthChecker{read}, HealthPaths: authentication.HealthPaths,
		Watches: apiserver.WatchLimits{MaxDuration: o.Watches.MaxTimeout, RecheckInterval: o.Watches.RecheckInterval},
	}, nil
}

// memoryBudget tells the runtime of the memory limit; nil where there is none.
func memoryBudget(o options.CompletedOptions) *memory.Budget {
	limit := o.MemoryBytes(os.DirFS("/"))
	if limit == 0 {
		return nil
	}
	budget := memory.NewBudget(limit, memory.Live)
	budget.Apply()
	return budget
}

// applySpace has clients, /readyz and the log say when etcd refuses writes because its database
// has reached its quota.
func applySpace(ctx context.Context, o options.CompletedOptions, etcd *embedded.Server, generic *genericapiserver.Config) error {
	var space *storage.Space
	end := func() {}
	if etcd != nil {
		space = storage.EmbeddedSpace(ctx, etcd)
	} else {
		var err error
		if space, end, err = storage.ExternalSpace(ctx, externalEtcd(o)); err != nil {
			return fmt.Errorf("--etcd-servers: %w", err)
		}
	}
	go func() {
		defer end()
		space.Run(ctx)
	}()
	generic.RESTOptionsGetter = space.Storages(generic.RESTOptionsGetter)
	generic.AddReadyzChecks(space.HealthCheck())
	return nil
}

func externalEtcd(o options.CompletedOptions) storage.Connection {
	transport := o.Etcd.StorageConfig.Transport
	return storage.Connection{
		Endpoints: transport.ServerList,
		CAFile:    transport.TrustedCAFile, CertFile: transport.CertFile, KeyFile: transport.KeyFile,
	}
}

// applyMetrics applies what was asked for. The library's Apply complains in the log of every
// allow-list that was not given.
func applyMetrics(o *metrics.Options) {
	if o.ShowHiddenMetricsForVersion != "" {
		metrics.SetShowHidden()
	}
	metrics.SetDisabledMetrics(o.DisabledMetrics)
	if len(o.AllowListMapping) > 0 {
		metrics.SetLabelAllowList(o.AllowListMapping)
	} else if o.AllowListMappingManifest != "" {
		metrics.SetLabelAllowListFromManifest(o.AllowListMappingManifest)
	}
}

// applyServing opens the port and prepares TLS, for clients and for the server's own
// loopback client.
func applyServing(o options.CompletedOptions, bundle *certificates.Bundle, generic *genericapiserver.Config) error {
	if o.Serving.Listener == nil {
		address := &net.TCPAddr{IP: o.Serving.BindAddress, Port: o.Serving.BindPort}
		listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address.String())
		if err != nil {
			return fmt.Errorf("cannot listen on %s: %w; choose another address or port with --listen (gatehouse apiserver: --bind-address, --secure-port)", address, err)
		}
		o.Serving.Listener = listener
	}
	most, err := limits.MaxConnections()
	if err != nil {
		return err
	}
	serving := *o.Serving
	serving.Listener = limits.NewConnections(o.Serving.Listener, most)
	if o.OwnServingCertificate() {
		serving.ServerCert.CertKey.CertFile = bundle.ServingCertFile
		serving.ServerCert.CertKey.KeyFile = bundle.ServingKeyFile
	}
	if err := serving.ApplyTo(&generic.SecureServing); err != nil {
		return err
	}
	// The library's own loopback certificate is an RSA one, which costs up to 300 ms.
	loopback, trust, err := certificates.Loopback(genericapiserver.LoopbackClientServerNameOverride, time.Now())
	if err != nil {
		return err
	}
	generic.SecureServing.SNICerts = append([]dynamiccertificates.SNICertKeyContentProvider{loopback}, generic.SecureServing.SNICerts...)
	generic.LoopbackClientConfig, err = generic.SecureServing.NewLoopbackClientConfig(uuid.NewString(), trust)
	if err != nil {
		return err
	}
	// As kube-apiserver does: a process gains nothing by compressing for itself.
	generic.LoopbackClientConfig.DisableCompression = true
	return nil
}
