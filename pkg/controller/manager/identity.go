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

package manager

import (
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/controller/leader"
)

// TokenConfig returns the configuration of a controller in the server's process: a separate user
// with a token of this process.
func TokenConfig(loopback *rest.Config, name, token string) *rest.Config {
	config := clientConfig(rest.AnonymousClientConfig(loopback), name)
	config.BearerToken = token
	return config
}

// impersonating returns the configuration of a controller that a user impersonates.
func impersonating(config *rest.Config, userPrefix string) func(name string) *rest.Config {
	return func(name string) *rest.Config {
		impersonated := clientConfig(rest.CopyConfig(config), name)
		impersonated.Impersonate = rest.ImpersonationConfig{UserName: userPrefix + name}
		return impersonated
	}
}

// electionConfig returns the configuration with which a replica accesses its lease: the user of the
// kubeconfig.
func electionConfig(config *rest.Config) *rest.Config {
	return clientConfig(rest.CopyConfig(config), leader.Name)
}

// clientConfig sets the common settings of all controllers: protobuf if the server supports it, and no
// rate limit, because the server has flow control.
func clientConfig(config *rest.Config, name string) *rest.Config {
	config.UserAgent = "gatehouse/" + name
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.QPS = -1
	// As in kube-controller-manager: otherwise long lists and, from Kubernetes 1.37 on
	// (WatchListCompression), the events of a watch with initial events are compressed, which
	// costs more than a local network.
	config.DisableCompression = true
	return config
}
