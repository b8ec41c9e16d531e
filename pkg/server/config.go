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

package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
	"k8s.io/apiserver/pkg/server/healthz"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/informers"
	"k8s.io/component-base/metrics"
	metricsfeatures "k8s.io/component-base/metrics/features"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/boundinstances"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/manager"
	"github.com/gatehouse-dev/gatehouse/pkg/delegation"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/pkg/ui/onserver"
)

// Inputs are the values of a start from which the configuration is built.
type Inputs struct {
	options.CompletedOptions
	Listener     net.Listener
	Certificates *certificates.Bundle
	Local        *embedded.Server // the etcd in this process; nil for an external one
	// Identities authenticates the controllers in this process.
	Identities *authentication.Controllers
	Backup     *backup.Schedule // nil for none
	// Warnings of the storage become events in the standalone mode: see NewWarnings.
	Warnings chan string
}

// NewConfig builds the configuration of the server. The order of the functions that it calls is
// the order of the request's path; each needs the results of the ones before.
func NewConfig(ctx context.Context, in Inputs) (*apiserver.Config, error) {
	// Histograms get their format when they are registered, which the lines below do.
	metricsfeatures.ApplyFeatureGates(utilfeature.DefaultFeatureGate)
	scheme, codecs := apiserver.NewFleetScheme()
	generic := genericapiserver.NewConfig(codecs)
	// As in kube-apiserver, and with the tunnels of hosts: such requests have no timeout and no seat of flow control.
	generic.LongRunningFunc = genericfilters.BasicLongRunningRequestCheck(sets.NewString("watch"), sets.NewString("attach", "exec", "log", "portforward", "tunnel"))
	if err := in.ServerRun.ApplyTo(generic); err != nil {
		return nil, err
	}
	if err := in.Serving.Apply(generic, in.Listener, in.Certificates.ServingCertFile, in.Certificates.ServingKeyFile); err != nil {
		return nil, err
	}
	if err := in.Tracing.Apply(generic); err != nil {
		return nil, err
	}
	bound, err := boundinstances.New(generic)
	if err != nil {
		return nil, err
	}
	// kube-controller-manager collects garbage of every group that it discovers in a cluster; a
	// standalone server has its own collector.
	config := &apiserver.Config{
		Generic: generic, GarbageCollected: true, HealthPaths: authentication.HealthPaths, Memory: in.Memory.Budget(os.DirFS("/")),
		Traces:  apiserver.Traces{Options: in.Traces},
		Watches: apiserver.WatchLimits{MaxDuration: in.Watches.MaxTimeout, RecheckInterval: in.Watches.RecheckInterval},
	}
	go in.Memory.Collector(os.DirFS("/")).Run(ctx)
	var flowControl informers.SharedInformerFactory
	var sources admission.Sources
	if in.Aggregated() {
		flowControl, sources, err = applyDelegation(ctx, in, bound, config)
	} else {
		flowControl, sources, err = applyStandalone(ctx, in, bound, config)
	}
	if err == nil {
		err = errors.Join(applyPage(in, config), applyPeers(ctx, in, config))
	}
	if err != nil {
		return nil, err
	}
	configuration, err := in.Admission.Configuration(in.AdmissionPlugins())
	if err != nil {
		return nil, err
	}
	sources.Trace = in.Tracing.Transport(generic)
	if err := admission.Apply(generic, scheme, configuration, sources); err != nil {
		return nil, err
	}
	limits.Apply(ctx, generic, &limits.Watches{PerUser: in.Watches.MaxPerUser, All: in.Watches.Max, Exempt: exemptFromWatchLimits})
	if err := applyAudit(in, generic); err != nil {
		return nil, err
	}
	generic.EnableProfiling = in.Features.EnableProfiling
	generic.EnableContentionProfiling = in.Features.EnableContentionProfiling
	generic.DebugSocketPath = in.Features.DebugSocketPath
	applyMetrics(in.Metrics)
	if err := applyFlowControl(ctx, in, flowControl, generic); err != nil {
		return nil, err
	}
	applyBackup(in, generic)
	return config, applyStorage(ctx, in, config)
}

// applyPage serves the page, if it has an address.
func applyPage(in Inputs, config *apiserver.Config) error {
	page, err := onserver.Apply(config.Generic, in.UI, in.Serving.Names(in.ServerRun.ExternalHost))
	if page != nil {
		config.Pages = page
	}
	return err
}

// applyFlowControl configures flow control: with the objects that the server stores in the standalone mode,
// and with fixed ones in the aggregated mode.
func applyFlowControl(ctx context.Context, in Inputs, objects informers.SharedInformerFactory, generic *genericapiserver.Config) error {
	seats, controllers := generic.MaxRequestsInFlight+generic.MaxMutatingRequestsInFlight, controllerUsers()
	if in.Aggregated() {
		generic.FlowControl = apiserver.WithUserShares(apiserver.NewStaticFlowControl(objects, seats, controllers), seats, controllers)
		return nil
	}
	stored, err := apiserver.NewStoredFlowControl(ctx, objects, generic.LoopbackClientConfig, seats)
	if err != nil {
		return err
	}
	generic.FlowControl = apiserver.WithUserShares(stored, seats, controllers)
	return nil
}

func applyAudit(in Inputs, generic *genericapiserver.Config) error {
	if in.OperationsAudit {
		if err := files.MakeDirectory(filepath.Dir(in.AuditFile())); err != nil {
			return fmt.Errorf("--audit: %w", err)
		}
		return apiserver.ApplyOperationsAudit(apiserver.OperationsAudit{File: in.AuditFile(), Controllers: controllerUsers()}, in.Audit, generic)
	}
	return apiserver.ApplyAudit(in.Audit, in.DataDir, generic)
}

// applyDelegation configures stages 1 and 2 of the aggregated mode and returns the informers of
// the cluster and the sources of stage 3.
func applyDelegation(ctx context.Context, in Inputs, bound host.BoundInstances, config *apiserver.Config) (informers.SharedInformerFactory, admission.Sources, error) {
	cluster, err := delegation.New(ctx, delegation.Config{
		Options: in.Cluster, ClientCAFile: in.ClientCAFile, Hosts: host.Options{ApproveRegistration: in.ApproveHosts()}, Plugins: in.AdmissionPlugins(),
		Trace: in.Tracing.Transport(config.Generic),
	})
	if err != nil {
		return nil, admission.Sources{}, err
	}
	config.Traces.Explain = explainDelegated
	config.Objects = cluster.Objects()
	config.Tokens, config.StartChecks = cluster.Tokens(), []healthz.HealthChecker{cluster.Synced()}
	// config.Informers stays nil: the server must get ready although the cluster does not permit
	// admission to read everything. Synced waits for what it permits.
	return cluster.Informers(), cluster.Admission(bound), cluster.Apply(config.Generic, bound)
}

// applyStandalone configures stages 1 and 2 of the standalone mode and returns the informers of
// the server's own storages and the sources of stage 3.
func applyStandalone(ctx context.Context, in Inputs, bound host.BoundInstances, config *apiserver.Config) (informers.SharedInformerFactory, admission.Sources, error) {
	stored, lookup := apiserver.NewStoreInformers(), &apiserver.StoreLookup{}
	objects := stored.Factory
	caFile := in.ClientCAFile
	if caFile == "" {
		caFile = in.Certificates.CAFile
	}
	membership, err := newMembership(ctx, in)
	if err != nil {
		return nil, admission.Sources{}, err
	}
	access, err := in.Callers.Apply(ctx, config.Generic, authentication.StandaloneInputs{
		ClientCAFile: caFile, CertificateDir: in.Certificates.Dir, AnyProxyName: in.Cluster.AnyProxyName, Controllers: in.Identities,
		Lookup: lookup, Live: lookup.Live(), Secrets: objects.Core().V1().Secrets().Lister().Secrets(authentication.BootstrapTokenNamespace),
		TokenCacheTTL: in.Cluster.TokenCacheTTL, Invitations: membership.invitations(),
	})
	if err != nil {
		return nil, admission.Sources{}, err
	}
	roles, err := in.Authorization.Apply(config.Generic, authorization.StandaloneInputs{
		Informers: objects.Rbac().V1(), BoundInstances: bound, Hosts: host.Options{ApproveRegistration: in.ApproveHosts()}, HealthPaths: authentication.HealthPaths,
	})
	if err != nil {
		return nil, admission.Sources{}, err
	}
	config.Traces.Explain = explainRoles(roles.Escalation, objects.Core().V1().Namespaces().Lister())
	scheme, codecs := apiserver.NewBuiltinScheme()
	config.Builtins = &apiserver.Builtins{
		Scheme:      scheme,
		Codecs:      codecs,
		Informers:   stored,
		Lookup:      lookup,
		Tokens:      access.Tokens,
		Audiences:   access.Audiences,
		Authorizer:  config.Generic.Authorization.Authorizer,
		Rules:       roles.Rules,
		Escalation:  roles.Escalation,
		EventTTL:    in.EventTTL,
		Paths:       membership.paths(in, access.Install),
		Bootstrap:   bootstrapRoles(),
		Controllers: controllerUsers(),
	}
	config.Objects = lookup.InstanceObjects()
	config.Informers, config.Tokens, config.StartChecks = objects, access.Requests, []healthz.HealthChecker{roles.Synced}
	sources, err := admission.StandaloneSources(config.Generic, objects, stored.Serves, scheme.PrioritizedVersionsAllGroups(), bound, in.AdmissionPlugins())
	return objects, sources, err
}

// bootstrapRoles returns the roles and bindings that exist from the first start.
func bootstrapRoles() []apiserver.BootstrapObject {
	var objects []apiserver.BootstrapObject
	for _, object := range rbac.BootstrapObjects(controllerRoles()) {
		objects = append(objects, apiserver.BootstrapObject{
			Resource: rbacv1.Resource(object.Resource), Object: object.Object, Reconcile: object.Reconcile,
		})
	}
	return objects
}

// controllerRoles returns the roles of the controllers for RBAC.
func controllerRoles() []rbac.UserRole {
	var roles []rbac.UserRole
	for _, d := range manager.Descriptors() {
		roles = append(roles, rbac.UserRole{User: authentication.ControllerUserPrefix + d.Name, Namespace: d.Namespace, Rules: d.Rules})
	}
	return roles
}

// exemptFromWatchLimits exempts the users that flow control exempts, and the server's own clients:
// no user is served correctly without their watches.
func exemptFromWatchLimits(caller user.Info) bool {
	return slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup) || strings.HasPrefix(caller.GetName(), authentication.ControllerUserPrefix)
}

// controllerUsers returns the users of the controllers, wherever they run.
func controllerUsers() []string {
	names := manager.ClientNames()
	for i, name := range names {
		names[i] = authentication.ControllerUserPrefix + name
	}
	return names
}

// applyMetrics applies the given options. The library's Apply logs an error for an allow-list that
// is not given.
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
