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
	"net/http"
	"slices"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
)

// applyLimits bounds what clients may hold of the process. The listener is the one that
// applyServing has wrapped, and the authenticator must have been set.
func applyLimits(ctx context.Context, o options.CompletedOptions, generic *genericapiserver.Config) {
	watches := &limits.Watches{PerUser: o.MaxWatchesPerUser, All: o.MaxWatches, Exempt: exemptFromWatchLimits}
	connections, limited := generic.SecureServing.Listener.(*limits.Connections)
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
		go limits.Observe(ctx, connections, watches)
	}
}

// exemptFromWatchLimits are those whom flow control exempts, and the server's own clients:
// without their watches nobody else is served right.
func exemptFromWatchLimits(caller user.Info) bool {
	return slices.Contains(caller.GetGroups(), user.SystemPrivilegedGroup) || strings.HasPrefix(caller.GetName(), authentication.ControllerUserPrefix)
}
