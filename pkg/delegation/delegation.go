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

package delegation

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/pkg/server/healthz"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/readiness"
)

// requestTimeout bounds a request to the cluster other than a watch, so that a cluster that does
// not respond fails requests of callers instead of collecting them.
const requestTimeout = 10 * time.Second

// Config is the input of New.
type Config struct {
	Options
	// ClientCAFile holds further authorities of client certificates; empty for none.
	ClientCAFile string
	// Hosts are the options of the authorizer of hosts.
	Hosts host.Options
	// Plugins are the enabled admission plugins.
	Plugins []string
	// Trace traces the requests to the cluster; nil for none.
	Trace transport.WrapperFunc
}

// Delegation is the delegation to one cluster.
type Delegation struct {
	config Config
	// watches has no timeout, bounded has one.
	watches kubernetes.Interface
	bounded kubernetes.Interface
	rest    *rest.Config

	checker   *Checker
	trust     *authentication.ClusterTrust
	informers informers.SharedInformerFactory
	// plugins are the enabled ones that the cluster has the resources for.
	plugins []string
	synced  healthz.HealthChecker
}

// New connects to the cluster, probes the server's needs there and loads the cluster's trust.
func New(ctx context.Context, c Config) (*Delegation, error) {
	config, err := clientConfig(c.Kubeconfig)
	if err != nil {
		return nil, err
	}
	if c.Trace != nil {
		config.Wrap(c.Trace)
	}
	d := &Delegation{config: c}
	if d.watches, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	d.rest = rest.CopyConfig(config)
	d.rest.Timeout = requestTimeout
	if d.bounded, err = kubernetes.NewForConfig(d.rest); err != nil {
		return nil, err
	}
	d.checker = NewChecker(d.watches, Needs(c.Plugins, !c.NoTokenReview))
	d.checker.Check(ctx)
	if d.trust, err = loadTrust(ctx, d.watches, c.Options, c.ClientCAFile); err != nil {
		return nil, err
	}
	d.informers = informers.NewSharedInformerFactory(d.watches, 0)
	d.plugins = d.servedPlugins(ctx)
	return d, d.watchErrors()
}

// clientConfig returns the configuration of clients of the cluster.
func clientConfig(kubeconfig string) (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	if kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("the cluster cannot be reached: %w; name its kubeconfig with --kubeconfig, or run in a pod with a service account", err)
	}
	config = rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	// Each request to this server may become a request to the cluster, so the client must not
	// limit the rate; the cluster's flow control does.
	config.QPS = -1
	return config, nil
}

// servedPlugins returns the enabled admission plugins without those that need resources which the cluster
// is too old to serve. If the cluster does not respond, a plugin stays and refuses until the
// cluster does.
func (d *Delegation) servedPlugins(ctx context.Context) []string {
	var without []string
	reads(d.config.Plugins, func(plugin admission.Plugin, read admission.Read, resource schema.GroupVersionResource) {
		if !read.Newer || resource != read.Resources[0] || slices.Contains(without, plugin.Name) {
			return
		}
		if served, err := d.checker.Serves(ctx, resource); err == nil && !served {
			klog.Warningf("Admission plugin %s is off: the cluster does not serve %s in %s; restart this server when it does", plugin.Name, resource.Resource, resource.GroupVersion())
			without = append(without, plugin.Name)
		}
	})
	var plugins []string
	for _, name := range d.config.Plugins {
		if !slices.Contains(without, name) {
			plugins = append(plugins, name)
		}
	}
	return plugins
}

// watchErrors makes an error of an informer of admission trigger a probe of the needs, and sets
// the check that all of them have synced.
func (d *Delegation) watchErrors() error {
	synced := map[string]cache.InformerSynced{}
	var failed error
	follow := func(need string, resource schema.GroupVersionResource) {
		generic, err := d.informers.ForResource(resource)
		if err == nil {
			synced[need] = generic.Informer().HasSynced
			err = generic.Informer().SetWatchErrorHandlerWithContext(func(ctx context.Context, r *cache.Reflector, err error) {
				cache.DefaultWatchErrorHandler(ctx, r, err)
				d.checker.Recheck()
			})
		}
		if err != nil {
			failed = fmt.Errorf("informer of %s: %w", resource.Resource, err)
		}
	}
	reads(d.plugins, func(_ admission.Plugin, read admission.Read, resource schema.GroupVersionResource) {
		if need := read.NeedOf(resource); synced[need] == nil {
			follow(need, resource)
		}
	})
	if callsWebhooks(d.plugins) {
		follow(admission.NeedServices, schema.GroupVersionResource{Version: "v1", Resource: "services"})
	}
	d.synced = syncedOnce(synced, d.checker.Missing)
	return failed
}

// Informers read the cluster's objects. Run starts them.
func (d *Delegation) Informers() informers.SharedInformerFactory { return d.informers }

// Synced passes once admission has read what the cluster permits it to read.
func (d *Delegation) Synced() healthz.HealthChecker { return d.synced }

// Tokens requests tokens of the cluster's service accounts.
func (d *Delegation) Tokens() authentication.ClusterTokens {
	return authentication.ClusterTokens{Client: d.bounded}
}

// Admission returns the cluster as the source of the admission chain.
func (d *Delegation) Admission(bound host.BoundInstances) admission.Sources {
	return admission.Sources{
		Objects:   d.rest,
		Client:    d.watches,
		Informers: d.informers,
		// The factory's informers would not stop after the last policy is deleted.
		Parameters:     func(schema.GroupVersionResource) bool { return false },
		Services:       d.services(),
		BoundInstances: bound,
		Missing:        d.checker.Missing,
		Plugins:        d.plugins,
	}
}

// services resolves the cluster's services if a plugin calls webhooks.
func (d *Delegation) services() webhook.ServiceResolver {
	if !callsWebhooks(d.plugins) {
		return admission.NoServices{}
	}
	services := d.informers.Core().V1().Services()
	return admission.ClusterServices{Services: services.Lister(), Synced: services.Informer().HasSynced, Missing: d.checker.Missing}
}

// Apply sets the authenticator and the authorizer of a server, refuses revoked hosts, adds the
// checks of the needs to /readyz, and adds Run as a post-start hook.
func (d *Delegation) Apply(generic *genericapiserver.Config, bound host.BoundInstances) error {
	generic.AddReadyzChecks(d.checker.HealthChecks()...)
	buildChain := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return buildChain(d.checker.WithNotes(handler, readiness.MayGet(c.Authorization.Authorizer, NotesPath)), c)
	}
	if err := d.applyAccess(generic, bound); err != nil {
		return err
	}
	if err := revocation.Apply(generic, d.bounded.CoreV1()); err != nil {
		return err
	}
	return generic.AddPostStartHook("follow-cluster", func(hook genericapiserver.PostStartHookContext) error {
		go d.Run(hook)
		return nil
	})
}

func (d *Delegation) applyAccess(generic *genericapiserver.Config, bound host.BoundInstances) error {
	retry := *genericoptions.DefaultAuthWebhookRetryBackoff()
	delegated := authentication.Delegated{
		Trust:         d.trust,
		TokenCacheTTL: d.config.TokenCacheTTL,
		TokenRetry:    retry,
		AnyProxyName:  d.config.AnyProxyName,
	}
	if !d.config.NoTokenReview {
		delegated.Client = d.bounded
	}
	// The TLS handshake requests certificates of these authorities; serving runs their providers.
	authorities := []dynamiccertificates.CAContentProvider{d.trust.ClientCA, d.trust.ProxyCA}
	if d.config.ClientCAFile != "" {
		own, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-file", d.config.ClientCAFile)
		if err != nil {
			return fmt.Errorf("--client-ca-file: %w", err)
		}
		delegated.ClientCA = own
		authorities = append(authorities, own)
	}
	for _, authority := range authorities {
		if err := generic.Authentication.ApplyClientCert(authority, generic.SecureServing); err != nil {
			return err
		}
	}
	// The filter that removes identity headers from requests needs their names.
	generic.Authentication.RequestHeaderConfig = &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   d.trust.ProxyCA,
		UsernameHeaders:     headerrequest.StringSliceProviderFunc(d.trust.UsernameHeaders),
		UIDHeaders:          headerrequest.StringSliceProviderFunc(d.trust.UIDHeaders),
		GroupHeaders:        headerrequest.StringSliceProviderFunc(d.trust.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(d.trust.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StringSliceProviderFunc(d.trust.AllowedNames),
	}
	var err error
	if generic.Authentication.Authenticator, err = authentication.NewDelegated(delegated); err != nil {
		return err
	}
	generic.Authorization.Authorizer, err = authorization.NewDelegated(authorization.Delegated{
		Client:         d.bounded.AuthorizationV1(),
		BoundInstances: bound,
		Hosts:          d.config.Hosts,
		AllowCacheTTL:  d.config.AllowCacheTTL,
		DenyCacheTTL:   d.config.DenyCacheTTL,
		Retry:          retry,
		HealthPaths:    authentication.HealthPaths,
	})
	return err
}

// Run follows the cluster's objects and trust and probes the needs until the context ends.
func (d *Delegation) Run(ctx context.Context) {
	d.informers.Start(ctx.Done())
	go d.trust.Run(ctx)
	d.checker.Run(ctx)
}
