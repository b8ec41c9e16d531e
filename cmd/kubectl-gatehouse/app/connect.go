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
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	fleetclient "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
)

// addFlags adds the connection and logging flags of kubectl, under the same names.
func (p *plugin) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&p.loading.ExplicitPath, "kubeconfig", "", "Path to the kubeconfig; if empty, $KUBECONFIG or ~/.kube/config.")
	names := clientcmd.RecommendedConfigOverrideFlags("")
	names.ClusterOverrideFlags.APIServer.ShortName = "s"
	clientcmd.BindOverrideFlags(p.overrides, fs, names)
	fs.StringArrayVar(&p.userExtras, "as-user-extra", nil, "User extras to impersonate for the operation, as KEY=VALUE; this flag can be repeated to specify multiple values for the same key.")
	fs.BoolVar(&p.warningsAsErrors, "warnings-as-errors", false, "Treat warnings received from the server as errors and exit with a non-zero exit code")
	logging := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(logging)
	for _, name := range []string{"v", "vmodule"} {
		fs.AddGoFlag(logging.Lookup(name))
	}
}

// loader combines the kubeconfig with the flags.
func (p *plugin) loader() (clientcmd.ClientConfig, error) {
	for _, extra := range p.userExtras {
		key, value, ok := strings.Cut(extra, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--as-user-extra=%s is no pair: write KEY=VALUE", extra)
		}
		if p.overrides.AuthInfo.ImpersonateUserExtra == nil {
			p.overrides.AuthInfo.ImpersonateUserExtra = map[string][]string{}
		}
		p.overrides.AuthInfo.ImpersonateUserExtra[key] = append(p.overrides.AuthInfo.ImpersonateUserExtra[key], value)
	}
	p.userExtras = nil // added
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(p.loading, p.overrides), nil
}

// config returns the client configuration and the namespace of the command.
func (p *plugin) config() (*rest.Config, string, error) {
	loader, err := p.loader()
	if err != nil {
		return nil, "", err
	}
	namespace, _, err := loader.Namespace()
	var config *rest.Config
	if err == nil {
		config, err = loader.ClientConfig()
	}
	if clientcmd.IsEmptyConfig(err) {
		return nil, "", errors.New("no server is configured: name a kubeconfig with --kubeconfig or $KUBECONFIG; \"gatehouse up\" prints the path of its kubeconfig")
	}
	if err != nil {
		return nil, "", err
	}
	config.UserAgent = "kubectl-gatehouse/" + productVersion()
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	config.WarningHandler = p.warnings
	config.QPS = -1 // the server's flow control is enough, and a limiter has a separate error for a passed deadline
	return config, namespace, nil
}

// connect returns a client and the namespace of the command.
func (p *plugin) connect() (fleetclient.FleetV1alpha1Interface, string, error) {
	config, namespace, err := p.config()
	if err != nil {
		return nil, "", err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return nil, "", err
	}
	return client.FleetV1alpha1(), namespace, nil
}

// checkWarnings implements --warnings-as-errors.
func (p *plugin) checkWarnings(err error) error {
	if count := p.warnings.WarningCount(); err == nil && p.warningsAsErrors && count > 0 {
		return fmt.Errorf("the server's answers carried %d warning(s), and --warnings-as-errors is set", count)
	}
	return err
}
