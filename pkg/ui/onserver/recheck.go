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

package onserver

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
)

// recheckInterval is the time for which a result counts.
const recheckInterval = 5 * time.Second

// recheck authenticates the credentials with which a link was made again. The session ends once a
// certificate is revoked or has expired, or a token is no longer valid.
type recheck struct {
	credentials authenticator.Request
	request     *http.Request
	user        user.Info
	clock       clock.PassiveClock

	mu      sync.Mutex
	checked time.Time
	last    error
}

var errOtherUser = errors.New("the credentials are not those of the user")

// err returns the error of the latest check.
func (c *recheck) err(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.clock.Now(); c.checked.IsZero() || now.Sub(c.checked) >= recheckInterval {
		last := c.now(ctx)
		if ctx.Err() != nil {
			return last // the request that asks has ended, which decides nothing
		}
		c.checked, c.last = now, last
	}
	return c.last
}

// now authenticates the credentials.
func (c *recheck) now(ctx context.Context) error {
	_, err := c.identify(ctx)
	return err
}

// identify authenticates the credentials, and returns the name of the authenticator. The context has no value of a
// request, so that nothing is recorded.
func (c *recheck) identify(ctx context.Context) (by string, err error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	detached, cancel := context.WithCancel(origin.WithRecord(context.Background(), &by))
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	response, ok, err := c.credentials.AuthenticateRequest(c.request.Clone(detached))
	switch {
	case err != nil:
		return "", errors.New("the credentials are not valid")
	case !ok || !same(response.User, c.user):
		return "", errOtherUser
	}
	return by, nil
}

// same reports whether two users have the same name, UID and groups.
func same(a, b user.Info) bool {
	sorted := func(u user.Info) []string { return slices.Compact(slices.Sorted(slices.Values(u.GetGroups()))) }
	return a.GetName() == b.GetName() && a.GetUID() == b.GetUID() && slices.Equal(sorted(a), sorted(b))
}
