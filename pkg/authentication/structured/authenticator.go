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
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/anonymous"
	authenticationconfigmetrics "k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// Options configure an Authenticator.
type Options struct {
	// Path is the file.
	Path string
	// DisallowedIssuers are the issuers of the server's own tokens.
	DisallowedIssuers []string
	// Audiences are the audiences of the server, for TokenReviews. A token's own audience is checked
	// against the file.
	Audiences authenticator.Audiences
	// APIServerID labels metrics.
	APIServerID string
	// AnonymousPaths are the paths that are served without credentials if the file does not say
	// otherwise.
	AnonymousPaths []string
}

// Authenticator authenticates tokens of the issuers of a file, and follows the file.
type Authenticator struct {
	options Options
	ctx     context.Context
	current atomic.Pointer[set]

	mu       sync.Mutex
	data     string                     // the last version of the file that was considered
	pending  map[string]*issuer         // by URL: versions whose provider has not answered yet
	failures map[string]string          // by URL, access or content: what is not in force, and why
	initial  bool                       // the file has not changed since the start
	recorder record.EventRecorderLogger // nil until Run
}

var _ authenticator.Token = &Authenticator{}

// set is what is in force. It does not change.
type set struct {
	issuers map[string]*issuer
	// waiting are the URLs of issuers that are in the file and have no version in force.
	waiting   []string
	anonymous authenticator.Request // nil if the file has no such field
}

// New reads the file and starts the discovery of every provider. A provider that does not answer is
// not an error. The context ends the authenticator.
func New(ctx context.Context, o Options) (*Authenticator, error) {
	data, err := read(o.Path)
	if err != nil {
		return nil, err
	}
	parsed, err := parse(data, o.DisallowedIssuers)
	if parsed != nil {
		err = errors.Join(err, parsed.invalid())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w (\"gatehouse auth check %s\" validates a file)", o.Path, err, o.Path)
	}
	authenticationconfigmetrics.RegisterMetrics()
	authenticationconfigmetrics.RecordAuthenticationConfigLastConfigInfo(o.APIServerID, string(data))
	a := &Authenticator{options: o, ctx: ctx, data: string(data), pending: map[string]*issuer{}, failures: map[string]string{}, initial: true}
	a.current.Store(&set{})
	a.mu.Lock()
	defer a.mu.Unlock()
	a.apply(parsed)
	return a, nil
}

// AuthenticateToken implements authenticator.Token. It leaves tokens of other issuers to other
// authenticators, and each issuer sees its own tokens only, so a slow provider delays no other
// token. An accepted token is cached.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	url := IssuerOf(token)
	for url != "" {
		current := a.current.Load()
		found, ok := current.issuers[url]
		if !ok {
			if slices.Contains(current.waiting, url) {
				return nil, false, fmt.Errorf("the provider of issuer %s has not answered yet: see /readyz?verbose", url)
			}
			return nil, false, nil
		}
		response, ok, err := found.cached.AuthenticateToken(ctx, token)
		if !errors.Is(err, errRetired) {
			return response, ok, err
		}
	}
	return nil, false, nil
}

// Anonymous returns the authenticator of requests without credentials: that of the file, or
// otherwise if the file has none.
func (a *Authenticator) Anonymous(otherwise authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		if of := a.current.Load().anonymous; of != nil {
			return of.AuthenticateRequest(r)
		}
		return otherwise.AuthenticateRequest(r)
	})
}

// anonymousOf returns the authenticator of requests without credentials; nil if the file has none.
func anonymousOf(c *apiserver.AnonymousAuthConfig) authenticator.Request {
	switch {
	case c == nil:
		return nil
	case !c.Enabled:
		return authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) { return nil, false, nil })
	}
	return anonymous.NewAuthenticator(c.Conditions)
}

// warnOfAnonymous logs what the file changes about requests without credentials.
func (a *Authenticator) warnOfAnonymous(c *apiserver.AnonymousAuthConfig) {
	if c == nil {
		return
	}
	named := map[string]bool{}
	for _, condition := range c.Conditions {
		named[condition.Path] = true
	}
	everywhere := c.Enabled && len(c.Conditions) == 0
	var more, fewer []string
	for path := range named {
		if !slices.Contains(a.options.AnonymousPaths, path) {
			more = append(more, path)
		}
	}
	for _, path := range a.options.AnonymousPaths {
		if !everywhere && !named[path] {
			fewer = append(fewer, path)
		}
	}
	slices.Sort(more)
	switch {
	case everywhere:
		klog.Warningf("%s: anonymous.enabled without conditions: every path is served without credentials, to the user system:anonymous and as far as roles permit; name the paths in anonymous.conditions unless that is intended", a.options.Path)
	case len(more) > 0:
		klog.Warningf("%s: anonymous.conditions: %s: served without credentials, to the user system:anonymous and as far as roles permit; remove the paths unless that is intended", a.options.Path, strings.Join(more, ", "))
	}
	if len(fewer) > 0 {
		klog.Warningf("%s: anonymous: %s: served with credentials only; add the paths to anonymous.conditions if probes and clients without credentials need them", a.options.Path, strings.Join(fewer, ", "))
	}
}
