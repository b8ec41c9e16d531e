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

package security

import (
	"net/http"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/peers"
)

// forged is the identity of a client with a certificate that it has made for itself, with the name of a server.
const forged = "forged"

// Peers plays attacks on the paths by which servers reach hosts through each other. No certificate counts but those that the
// servers have in etcd, and no right of a user does.
func Peers(t *testing.T, env Env) {
	t.Helper()
	pair, err := certificates.Replica(peers.User, "peer.gatehouse.internal", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	as := env.As
	env.Admin = rest.CopyConfig(env.Admin)
	env.Admin.NextProtos = []string{"http/1.1"} // HTTP/2 has no upgrade
	env.As = func(user string, groups ...string) *rest.Config {
		config := rest.AnonymousClientConfig(env.Admin)
		config.CertData, config.KeyData = pair.CertPEM, pair.KeyPEM
		if user != forged {
			config = rest.CopyConfig(as(user, groups...))
		}
		config.NextProtos = env.Admin.NextProtos
		return config
	}
	upgrade := map[string][]string{"Connection": {"Upgrade"}, "Upgrade": {"gatehouse.dev/peer-v1"}}
	impersonating := map[string][]string{"Connection": {"Upgrade"}, "Upgrade": {"gatehouse.dev/peer-v1"}, "Impersonate-User": {peers.User}}
	const path, says = peers.PathPrefix + "attack-1", "only the other servers of this API"
	play(t, env, map[string]person{
		"an administrator":               {"attack-administrator", []string{"system:masters"}},
		"a host":                         {"system:host:attack-1", []string{"system:hosts"}},
		"a user with the name of a peer": {peers.User, nil},
		forged:                           {forged, nil},
	}, []attack{
		{name: "A stranger opens a stream as a server", method: http.MethodPost, path: path, headers: upgrade, code: http.StatusForbidden, says: says},
		{name: "An administrator opens a stream as a server", as: "an administrator", method: http.MethodPost, path: path, headers: upgrade, code: http.StatusForbidden, says: says},
		{name: "An administrator impersonates a server", as: "an administrator", method: http.MethodPost, path: path, headers: impersonating, code: http.StatusForbidden, says: says},
		{name: "A host opens a stream as a server", as: "a host", method: http.MethodPost, path: path, headers: upgrade, code: http.StatusForbidden, says: says},
		{name: "A user with the name of a server opens a stream", as: "a user with the name of a peer", method: http.MethodPost, path: path, headers: upgrade, code: http.StatusForbidden, says: says},
		{name: "A client with a certificate of its own opens a stream as a server", as: forged, method: http.MethodPost, path: path, headers: upgrade, code: http.StatusForbidden, says: says},
		{name: "A client asks where a host is connected", as: "an administrator", path: path, code: http.StatusForbidden, says: says},
		{name: "A certificate of a server is no user", as: forged, path: hosts, code: http.StatusUnauthorized},
		{name: "A user with the name of a server has no rights", as: "a user with the name of a peer", path: hosts, code: http.StatusForbidden},
	}, []string{hosts, lease})
}
