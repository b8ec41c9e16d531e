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
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/ui"
)

// Page is the page of a server.
type Page struct {
	sessions *ui.Sessions
	handler  *ui.Handler
	loopback *rest.Config
	listener net.Listener
	// address is that of links: the scheme, a name of this server and the port.
	address string
	// credentials authenticates the requests that make links: the authenticator of the server without
	// the tokens of sessions.
	credentials authenticator.Request

	mu    sync.RWMutex
	users map[[sha256.Size]byte]user.Info
}

// authenticatorName is the name of the sessions in traces and logs.
const authenticatorName = "ui-session"

// tokenPrefix begins the tokens of sessions. No other authenticator of the server gets them.
const tokenPrefix = "gatehouse-ui-session:"

var errReadOnly = errors.New("a session of the page only reads")

// wrap returns an authenticator that accepts the tokens of sessions, for reads, before another.
func (p *Page) wrap(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "+tokenPrefix)
		if !ok {
			return next.AuthenticateRequest(r)
		}
		u, err := p.userOf(token, r.Method)
		diagnostics.Asked(r.Context(), authenticatorName, err == nil, err)
		if err != nil {
			return nil, false, &origin.Error{By: authenticatorName, Err: err}
		}
		origin.Accept(r.Context(), authenticatorName)
		return &authenticator.Response{User: u}, true, nil
	})
}

func (p *Page) userOf(token, method string) (user.Info, error) {
	if method != http.MethodGet && method != http.MethodHead {
		return nil, errReadOnly
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	u, ok := p.users[sha256.Sum256([]byte(token))]
	if !ok {
		return nil, errors.New("the session has ended")
	}
	return u, nil
}

// mint returns a token for a user, and the function that ends it.
func (p *Page) mint(u user.Info) (token string, end func()) {
	token = rand.Text() + rand.Text()
	sum := sha256.Sum256([]byte(token))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users[sum] = u
	return token, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.users, sum)
	}
}

// creation is the key of the request that makes a link.
type creation struct{}

// creationPath is the path of requests that make links.
var creationPath = "/apis/" + v1alpha1.SchemeGroupVersion.String() + "/" + v1alpha1.UISessions

// withCreation passes the credentials of requests that make links on in the context: the filters of the
// chain remove them.
func withCreation(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == creationPath {
			saved := &http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: r.Header.Clone(), TLS: r.TLS, RemoteAddr: r.RemoteAddr, RequestURI: r.RequestURI, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor}
			r = r.WithContext(context.WithValue(r.Context(), creation{}, saved))
		}
		handler.ServeHTTP(w, r)
	})
}

var errProxied = errors.New(`the request came through a proxy, such as a kube-apiserver, and a session must end with the credentials of its user, which the proxy does not pass on: run "kubectl gatehouse ui" without --on-server, or name this server itself with --server`)

// Offer implements uisession.Pages.
func (p *Page) Offer(ctx context.Context, u user.Info, sum [sha256.Size]byte) (string, time.Time, error) {
	saved, ok := ctx.Value(creation{}).(*http.Request)
	if !ok {
		return "", time.Time{}, apierrors.NewInternalError(errors.New("the credentials of the request are not known"))
	}
	check := &recheck{credentials: p.credentials, request: saved, user: u, clock: clock.RealClock{}}
	switch by, err := check.identify(ctx); {
	case err != nil:
		return "", time.Time{}, apierrors.NewForbidden(v1alpha1.Resource(v1alpha1.UISessions), "",
			fmt.Errorf("a session reads as a user that is not impersonated, with its own credentials: leave out --as (%w)", err))
	case by == origin.FrontProxy:
		// The proxy vouches for the name of the user with credentials of its own, which outlive those of the user.
		return "", time.Time{}, apierrors.NewForbidden(v1alpha1.Resource(v1alpha1.UISessions), "", errProxied)
	}
	owner, err := p.owner(u)
	if err != nil {
		return "", time.Time{}, err
	}
	owner.Check = check.err
	expires, err := p.sessions.Offer(sum, owner)
	if err != nil {
		owner.Ended()
		return "", time.Time{}, apierrors.NewTooManyRequests(err.Error(), 1)
	}
	return p.address, expires, nil
}

// owner returns the owner of a session of a user.
func (p *Page) owner(u user.Info) (ui.Owner, error) {
	config := rest.AnonymousClientConfig(p.loopback)
	token, end := p.mint(u)
	config.BearerToken, config.QPS = tokenPrefix+token, -1
	owner, err := ui.OwnerOf(config)
	if err != nil {
		end()
		return ui.Owner{}, err
	}
	owner.Key, owner.Ended = u.GetName()+"\n"+u.GetUID(), end
	identity := ui.Identity{User: u.GetName(), Groups: u.GetGroups()}
	owner.Identity = func(context.Context) (ui.Identity, error) { return identity, nil }
	return owner, nil
}

// authorities returns the values of the header Host by which the page is reached: the address at which the
// connection arrived, and the names of the server.
func authorities(names []string, port string) func(*http.Request) []string {
	var fixed []string
	for _, name := range names {
		fixed = append(fixed, withPort(name, port)...)
	}
	return func(r *http.Request) []string {
		own := fixed
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
			own = append(own[:len(own):len(own)], withPort(local.IP.String(), port)...)
			if local.IP.IsLoopback() {
				own = append(own, withPort("localhost", port)...)
			}
		}
		return own
	}
}

// withPort returns a host with its port. Browsers leave the port of https out.
func withPort(host, port string) []string {
	all := []string{net.JoinHostPort(host, port)}
	if port == "443" {
		all = append(all, strings.TrimSuffix(net.JoinHostPort(host, ""), ":"))
	}
	return all
}

// linkAddress returns the address for links: the one that is listened on, or a name of the server.
func linkAddress(listening *net.TCPAddr, names []string) string {
	host := listening.IP.String()
	switch {
	case !listening.IP.IsUnspecified():
	case len(names) > 0:
		host = names[0]
	default:
		host = "127.0.0.1"
	}
	return (&url.URL{Scheme: "https", Host: withPort(host, fmt.Sprint(listening.Port))[0]}).String()
}
