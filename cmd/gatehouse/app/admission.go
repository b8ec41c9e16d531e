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
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	apiserveradmission "k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	genericapiserver "k8s.io/apiserver/pkg/server"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
)

// discoveryInterval is how soon a policy learns of a new kind of parameters, as in the
// library's own options.
const discoveryInterval = 30 * time.Second

// chainSources are where stop 3 reads: all in which the modes differ.
type chainSources struct {
	// objects leads to namespaces, service accounts, webhooks, policies and parameters, as
	// client does.
	objects *rest.Config
	client  kubernetes.Interface
	// informers follow the same objects, and parameters says of which kinds a policy's
	// parameters can be had from them.
	informers  informers.SharedInformerFactory
	parameters func(schema.GroupVersionResource) bool
	services   webhook.ServiceResolver
	bindings   host.Bindings
	missing    func(need string) error
	// served are the versions that the server serves besides those of the fleet.
	served []schema.GroupVersion
	// enabled are the plugins that run.
	enabled []string
}

// applyStandaloneAdmission says what is allowed: stop 3, which reads what this server stores
// itself.
func applyStandaloneAdmission(o options.CompletedOptions, builtins *apiserver.Builtins, bound *bindings, generic *genericapiserver.Config) error {
	// Informers read the storages; the client is for what they do not show yet, such as a
	// namespace that was made a moment ago.
	config := rest.CopyConfig(generic.LoopbackClientConfig)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	return applyAdmission(o, chainSources{
		objects:    config,
		client:     client,
		informers:  builtins.Informers.Factory,
		parameters: builtins.Informers.Serves,
		services:   admission.NoServices{},
		bindings:   bound,
		enabled:    o.Admission.Enabled(),
		served:     builtins.Scheme.PrioritizedVersionsAllGroups(),
	}, generic)
}

// borrowedKinds are the versions of the kinds of Kubernetes' that endpoints of ours take: scale
// endpoints and instances/token. OpenAPI describes them with the endpoints.
func borrowedKinds() map[schema.GroupVersion]schema.GroupVersion {
	return map[schema.GroupVersion]schema.GroupVersion{
		authenticationv1.SchemeGroupVersion: v1alpha1.SchemeGroupVersion,
		autoscalingv1.SchemeGroupVersion:    v1alpha1.SchemeGroupVersion,
	}
}

// applyAdmission builds the chain: stop 3 of both modes.
func applyAdmission(o options.CompletedOptions, s chainSources, generic *genericapiserver.Config) error {
	configuration, err := o.Admission.Configuration()
	if err != nil {
		return err
	}
	// Parameters of policies can be of any kind.
	objects := rest.CopyConfig(s.objects)
	objects.ContentType, objects.AcceptContentTypes = "", ""
	parameters, err := dynamic.NewForConfig(objects)
	if err != nil {
		return err
	}
	loopback, err := kubernetes.NewForConfig(generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	fleet, _ := apiserver.NewFleetScheme()
	borrowed := borrowedKinds()
	served := slices.DeleteFunc(fleet.PrioritizedVersionsAllGroups(), func(version schema.GroupVersion) bool {
		_, found := borrowed[version]
		return found
	})
	served = append(served, s.served...)
	kinds := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.client.Discovery()))
	if err := generic.AddPostStartHook("forget-discovery", func(hook genericapiserver.PostStartHookContext) error {
		go wait.UntilWithContext(hook, kinds.ResetWithContext, discoveryInterval)
		return nil
	}); err != nil {
		return err
	}
	generic.AdmissionControl, err = admission.New(admission.Config{
		Enabled:       s.enabled,
		Configuration: configuration,
		Initializers: apiserveradmission.PluginInitializers{
			initializer.NewAPIServerIDInitializer(generic.APIServerID),
			initializer.New(
				admission.WithOwnSchemas(s.client, loopback.Discovery().RESTClient(), served, borrowed),
				parameters,
				admission.ParameterInformers{SharedInformerFactory: s.informers, Known: s.parameters},
				generic.Authorization.Authorizer, utilfeature.DefaultFeatureGate, generic.EffectiveVersion, generic.DrainedNotify(), kinds,
			),
		},
		Informers: s.informers,
		Services:  s.services,
		Bindings:  s.bindings,
		Missing:   s.missing,
	})
	return err
}
