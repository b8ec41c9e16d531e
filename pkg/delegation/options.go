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

package delegation

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// Options are the flags of the delegation to a cluster.
type Options struct {
	// Kubeconfig is the kubeconfig of the cluster; empty for the service account of the pod.
	Kubeconfig string
	// AnyProxyName accepts any certificate of the front proxy's authority as the front proxy, in
	// both modes.
	AnyProxyName bool
	// NoTokenReview disables bearer tokens.
	NoTokenReview bool
	// TokenCacheTTL, AllowCacheTTL and DenyCacheTTL are the times for which reviews are cached. The
	// standalone mode has the first for its token webhook.
	TokenCacheTTL, AllowCacheTTL, DenyCacheTTL time.Duration
}

// NewOptions returns the defaults, with the cache times of k8s.io/apiserver's delegating options.
func NewOptions() Options {
	return Options{TokenCacheTTL: 10 * time.Second, AllowCacheTTL: 10 * time.Second, DenyCacheTTL: 10 * time.Second}
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "Kubeconfig of the cluster that authenticates and authorizes requests. If empty, the service account of the pod is used.")
	fs.BoolVar(&o.AnyProxyName, "requestheader-allow-any-name", o.AnyProxyName, "Serve even if no common name is set for the front proxy (--requestheader-allowed-names is empty: here, or at the cluster's kube-apiserver). Any holder of a certificate of that authority can then act as any user.")
	fs.BoolVar(&o.NoTokenReview, "disable-token-review", o.NoTokenReview, "Do not send bearer tokens to the cluster for review. Requests through kube-apiserver do not need token reviews.")
	o.AddTokenCacheFlag(fs)
	fs.DurationVar(&o.AllowCacheTTL, "authorization-webhook-cache-authorized-ttl", o.AllowCacheTTL, "How long allowed decisions are cached.")
	fs.DurationVar(&o.DenyCacheTTL, "authorization-webhook-cache-unauthorized-ttl", o.DenyCacheTTL, "How long denied decisions are cached.")
}

// AddTokenCacheFlag adds the flag that both modes have.
func (o *Options) AddTokenCacheFlag(fs *pflag.FlagSet) {
	fs.DurationVar(&o.TokenCacheTTL, "authentication-token-webhook-cache-ttl", o.TokenCacheTTL, "How long responses to token reviews are cached: those of the cluster or, in standalone mode, of --authentication-token-webhook-config-file.")
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	var errs []error
	if o.Kubeconfig != "" {
		errs = append(errs, files.ValidateFlag("kubeconfig", o.Kubeconfig)...)
	}
	for _, ttl := range []struct {
		flag  string
		value time.Duration
	}{
		{"authentication-token-webhook-cache-ttl", o.TokenCacheTTL},
		{"authorization-webhook-cache-authorized-ttl", o.AllowCacheTTL},
		{"authorization-webhook-cache-unauthorized-ttl", o.DenyCacheTTL},
	} {
		if ttl.value < 0 {
			errs = append(errs, fmt.Errorf("--%s must not be negative: use 0 to cache nothing", ttl.flag))
		}
	}
	return errs
}

// ValidateUnused returns an error for each flag that is set although there is no cluster.
// AnyProxyName applies to both modes, and TokenCacheTTL does if there is a token webhook.
func (o *Options) ValidateUnused(tokenWebhook bool) []error {
	var errs []error
	defaults := NewOptions()
	switch {
	case !tokenWebhook && o.TokenCacheTTL != defaults.TokenCacheTTL:
		errs = append(errs, fmt.Errorf("--authentication-token-webhook-cache-ttl has no effect without --authentication-token-webhook-config-file or --mode=aggregated: leave it out"))
	case o.TokenCacheTTL < 0:
		errs = append(errs, fmt.Errorf("--authentication-token-webhook-cache-ttl must not be negative: use 0 to cache nothing"))
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{
		{"kubeconfig", o.Kubeconfig != ""},
		{"disable-token-review", o.NoTokenReview},
		{"authorization-webhook-cache-authorized-ttl", o.AllowCacheTTL != defaults.AllowCacheTTL},
		{"authorization-webhook-cache-unauthorized-ttl", o.DenyCacheTTL != defaults.DenyCacheTTL},
	} {
		if flag.set {
			errs = append(errs, fmt.Errorf("--%s is for --mode=aggregated, which delegates to a cluster: leave it out", flag.name))
		}
	}
	return errs
}
