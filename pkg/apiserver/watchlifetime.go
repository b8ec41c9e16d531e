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

package apiserver

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	apirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/origin"
)

// WatchLimits bound how long a watch outlives the request that opened it. Kubernetes authenticates and
// authorizes a watch once, and its client chooses the duration.
type WatchLimits struct {
	// MaxDuration ends every watch, also with a longer timeoutSeconds. A random part of up to a tenth
	// is subtracted, so that watches that were opened together do not reconnect together.
	MaxDuration time.Duration
	// RecheckInterval is the interval at which an open watch is authenticated and authorized again.
	RecheckInterval time.Duration
}

const (
	// recheckTick is the precision of the end of a watch at the expiry of its certificate or token.
	recheckTick = time.Second
	// recheckTimeout bounds the check of a watch, which may call the cluster or a token webhook.
	recheckTimeout = 10 * time.Second
)

// watchLifetimes ends the open watches of a server. One goroutine finds those whose check is due.
type watchLifetimes struct {
	limits WatchLimits
	clock  clock.WithTicker

	mu   sync.Mutex
	open map[*openWatch]struct{}

	// Set when the handler chain is built, before the server serves.
	authenticate authenticator.Request
	audiences    authenticator.Audiences
	// probe returns 200 if the user in the context is allowed to make the request.
	probe       http.Handler
	credentials func(http.Header) http.Header
}

// openWatch holds the inputs of the checks of an open watch.
type openWatch struct {
	end context.CancelCauseFunc
	// request has only the method, the URL, the connection's certificates and the credential headers
	// of the request.
	request *http.Request
	info    *apirequest.RequestInfo
	// user is the authenticated user; empty until the first check.
	user string
	// by is the authenticator that accepted the request; empty if it has no name.
	by string
	// expires is the end of the watch in any case, and next the time of the next check.
	expires, next time.Time
	checking      bool
}

func newWatchLifetimes(limits WatchLimits, c clock.WithTicker) *watchLifetimes {
	return &watchLifetimes{limits: limits, clock: c, open: map[*openWatch]struct{}{}}
}

type watchKey struct{}

// outer wraps the whole chain: the chain removes credentials from the request, and returns before a
// watch has ended, which is served on the stack of an outer handler.
func (w *watchLifetimes) outer(handler http.Handler, config *genericapiserver.Config) http.Handler {
	w.authenticate = config.Authentication.Authenticator
	w.audiences = config.Authentication.APIAudiences
	w.credentials = credentialsOf(config.Authentication.RequestHeaderConfig)
	w.probe = accessProbe(config)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !mayWatch(r) {
			handler.ServeHTTP(rw, r)
			return
		}
		info, err := config.RequestInfoResolver.NewRequestInfo(r)
		if err != nil || !config.LongRunningFunc(r, info) {
			handler.ServeHTTP(rw, r)
			return
		}
		ctx, end := context.WithCancelCause(r.Context())
		defer end(nil)
		opened := &openWatch{end: end, request: w.remember(r), info: info}
		defer w.forget(opened)
		ctx = origin.WithRecord(context.WithValue(ctx, watchKey{}, opened), &opened.by)
		handler.ServeHTTP(rw, r.WithContext(ctx))
	})
}

// mayWatch is true for every watch and for every stream of a host, and cheaper than a second parse of every request.
func mayWatch(r *http.Request) bool {
	switch path.Base(r.URL.Path) {
	case "attach", "exec", "log", "portforward", "tunnel":
		return true
	}
	return r.Method == http.MethodGet && (strings.Contains(r.URL.Path, "/watch") || r.URL.RawQuery != "" && r.URL.Query().Has("watch"))
}

// inner runs after authorization, so its requests are allowed.
func (w *watchLifetimes) inner(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if opened, ok := r.Context().Value(watchKey{}).(*openWatch); ok {
			w.admit(opened)
		}
		handler.ServeHTTP(rw, r)
	})
}

// remember copies the credentials and the target of the request.
func (w *watchLifetimes) remember(r *http.Request) *http.Request {
	return &http.Request{
		Method: r.Method, URL: r.URL, Host: r.Host, RequestURI: r.RequestURI, RemoteAddr: r.RemoteAddr,
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		TLS: r.TLS, Header: w.credentials(r.Header),
	}
}

func (w *watchLifetimes) admit(o *openWatch) {
	now := w.clock.Now()
	o.expires = now.Add(w.limits.MaxDuration - time.Duration(rand.Int64N(int64(w.limits.MaxDuration)/10+1)))
	if end, ok := credentialsEnd(o.request); ok && end.Before(o.expires) {
		o.expires = end
	}
	// A random part spreads the checks of watches that were opened together.
	o.next = now.Add(w.limits.RecheckInterval/2 + time.Duration(rand.Int64N(int64(w.limits.RecheckInterval)/2+1)))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[o] = struct{}{}
}

func (w *watchLifetimes) forget(o *openWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.open, o)
}

// Run checks the watches until the context ends.
func (w *watchLifetimes) Run(ctx context.Context) {
	due := newLanes(func(o *openWatch) {
		if ctx.Err() == nil {
			w.recheck(ctx, o)
		}
	})
	defer due.close()
	ticker := w.clock.NewTicker(recheckTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
		}
		for _, o := range w.pass(w.clock.Now()) {
			if !due.offer(o) {
				w.postpone(o)
			}
		}
	}
}

// pass ends expired watches and returns those with a due check.
func (w *watchLifetimes) pass(now time.Time) []*openWatch {
	var due, over []*openWatch
	w.mu.Lock()
	for o := range w.open {
		switch {
		case !now.Before(o.expires):
			over = append(over, o)
			delete(w.open, o)
		case !now.Before(o.next) && !o.checking:
			o.checking = true
			due = append(due, o)
		}
	}
	w.mu.Unlock()
	for _, o := range over {
		o.end(errWatchExpired)
	}
	// The longest overdue comes first; maps have no order.
	slices.SortFunc(due, func(a, b *openWatch) int { return a.next.Compare(b.next) })
	return due
}

// postpone leaves a watch to the next pass.
func (w *watchLifetimes) postpone(o *openWatch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.checking = false
}

// recheck authenticates and authorizes the watch again.
func (w *watchLifetimes) recheck(ctx context.Context, o *openWatch) {
	ctx, cancel := context.WithTimeout(ctx, recheckTimeout)
	defer cancel()
	err := w.check(ctx, o)
	if ctx.Err() != nil && !errors.Is(err, errNotAuthenticated) {
		err = nil // a timeout of the authorizer is no refusal; check decides on those of authenticators
	}
	if err != nil {
		klog.FromContext(ctx).V(2).Info("Ended watch", "path", o.request.URL.Path, "user", o.user, "reason", err.Error())
		w.forget(o)
		o.end(err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o.checking = false
	o.next = w.clock.Now().Add(w.limits.RecheckInterval)
}

// check returns why the watch must end; nil if it may continue, or if the check fails: a cluster that
// does not respond for a moment must not end every watch.
func (w *watchLifetimes) check(ctx context.Context, o *openWatch) error {
	if len(w.audiences) > 0 {
		ctx = authenticator.WithAudiences(ctx, w.audiences)
	}
	ctx = apirequest.WithRequestInfo(ctx, o.info)
	request := o.request.Clone(ctx) // authenticators remove headers
	response, ok, err := w.authenticate.AuthenticateRequest(request)
	switch {
	case err != nil && isTransient(err, o.by):
		return nil
	case err != nil || !ok:
		return errNotAuthenticated
	}
	name := response.User.GetName()
	if o.user == "" {
		o.user = name
	}
	if name != o.user {
		return errNotAuthenticated
	}
	answer := &probeWriter{header: http.Header{}}
	w.probe.ServeHTTP(answer, request.WithContext(apirequest.WithUser(ctx, response.User)))
	if answer.code == http.StatusForbidden || answer.code == http.StatusUnauthorized {
		return errNotAuthorized
	}
	return nil
}

// credentialsOf returns a function that copies the credential headers.
func credentialsOf(proxy *authenticatorfactory.RequestHeaderConfig) func(http.Header) http.Header {
	return func(all http.Header) http.Header {
		var prefixes, names []string
		if proxy != nil {
			names = slices.Concat(proxy.UsernameHeaders.Value(), proxy.UIDHeaders.Value(), proxy.GroupHeaders.Value())
			prefixes = proxy.ExtraHeaderPrefixes.Value()
		}
		kept := http.Header{}
		for name, values := range all {
			if name == "Authorization" || strings.HasPrefix(name, "Impersonate-") || slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) }) ||
				slices.ContainsFunc(prefixes, func(p string) bool { return p != "" && len(name) >= len(p) && strings.EqualFold(name[:len(p)], p) }) {
				kept[name] = slices.Clone(values)
			}
		}
		return kept
	}
}

// credentialsEnd returns the expiry of the client certificate or the token of a request. It does not
// verify them: the request was authenticated.
func credentialsEnd(r *http.Request) (end time.Time, found bool) {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		end, found = r.TLS.PeerCertificates[0].NotAfter, true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "bearer") {
		return end, found
	}
	parts := strings.Split(strings.TrimSpace(token), ".")
	if len(parts) != 3 {
		return end, found
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return end, found
	}
	var claims struct {
		Expiry *float64 `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil || claims.Expiry == nil {
		return end, found
	}
	if expiry := time.Unix(int64(*claims.Expiry), 0); !found || expiry.Before(end) {
		end, found = expiry, true
	}
	return end, found
}
