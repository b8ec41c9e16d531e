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

package structured

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	authorizationmetrics "k8s.io/apiserver/pkg/authorization/metrics"
	"k8s.io/apiserver/pkg/authorization/union"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	configmetrics "k8s.io/apiserver/pkg/server/options/authorizationconfig/metrics"
	"k8s.io/apiserver/pkg/util/filesystem"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/transports"
)

// pollInterval is the time after which the file is read if the file system reports no change; it is
// that of kube-apiserver.
const pollInterval = time.Minute

// maxReview bounds the response of a webhook, in bytes.
const maxReview = 1 << 20

var errReviewTooLarge = fmt.Errorf("the response is larger than %d bytes", maxReview)

// RolesAuthorizer decides by roles and bindings, and lists the rules of a user.
type RolesAuthorizer interface {
	authorizer.Authorizer
	authorizer.RuleResolver
}

// Config has the inputs of a Chain.
type Config struct {
	// File holds an AuthorizationConfiguration.
	File string
	// Fixed precede the authorizers of the file. Their decisions do not depend on it.
	Fixed []union.NamedAuthorizer
	// Roles is the authorizer of type RBAC.
	Roles RolesAuthorizer
	// ServerID is the label of metrics.
	ServerID string
}

// Chain is an authorizer that decides by the current version of a file. It is safe for concurrent use.
type Chain struct {
	config   Config
	reserved sets.Set[string]
	compiler authorizationcel.Compiler
	current  atomic.Pointer[version]
	// data is the content that was read last, valid or not. Only New and reload use it.
	data []byte
}

// version is the authorizers of one content of the file.
type version struct {
	authorizer.Authorizer
	rules authorizer.RuleResolver
}

var _ RolesAuthorizer = &Chain{}

// New reads the file and returns its authorizers. The error names the field of the file and the cure.
func New(c Config) (*Chain, error) {
	if c.Roles == nil {
		return nil, errors.New("the authorizers of a file need the authorizer of roles")
	}
	chain := &Chain{config: c, reserved: sets.New[string](), compiler: authorizationcel.NewDefaultCompiler()}
	for _, fixed := range c.Fixed {
		chain.reserved.Insert(fixed.AuthorizerName)
	}
	configmetrics.RegisterMetrics()
	data, err := readFile(c.File)
	if err != nil {
		return nil, err
	}
	built, err := chain.build(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	chain.data = data
	chain.current.Store(built)
	configmetrics.RecordAuthorizationConfigLastConfigInfo(c.ServerID, string(data))
	return chain, nil
}

// Run follows the file until the context ends.
func (c *Chain) Run(ctx context.Context) {
	filesystem.WatchUntil(ctx, pollInterval, c.config.File, func() { c.reload(ctx) }, func(err error) {
		klog.FromContext(ctx).Error(err, "Watching the authorization configuration failed, reading it every minute", "file", c.config.File)
	})
}

// reload replaces the authorizers if the file has a valid new content. Otherwise the authorizers in
// force stay: a chain without one of them could allow what a webhook denies.
func (c *Chain) reload(ctx context.Context) {
	logger := klog.FromContext(ctx)
	data, err := readFile(c.config.File)
	if err == nil && bytes.Equal(data, c.data) {
		return
	}
	if err == nil {
		c.data = data
		var built *version
		if built, err = c.build(data); err == nil {
			c.current.Store(built)
			configmetrics.RecordAuthorizationConfigAutomaticReloadSuccess(c.config.ServerID, string(data))
			logger.Info("Reloaded the authorization configuration", "file", c.config.File)
			return
		}
	}
	configmetrics.RecordAuthorizationConfigAutomaticReloadFailure(c.config.ServerID)
	logger.Error(err, "Reloading the authorization configuration failed, the previous one stays in force", "file", c.config.File)
}

// build returns the authorizers of a content.
func (c *Chain) build(data []byte) (*version, error) {
	configuration, err := parse(data, c.compiler, c.reserved)
	if err != nil {
		return nil, err
	}
	authorizers := append([]union.NamedAuthorizer{}, c.config.Fixed...)
	var resolvers []authorizer.RuleResolver
	for i, a := range configuration.Authorizers {
		built := c.config.Roles
		if a.Type == apiserver.TypeWebhook {
			if built, err = c.webhook(a); err != nil {
				return nil, fmt.Errorf("authorizers[%d].webhook: %w", i, err)
			}
		}
		named := union.NamedAuthorizer{AuthorizerName: a.Name, Authorizer: authorizationmetrics.InstrumentedAuthorizer(string(a.Type), a.Name, built)}
		if a.Type == apiserver.TypeWebhook {
			named.Authorizer = diagnostics.Foreign(named.Authorizer)
		}
		authorizers = append(authorizers, named)
		resolvers = append(resolvers, built)
	}
	all, err := union.New(diagnostics.NamedAuthorizers(authorizers...)...)
	if err != nil {
		return nil, err
	}
	return &version{Authorizer: all, rules: union.NewRuleResolvers(resolvers...)}, nil
}

// webhook returns the authorizer of one entry of type Webhook. Its cache is that of the entry:
// a reload empties it.
func (c *Chain) webhook(a apiserver.AuthorizerConfiguration) (RolesAuthorizer, error) {
	hook := a.Webhook
	client, err := webhookutil.LoadKubeconfig(*hook.ConnectionInfo.KubeConfigFile, nil)
	if err != nil {
		return nil, fmt.Errorf("connectionInfo.kubeConfigFile: %w", err)
	}
	if client.Insecure {
		return nil, errors.New("connectionInfo.kubeConfigFile: insecure-skip-tls-verify is not supported: set certificate-authority")
	}
	client.Timeout = hook.Timeout.Duration
	client.Wrap(func(transport http.RoundTripper) http.RoundTripper {
		return transports.WithoutRedirects(transports.Bounded(transport, maxReview, errReviewTooLarge))
	})
	allowed, denied := hook.AuthorizedTTL.Duration, hook.UnauthorizedTTL.Duration
	if !hook.CacheAuthorizedRequests {
		allowed = 0
	}
	if !hook.CacheUnauthorizedRequests {
		denied = 0
	}
	onError := authorizer.DecisionDeny
	if hook.FailurePolicy == apiserver.FailurePolicyNoOpinion {
		onError = authorizer.DecisionNoOpinion
	}
	return webhook.New(client, hook.SubjectAccessReviewVersion, allowed, denied, *genericoptions.DefaultAuthWebhookRetryBackoff(),
		onError, hook.MatchConditions, a.Name, hookMetrics{WebhookMetrics: webhookmetrics.NewWebhookMetrics(), MatcherMetrics: authorizationcel.NewMatcherMetrics()}, c.compiler)
}

// hookMetrics are the metrics that kube-apiserver has of an authorization webhook.
type hookMetrics struct {
	webhookmetrics.NoopRequestMetrics
	webhookmetrics.WebhookMetrics
	authorizationcel.MatcherMetrics
}

// Authorize implements authorizer.Authorizer.
func (c *Chain) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	return c.current.Load().Authorize(ctx, a)
}

// ConditionsAwareAuthorize implements authorizer.Authorizer.
func (c *Chain) ConditionsAwareAuthorize(ctx context.Context, a authorizer.Attributes) authorizer.ConditionsAwareDecision {
	return c.current.Load().ConditionsAwareAuthorize(ctx, a)
}

// EvaluateConditions implements authorizer.Authorizer.
func (c *Chain) EvaluateConditions(ctx context.Context, decision authorizer.ConditionsAwareDecision, data authorizer.ConditionsData) (authorizer.Decision, string, error) {
	return c.current.Load().EvaluateConditions(ctx, decision, data)
}

// RulesFor implements authorizer.RuleResolver. The list is incomplete if the file has a webhook,
// because a webhook does not list rules.
func (c *Chain) RulesFor(ctx context.Context, u user.Info, namespace string) ([]authorizer.ResourceRuleInfo, []authorizer.NonResourceRuleInfo, bool, error) {
	return c.current.Load().rules.RulesFor(ctx, u, namespace)
}
