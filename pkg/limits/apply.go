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

package limits

import (
	"context"
	"net/http"

	genericapiserver "k8s.io/apiserver/pkg/server"
)

// Apply bounds connections, slow bodies and watches of a server, and exports their metrics until
// the context ends. The authenticator must be set. Connections are bounded if the listener is
// a *Connections.
func Apply(ctx context.Context, generic *genericapiserver.Config, watches *Watches) {
	connections, limited := generic.SecureServing.Listener.(*Connections)
	if limited && generic.Authentication.Authenticator != nil {
		generic.Authentication.Authenticator = connections.Authenticator(generic.Authentication.Authenticator)
	}
	build := generic.BuildHandlerChainFunc
	generic.BuildHandlerChainFunc = func(handler http.Handler, config *genericapiserver.Config) http.Handler {
		chain := build(watches.Wrap(handler, config.LongRunningFunc, config.Serializer), config)
		if limited {
			chain = connections.Wrap(chain)
		}
		return chain
	}
	if limited {
		go Observe(ctx, connections, watches)
	}
}
