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

package admission

import (
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/admission"
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
	"k8s.io/client-go/transport"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authorization/host"
)

// discoveryInterval is the time until a policy finds a new kind of parameters, as in the library's
// own options.
const discoveryInterval = 30 * time.Second

// Sources are the objects that the chain reads: the whole difference between the two modes.
type Sources struct {
	// Objects and Client read namespaces, service accounts, webhooks, policies and parameters.
	Objects *rest.Config
	Client  kubernetes.Interface
	// Informers read the same objects. Parameters reports for which resources they serve as the
	// informers of a policy's parameters.
	Informers  informers.SharedInformerFactory
	Parameters func(schema.GroupVersionResource) bool
	// Services resolves the services of webhooks.
	Services webhook.ServiceResolver
	// BoundInstances reports whether an instance is bound to a host.
	BoundInstances host.BoundInstances
	// Missing returns why a preflight need is not met; nil without a cluster.
	Missing func(need string) error
	// Served are the versions that the server serves besides those of the fleet.
	Served []schema.GroupVersion
	// Plugins are the enabled plugins.
	Plugins []string
	// Trace traces the requests to webhooks; nil for none.
	Trace transport.WrapperFunc
}

// StandaloneSources returns the server itself as the source of the chain. Informers read the
// storages; the client reads objects that the informers do not have yet, such as a new namespace.
func StandaloneSources(generic *genericapiserver.Config, objects informers.SharedInformerFactory, parameters func(schema.GroupVersionResource) bool, served []schema.GroupVersion, bound host.BoundInstances, plugins []string) (Sources, error) {
	config := rest.CopyConfig(generic.LoopbackClientConfig)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	return Sources{
		Objects: config, Client: client, Informers: objects, Parameters: parameters, Services: NoServices{},
		BoundInstances: bound, Served: served, Plugins: plugins,
	}, err
}

// borrowedKinds are the versions of Kubernetes' kinds in the scheme of the fleet: scale endpoints
// and instances/token take them. OpenAPI describes them with the endpoints.
func borrowedKinds() map[schema.GroupVersion]schema.GroupVersion {
	return map[schema.GroupVersion]schema.GroupVersion{
		authenticationv1.SchemeGroupVersion: v1alpha1.SchemeGroupVersion,
		autoscalingv1.SchemeGroupVersion:    v1alpha1.SchemeGroupVersion,
	}
}

// Apply builds the chain of a server that serves the scheme of the fleet. The authorizer must be
// set.
func Apply(generic *genericapiserver.Config, fleet *runtime.Scheme, configuration admission.ConfigProvider, s Sources) error {
	// Parameters of policies can be of any kind.
	objects := rest.CopyConfig(s.Objects)
	objects.ContentType, objects.AcceptContentTypes = "", ""
	parameters, err := dynamic.NewForConfig(objects)
	if err != nil {
		return err
	}
	loopback, err := kubernetes.NewForConfig(generic.LoopbackClientConfig)
	if err != nil {
		return err
	}
	borrowed := borrowedKinds()
	served := slices.DeleteFunc(fleet.PrioritizedVersionsAllGroups(), func(version schema.GroupVersion) bool {
		_, found := borrowed[version]
		return found
	})
	served = append(served, s.Served...)
	kinds := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(s.Client.Discovery()))
	if err := generic.AddPostStartHook("forget-discovery", func(hook genericapiserver.PostStartHookContext) error {
		go wait.UntilWithContext(hook, kinds.ResetWithContext, discoveryInterval)
		return nil
	}); err != nil {
		return err
	}
	generic.AdmissionControl, err = New(Config{
		Enabled:       s.Plugins,
		Configuration: configuration,
		Initializers: admission.PluginInitializers{
			initializer.NewAPIServerIDInitializer(generic.APIServerID),
			initializer.New(
				WithOwnSchemas(s.Client, loopback.Discovery().RESTClient(), served, borrowed),
				parameters,
				ParameterInformers{SharedInformerFactory: s.Informers, Known: s.Parameters},
				generic.Authorization.Authorizer, utilfeature.DefaultFeatureGate, generic.EffectiveVersion, generic.DrainedNotify(), kinds,
			),
		},
		Informers:      s.Informers,
		Parameters:     s.Parameters,
		Services:       s.Services,
		Trace:          s.Trace,
		BoundInstances: s.BoundInstances,
		Missing:        s.Missing,
	})
	return err
}
