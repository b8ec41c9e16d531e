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
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
	validatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/validating"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
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
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/resourcequota"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
	"github.com/gatehouse-dev/gatehouse/pkg/preflight"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/authentication/tokenrequest"
)

// clusterTimeout bounds a question to the cluster other than a watch, so that a cluster
// that hangs fails requests and does not collect them.
const clusterTimeout = 10 * time.Second

// trustRetry is how soon the cluster is asked again whom it trusts.
const trustRetry = 250 * time.Millisecond

// ClusterNeeds is everything that the server must be able to do in the cluster. What it may
// do there is artifacts/deploy/rbac.yaml; a test holds the two equal.
func ClusterNeeds(o options.CompletedOptions) []preflight.Need {
	const cure = "apply artifacts/deploy/rbac.yaml"
	needs := []preflight.Need{{
		Name:      "trust",
		Verbs:     []string{"get", "list", "watch"},
		Resource:  schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Namespace: authentication.TrustNamespace,
		Object:    authentication.TrustConfigMap,
		Without:   "a new certificate of the front proxy or a new users' authority is not noticed, and callers are refused with 401 once the old one is gone",
		Cure:      cure,
	}, {
		Name:     "access-reviews",
		Verbs:    []string{"create"},
		Resource: schema.GroupVersionResource{Group: "authorization.k8s.io", Version: "v1", Resource: "subjectaccessreviews"},
		Without:  "nobody but system:masters may do anything",
		Cure:     cure,
		Vital:    true,
	}, {
		Name:      "revoked-hosts",
		Verbs:     []string{"get"},
		Resource:  schema.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Namespace: revocation.Namespace,
		Object:    revocation.ConfigMap,
		Without:   "hosts whose certificates were revoked (gatehouse host revoke) are let in",
		Cure:      cure,
	}}
	if slices.Contains(o.Admission.Enabled(), resourcequota.PluginName) {
		needs = append(needs, preflight.Need{
			Name:     "resource-quota-status",
			Verbs:    []string{"update"},
			Resource: schema.GroupVersionResource{Version: "v1", Resource: "resourcequotas/status"},
			Without:  "nothing can be created in a namespace that has a resource quota",
			Cure:     cure,
		})
	}
	needs = append(needs, admissionNeeds(o, cure)...)
	if asksWebhooks(o.Admission.Enabled()) {
		needs = append(needs, preflight.Need{
			Name:     admission.NeedServices,
			Verbs:    []string{"list", "watch"},
			Resource: schema.GroupVersionResource{Version: "v1", Resource: "services"},
			Without:  "webhooks that name a service cannot be called",
			Cure:     cure,
		})
	}
	if !o.Cluster.NoTokenReview {
		needs = append(needs, preflight.Need{
			Name:     "token-reviews",
			Verbs:    []string{"create"},
			Resource: schema.GroupVersionResource{Group: "authentication.k8s.io", Version: "v1", Resource: "tokenreviews"},
			Without:  "callers who come directly with a bearer token are refused with 401",
			Cure:     cure,
		})
	}
	return needs
}

// asksWebhooks says whether there is anybody who would look for a service.
func asksWebhooks(enabled []string) bool {
	return slices.Contains(enabled, mutatingwebhook.PluginName) || slices.Contains(enabled, validatingwebhook.PluginName)
}

// admissionNeeds are what admission plugins read. A plugin that is not asked for needs nothing.
func admissionNeeds(o options.CompletedOptions, cure string) []preflight.Need {
	var needs []preflight.Need
	for _, plugin := range admission.Plugins() {
		if !slices.Contains(o.Admission.Enabled(), plugin.Name) {
			continue
		}
		for _, read := range plugin.Reads {
			verbs := []string{"list", "watch"}
			if read.Live {
				verbs = []string{"get", "list", "watch"}
			}
			for _, resource := range read.Resources {
				needs = append(needs, preflight.Need{
					Name: read.NeedOf(resource), Verbs: verbs, Resource: resource, Without: read.Without, Cure: cure, Newer: read.Newer,
				})
			}
		}
	}
	return needs
}

// applyCluster asks the cluster who callers are and what they may, and reads its
// namespaces for admission: stops 1 to 3 of the aggregated mode. The check passes when
// admission has read what the cluster lets it read.
func applyCluster(ctx context.Context, o options.CompletedOptions, generic *genericapiserver.Config) (informers.SharedInformerFactory, tokenrequest.Issuer, healthz.HealthChecker, error) {
	config, err := clusterConfig(o.Cluster.Kubeconfig)
	if err != nil {
		return nil, nil, nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, err
	}
	// Questions that a request waits for are bounded; watches must not be.
	config = rest.CopyConfig(config)
	config.Timeout = clusterTimeout
	reviews, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nil, nil, err
	}
	checker := preflight.NewChecker(client, ClusterNeeds(o))
	checker.Check(ctx)
	generic.AddReadyzChecks(checker.HealthChecks()...)
	buildChain := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return buildChain(checker.WithNotes(handler, mayReadNotes(c.Authorization.Authorizer)), c)
	}

	trust, err := loadTrust(ctx, client, o)
	if err != nil {
		return nil, nil, nil, err
	}
	bound, err := newBindings(generic)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := applyDelegatedAccess(o, reviews, trust, bound, generic); err != nil {
		return nil, nil, nil, err
	}
	if err := applyRevocation(generic, reviews.CoreV1()); err != nil {
		return nil, nil, nil, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	without := notServed(ctx, checker)
	enabled := slices.DeleteFunc(o.Admission.Enabled(), func(name string) bool { return slices.Contains(without, name) })
	if err := applyAdmission(o, chainSources{
		objects:   config,
		client:    client,
		informers: factory,
		// The factory's informers would stay when the last policy is gone.
		parameters: func(schema.GroupVersionResource) bool { return false },
		services:   clusterServices(enabled, factory, checker),
		bindings:   bound,
		missing:    checker.Missing,
		enabled:    enabled,
	}, generic); err != nil {
		return nil, nil, nil, err
	}
	seen, err := seenOnce(enabled, factory, checker)
	if err != nil {
		return nil, nil, nil, err
	}
	return factory, authentication.ClusterTokens{Client: reviews}, seen, generic.AddPostStartHook("follow-cluster", func(hook genericapiserver.PostStartHookContext) error {
		factory.Start(hook.Done())
		go trust.Run(hook)
		go checker.Run(hook)
		return nil
	})
}

// mayReadNotes asks what the open path /readyz does not: whether the caller may read what is
// missing in the cluster.
func mayReadNotes(access authorizer.Authorizer) func(*http.Request) bool {
	return func(r *http.Request) bool {
		caller, ok := request.UserFrom(r.Context())
		if !ok {
			return false
		}
		decision, _, err := access.Authorize(r.Context(), authorizer.AttributesRecord{User: caller, Verb: "get", Path: preflight.NotesPath})
		return err == nil && decision == authorizer.DecisionAllow
	}
}

// clusterServices follows the cluster's services only where somebody looks for them.
func clusterServices(enabled []string, factory informers.SharedInformerFactory, checker *preflight.Checker) webhook.ServiceResolver {
	if !asksWebhooks(enabled) {
		return admission.NoServices{}
	}
	services := factory.Core().V1().Services()
	return admission.ClusterServices{Services: services.Lister(), Synced: services.Informer().HasSynced, Missing: checker.Missing}
}

// seenOnce keeps /readyz red until admission has seen once all that the cluster lets it see:
// before, writes would wait. What it may not see keeps nobody from reading, and later a new
// right must not take the server out of service. The library's own check would wait for ever.
func seenOnce(enabled []string, factory informers.SharedInformerFactory, checker *preflight.Checker) (healthz.HealthChecker, error) {
	synced := map[string]cache.InformerSynced{}
	for _, plugin := range admission.Plugins() {
		if !slices.Contains(enabled, plugin.Name) {
			continue
		}
		for _, read := range plugin.Reads {
			for _, resource := range read.Resources {
				generic, err := factory.ForResource(resource)
				if err != nil {
					return nil, err
				}
				synced[read.NeedOf(resource)] = generic.Informer().HasSynced
			}
		}
	}
	if asksWebhooks(enabled) {
		synced[admission.NeedServices] = factory.Core().V1().Services().Informer().HasSynced
	}
	var once atomic.Bool
	return healthz.NamedCheck("cluster-objects", func(*http.Request) error {
		if once.Load() {
			return nil
		}
		for need, hasSynced := range synced {
			if checker.Missing(need) == nil && !hasSynced() {
				return fmt.Errorf("%s have not been read yet", need)
			}
		}
		once.Store(true)
		return nil
	}), nil
}

// notServed are the admission plugins that do without because the cluster is too old. Where
// it does not answer, a plugin stays, and refuses until it does.
func notServed(ctx context.Context, checker *preflight.Checker) []string {
	var without []string
	for _, plugin := range admission.Plugins() {
		for _, read := range plugin.Reads {
			if !read.Newer {
				continue
			}
			if served, err := checker.Serves(ctx, read.Resources[0]); err == nil && !served {
				klog.Warningf("Admission plugin %s is off: the cluster does not serve %s in %s; restart this server when it does", plugin.Name, read.Resources[0].Resource, read.Resources[0].GroupVersion())
				without = append(without, plugin.Name)
				break
			}
		}
	}
	return without
}

func clusterConfig(kubeconfig string) (*rest.Config, error) {
	config, err := rest.InClusterConfig()
	if kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
	}
	if err != nil {
		return nil, fmt.Errorf("the cluster cannot be reached: %w; name its kubeconfig with --kubeconfig, or run in a pod with a service account", err)
	}
	config = rest.CopyConfig(config)
	config.ContentType = "application/vnd.kubernetes.protobuf"
	// Each request of ours may become one of theirs, so the client must not hold them back;
	// the cluster's own flow control judges them.
	config.QPS = -1
	return config, nil
}

// loadTrust reads whom the cluster trusts and refuses to start on what would let anybody
// be anybody.
func loadTrust(ctx context.Context, client kubernetes.Interface, o options.CompletedOptions) (*authentication.ClusterTrust, error) {
	trust, err := authentication.NewClusterTrust(client)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterTimeout)
	defer cancel()
	// A kube-apiserver writes the ConfigMap shortly after its own first start.
	var last error
	if err := wait.PollUntilContextCancel(ctx, trustRetry, true, func(ctx context.Context) (bool, error) {
		err := trust.Load(ctx)
		if last == nil || ctx.Err() == nil {
			last = err // the end of the context is no reason of its own
		}
		return err == nil, nil
	}); err != nil {
		return nil, last
	}
	if err := checkProxyAuthority(trust, o); err != nil {
		return nil, err
	}
	if len(trust.AllowedNames()) == 0 && !o.Cluster.AnyProxyName {
		return nil, fmt.Errorf("the cluster names no common name for its front proxy, so any certificate of that authority could act as anybody: start kube-apiserver with --requestheader-allowed-names, or accept it with --requestheader-allow-any-name")
	}
	return trust, nil
}

// checkProxyAuthority refuses a front proxy's authority that also signs users' certificates,
// unless names are given for the front proxy: any user could act as anybody. With names, a user
// with such a name could, so the log says it.
func checkProxyAuthority(trust *authentication.ClusterTrust, o options.CompletedOptions) error {
	users := map[string][]byte{"the cluster's client-ca-file": trust.ClientCA.CurrentCABundleContent()}
	if o.ClientCAFile != "" {
		content, err := os.ReadFile(o.ClientCAFile)
		if err != nil {
			return fmt.Errorf("--client-ca-file: %w", err)
		}
		users["--client-ca-file"] = content
	}
	for whose, bundle := range users {
		if len(bundle) == 0 {
			continue
		}
		shared, err := authentication.SharedAuthority(bundle, trust.ProxyCA.CurrentCABundleContent())
		if err != nil {
			return fmt.Errorf("%s and the cluster's requestheader-client-ca-file cannot be compared: %w", whose, err)
		}
		switch {
		case shared == "":
		case len(trust.AllowedNames()) == 0:
			return fmt.Errorf("the authority of the cluster's front proxy (%s) is also an authority of users' certificates (%s), and no common name is given for the front proxy, so any user could act as anybody: give the front proxy an authority of its own (kube-apiserver --requestheader-client-ca-file), or at least start kube-apiserver with --requestheader-allowed-names", shared, whose)
		default:
			klog.Warningf("The authority of the cluster's front proxy (%s) is also an authority of users' certificates (%s): a user whose certificate has one of the common names %v can act as anybody; give the front proxy an authority of its own (kube-apiserver --requestheader-client-ca-file)", shared, whose, trust.AllowedNames())
		}
	}
	return nil
}

func applyDelegatedAccess(o options.CompletedOptions, reviews kubernetes.Interface, trust *authentication.ClusterTrust, bound *bindings, generic *genericapiserver.Config) error {
	retry := *genericoptions.DefaultAuthWebhookRetryBackoff()
	delegated := authentication.Delegated{
		Trust:         trust,
		TokenCacheTTL: o.Cluster.TokenCacheTTL,
		TokenRetry:    retry,
		AnyProxyName:  o.Cluster.AnyProxyName,
	}
	if !o.Cluster.NoTokenReview {
		delegated.Client = reviews
	}
	// What is trusted here is also what the server asks for in the TLS handshake; serving
	// runs and follows these providers.
	authorities := []dynamiccertificates.CAContentProvider{trust.ClientCA, trust.ProxyCA}
	if o.ClientCAFile != "" {
		own, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-file", o.ClientCAFile)
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
	// The filter that strips identity headers from requests must know what they are called.
	generic.Authentication.RequestHeaderConfig = &authenticatorfactory.RequestHeaderConfig{
		CAContentProvider:   trust.ProxyCA,
		UsernameHeaders:     headerrequest.StringSliceProviderFunc(trust.UsernameHeaders),
		UIDHeaders:          headerrequest.StringSliceProviderFunc(trust.UIDHeaders),
		GroupHeaders:        headerrequest.StringSliceProviderFunc(trust.GroupHeaders),
		ExtraHeaderPrefixes: headerrequest.StringSliceProviderFunc(trust.ExtraHeaderPrefixes),
		AllowedClientNames:  headerrequest.StringSliceProviderFunc(trust.AllowedNames),
	}
	var err error
	if generic.Authentication.Authenticator, err = authentication.NewDelegated(delegated); err != nil {
		return err
	}
	generic.Authorization.Authorizer, err = authorization.NewDelegated(authorization.Delegated{
		Client:        reviews.AuthorizationV1(),
		Bindings:      bound,
		Hosts:         host.Options{ApproveRegistration: o.ApproveHosts()},
		AllowCacheTTL: o.Cluster.AllowCacheTTL,
		DenyCacheTTL:  o.Cluster.DenyCacheTTL,
		Retry:         retry,
		HealthPaths:   authentication.HealthPaths,
	})
	return err
}
