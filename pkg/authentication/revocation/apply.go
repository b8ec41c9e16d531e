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

package revocation

import (
	"errors"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/healthz"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// Apply refuses hosts with revoked certificates and ends their open requests. The list is read
// with configMaps, or from the server itself if configMaps is nil. Apply wraps the
// authenticator, which must be set.
func Apply(generic *genericapiserver.Config, configMaps corev1client.ConfigMapsGetter) error {
	if generic.Authentication.Authenticator == nil {
		return errors.New("revocation of hosts: there is no authenticator yet")
	}
	if configMaps == nil {
		config := rest.CopyConfig(generic.LoopbackClientConfig)
		config.QPS = -1
		client, err := corev1client.NewForConfig(config)
		if err != nil {
			return err
		}
		configMaps = client
	}
	list := New(configMaps)
	generic.Authentication.Authenticator = list.Authenticator(generic.Authentication.Authenticator)
	buildChain := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, c *genericapiserver.Config) http.Handler {
		return list.WithEnd(buildChain(handler, c))
	}
	generic.AddReadyzChecks(healthz.NamedCheck("revoked-hosts", func(*http.Request) error { return list.Ready() }))
	return generic.AddPostStartHook("follow-revoked-hosts", func(hook genericapiserver.PostStartHookContext) error {
		go list.Run(hook)
		return nil
	})
}
