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

package options

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// Cluster says how the aggregated mode deals with the cluster that it serves.
type Cluster struct {
	// Kubeconfig leads to the cluster; the service account of the pod where empty.
	Kubeconfig string
	// AnyProxyName takes any certificate of the front proxy's authority for the front proxy,
	// in both modes.
	AnyProxyName bool
	// NoTokenReview does without bearer tokens.
	NoTokenReview bool
	// TokenCacheTTL, AllowCacheTTL and DenyCacheTTL are how long the cluster's answers are kept.
	TokenCacheTTL, AllowCacheTTL, DenyCacheTTL time.Duration
}

// newCluster has the cache times of k8s.io/apiserver's delegating options.
func newCluster() Cluster {
	return Cluster{TokenCacheTTL: 10 * time.Second, AllowCacheTTL: 10 * time.Second, DenyCacheTTL: 10 * time.Second}
}

func (c *Cluster) addFlags(fs *pflag.FlagSet) {
	fs.StringVar(&c.Kubeconfig, "kubeconfig", c.Kubeconfig, "Kubeconfig of the cluster that is asked who callers are and what they may. Where empty, the service account of the pod.")
	fs.BoolVar(&c.AnyProxyName, "requestheader-allow-any-name", c.AnyProxyName, "Serve although no common name is given for the front proxy (--requestheader-allowed-names is empty: here, or at the cluster's kube-apiserver). Whoever has any certificate of that authority can then act as anybody.")
	fs.BoolVar(&c.NoTokenReview, "disable-token-review", c.NoTokenReview, "Do not ask the cluster about bearer tokens. Callers that come through kube-apiserver do not need it.")
	fs.DurationVar(&c.TokenCacheTTL, "authentication-token-webhook-cache-ttl", c.TokenCacheTTL, "How long the cluster's answer about a token is kept.")
	fs.DurationVar(&c.AllowCacheTTL, "authorization-webhook-cache-authorized-ttl", c.AllowCacheTTL, "How long the cluster's answer is kept that a caller may.")
	fs.DurationVar(&c.DenyCacheTTL, "authorization-webhook-cache-unauthorized-ttl", c.DenyCacheTTL, "How long the cluster's answer is kept that a caller may not.")
}

func (c *Cluster) validate() []error {
	var errs []error
	if c.Kubeconfig != "" {
		errs = append(errs, readable("kubeconfig", c.Kubeconfig)...)
	}
	for _, ttl := range []struct {
		flag  string
		value time.Duration
	}{
		{"authentication-token-webhook-cache-ttl", c.TokenCacheTTL},
		{"authorization-webhook-cache-authorized-ttl", c.AllowCacheTTL},
		{"authorization-webhook-cache-unauthorized-ttl", c.DenyCacheTTL},
	} {
		if ttl.value < 0 {
			errs = append(errs, fmt.Errorf("--%s must not be negative: use 0 to keep nothing", ttl.flag))
		}
	}
	return errs
}

func (c *Cluster) validateUnused() []error {
	var errs []error
	defaults := newCluster()
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"kubeconfig", c.Kubeconfig != ""},
		{"disable-token-review", c.NoTokenReview},
		{"authentication-token-webhook-cache-ttl", c.TokenCacheTTL != defaults.TokenCacheTTL},
		{"authorization-webhook-cache-authorized-ttl", c.AllowCacheTTL != defaults.AllowCacheTTL},
		{"authorization-webhook-cache-unauthorized-ttl", c.DenyCacheTTL != defaults.DenyCacheTTL},
	} {
		if flag.set {
			errs = append(errs, fmt.Errorf("--%s is for --mode=aggregated, which asks a cluster: leave it out", flag.name))
		}
	}
	return errs
}
