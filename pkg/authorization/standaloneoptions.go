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

package authorization

import (
	"fmt"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// configFlag names the flag of the file.
const configFlag = "authorization-config"

// StandaloneOptions are the flags of authorization in the standalone mode.
type StandaloneOptions struct {
	// ConfigFile holds an AuthorizationConfiguration; authorization by roles alone where empty.
	ConfigFile string
}

// AddFlags adds the flags.
func (o *StandaloneOptions) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, configFlag, o.ConfigFile, "File with an AuthorizationConfiguration (apiserver.config.k8s.io/v1): the authorizers of types RBAC and Webhook, in their order, which decide after those of hosts' agents. Changes are followed; an invalid one leaves the previous content in force. If empty, roles alone decide.")
}

// Validate returns an error for each invalid flag.
func (o StandaloneOptions) Validate() []error {
	if o.ConfigFile == "" {
		return nil
	}
	return files.ValidateFlag(configFlag, o.ConfigFile)
}

// ValidateUnused returns an error for each flag that is set although a cluster authorizes requests.
func (o StandaloneOptions) ValidateUnused() []error {
	if o.ConfigFile == "" {
		return nil
	}
	return []error{fmt.Errorf("--%s is for --mode=standalone; with --mode=aggregated the cluster authorizes requests: leave it out", configFlag)}
}
