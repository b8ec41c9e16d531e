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

package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/gatehouse-dev/gatehouse/pkg/browser"
)

// retryPause is the time after a failed login in which the same client gets the failure.
const retryPause = 30 * time.Second

// Credential returns a valid ID token with its expiry, in this order: the cached one, one by the cached refresh
// token, one by a login of the user. notes gets what the user has to do. Of several processes one logs in, and the
// others wait and get its result, also its failure. client is the process ID of the client that runs this process, or
// 0 for a user: kubectl runs its plugin five times if it fails, and gets the same failure without another login.
func (o *Options) Credential(ctx context.Context, client int, notes io.Writer) (Credential, error) {
	began := time.Now()
	c, err := o.openCache()
	if err != nil {
		return Credential{}, err
	}
	// Without the lock first: this is what most commands do. Files are replaced as a whole.
	if cached, err := c.read(); err == nil && cached.usable(began) {
		return cached.credential(), nil
	}
	if err := c.acquire(ctx, o.Timeout+finishTimeout); err != nil {
		return Credential{}, err
	}
	defer c.release()
	cached, err := c.read()
	if err != nil {
		return Credential{}, err
	}
	if cached.Failed.After(began) || client != 0 && cached.Client == client && began.Sub(cached.Failed) < retryPause {
		return Credential{}, fmt.Errorf("the login has just failed: %s", cached.Reason)
	}
	if cached.usable(time.Now()) {
		return cached.credential(), nil
	}
	p, err := o.discover(ctx)
	if err != nil {
		return Credential{}, err
	}
	renewed, err := p.refresh(ctx, cached)
	if err == nil && renewed == nil {
		renewed, err = p.logIn(ctx, notes)
		if err != nil && ctx.Err() == nil {
			// Neither processes that wait nor a client that tries again must have the user log in again.
			return Credential{}, errors.Join(err, c.write(&entry{Failed: time.Now(), Reason: err.Error(), Client: client}))
		}
	}
	if err != nil {
		return Credential{}, err
	}
	if err := c.write(renewed); err != nil {
		fmt.Fprintf(notes, "warning: the next command logs in again: %v\n", err)
	}
	return renewed.credential(), nil
}

// loginNeeded are the error codes of a refresh token that only a login of the user replaces: it is revoked, expired or
// used (RFC 6749, 5.2), or the provider wants to ask the user (OpenID Connect Core 1.0, 3.1.2.6).
var loginNeeded = []string{"invalid_grant", "interaction_required", "login_required", "consent_required"}

// refresh returns new tokens by the cached refresh token, or nothing if the user has to log in again. A
// provider that is down or busy, or refuses the client, is an error: a login would not succeed either.
func (p *provider) refresh(ctx context.Context, cached *entry) (*entry, error) {
	if cached.RefreshToken == "" {
		return nil, nil
	}
	token, err := p.oauth.TokenSource(p.context(ctx), &oauth2.Token{RefreshToken: cached.RefreshToken}).Token()
	if response := (*oauth2.RetrieveError)(nil); errors.As(err, &response) && slices.Contains(loginNeeded, response.ErrorCode) {
		return nil, nil
	}
	if err != nil {
		return nil, p.refused(ctx, refreshing, err)
	}
	renewed, err := p.tokens(ctx, token, "")
	if errors.Is(err, errNoIDToken) {
		return nil, nil // OpenID Connect Core 1.0, 12.2: the response might not have one
	}
	if err != nil {
		return nil, err
	}
	if renewed.Subject != cached.Subject {
		return nil, p.invalid(errors.New("the refreshed token is for another user"))
	}
	return renewed, nil
}

// logIn has the user log in by one of the flows.
func (p *provider) logIn(ctx context.Context, notes io.Writer) (*entry, error) {
	ctx, cancel := context.WithTimeout(ctx, p.options.Timeout)
	defer cancel()
	if p.options.Device || !p.options.NoBrowser && p.metadata.DeviceURL != "" && browser.Program() == "" {
		return p.deviceCode(ctx, notes)
	}
	return p.authorizationCode(ctx, notes)
}
