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

package authentication

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"sync"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// ControllerUserPrefix is the prefix of the user names of the server's own controllers.
const ControllerUserPrefix = diagnostics.ControllerUserPrefix

// Controllers authenticates the controllers that run in the server's own process. Each is a client
// with a separate user, so that its role bounds it. Their tokens are random, and are valid in this
// process only.
type Controllers struct {
	lock  sync.RWMutex
	users map[[sha256.Size]byte]user.Info
}

var _ authenticator.Token = &Controllers{}

// NewControllers returns an authenticator without tokens.
func NewControllers() *Controllers {
	return &Controllers{users: map[[sha256.Size]byte]user.Info{}}
}

// Mint returns a new token for the user ControllerUserPrefix and name.
func (c *Controllers) Mint(name string) string {
	token := rand.Text()
	c.lock.Lock()
	defer c.lock.Unlock()
	c.users[sha256.Sum256([]byte(token))] = &user.DefaultInfo{Name: ControllerUserPrefix + name}
	return token
}

// AuthenticateToken implements authenticator.Token. It finds tokens by their hash, so its duration
// does not depend on how much of a guess is right.
func (c *Controllers) AuthenticateToken(_ context.Context, token string) (*authenticator.Response, bool, error) {
	c.lock.RLock()
	defer c.lock.RUnlock()
	info, ok := c.users[sha256.Sum256([]byte(token))]
	if !ok {
		return nil, false, nil
	}
	return &authenticator.Response{User: info}, true, nil
}
