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
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/apis/apiserver"
	authenticationconfigmetrics "k8s.io/apiserver/pkg/server/options/authenticationconfig/metrics"
	"k8s.io/apiserver/pkg/util/filesystem"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const (
	// filePoll is the time between two looks at the file, as kube-apiserver has it, for file systems
	// that report no changes.
	filePoll = time.Minute
	// healthPoll is the time between two looks at the result of a discovery.
	healthPoll = 250 * time.Millisecond
	// patience is the time after which a discovery without any result is a failure.
	patience = 5 * time.Second
)

// follow applies every new version of the file until the context ends.
func (a *Authenticator) follow(ctx context.Context) {
	filesystem.WatchUntil(ctx, filePoll, a.options.Path, a.reload, func(err error) {
		klog.ErrorS(err, "Watch of the authentication configuration failed, polling the file", "path", a.options.Path, "interval", filePoll)
	})
}

// access and content are the keys of failures of the whole file. The keys of issuers are https URLs.
const (
	access  = "access"
	content = "content"
)

// reload applies the file if it has changed. A file that cannot be read or decoded changes nothing.
func (a *Authenticator) reload() {
	data, err := readTrusted(a.options.Path)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.initial = false
		a.fail(access, fmt.Sprintf("the file is not read and everything stays as it was: %v", err))
		return
	}
	delete(a.failures, access)
	if string(data) == a.data {
		return
	}
	a.data, a.initial = string(data), false
	parsed, err := parse(data, a.options.DisallowedIssuers)
	if err != nil {
		a.fail(content, fmt.Sprintf("the file is refused and everything stays as it was: %v", err))
		return
	}
	a.apply(parsed)
}

// readTrusted reads a file that no other user may have written.
func readTrusted(path string) ([]byte, error) {
	if err := files.Given(path); err != nil {
		return nil, err
	}
	return read(path)
}

// apply brings a decoded file into force, issuer by issuer:
//
//	unchanged                   stays
//	not valid                   its former version stays, if it has one
//	new or changed              its former version stays until the new one's provider has answered
//	not in the file any more    ends
//
// The caller holds the lock.
func (a *Authenticator) apply(parsed *config) {
	old := a.current.Load()
	next := &set{issuers: map[string]*issuer{}, anonymous: anonymousOf(parsed.anonymous)}
	a.warnOfAnonymous(parsed.anonymous)
	listed := map[string]bool{}
	for _, entry := range parsed.issuers {
		url := entry.jwt.Issuer.URL
		listed[url] = true
		if running, ok := old.issuers[url]; ok {
			next.issuers[url] = running
		}
		a.consider(entry, next.issuers[url], parsed)
	}
	for url, candidate := range a.pending {
		if !listed[url] {
			a.drop(url, candidate)
		}
	}
	maps.DeleteFunc(a.failures, func(url, _ string) bool { return !listed[url] })
	a.replace(next)
	for url, removed := range old.issuers {
		if !listed[url] {
			a.remove(removed)
		}
	}
	a.settle()
}

// consider decides on one issuer of a file; running is its version in force, nil for none.
func (a *Authenticator) consider(entry issuerConfig, running *issuer, parsed *config) {
	url := entry.jwt.Issuer.URL
	candidate := a.pending[url]
	if entry.err == nil && candidate != nil && same(candidate.jwt, entry.jwt) {
		return // its provider may answer later
	}
	if candidate != nil {
		a.drop(url, candidate)
	}
	delete(a.failures, url)
	if entry.err == nil && running != nil && same(running.jwt, entry.jwt) {
		return
	}
	err := entry.err
	if err == nil {
		candidate, err = newIssuer(a.ctx, entry.jwt, parsed.compiler, a.options)
	}
	if err != nil {
		a.fail(url, fmt.Sprintf("the version in the file is refused%s: %v", stays(running), err))
		return
	}
	a.pending[url] = candidate
	go a.await(candidate)
}

func same(a, b apiserver.JWTAuthenticator) bool { return reflect.DeepEqual(a, b) }

// stays describes what is in force instead of a version.
func stays(running *issuer) string {
	if running == nil {
		return "; its tokens are refused"
	}
	return "; the former version stays in force"
}

// await brings an issuer into force once its provider has answered, or ends with the issuer.
func (a *Authenticator) await(candidate *issuer) {
	ticker := time.NewTicker(healthPoll)
	defer ticker.Stop()
	for started := time.Now(); ; {
		err := candidate.tokens.HealthCheck()
		if err == nil {
			a.promote(candidate)
			return
		}
		// The library's first result is that there is none yet.
		if !strings.Contains(err.Error(), "is not initialized") || time.Since(started) > patience {
			a.unhealthy(candidate, err)
		}
		select {
		case <-candidate.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// promote brings an issuer into force, unless a later version of the file has replaced it.
func (a *Authenticator) promote(candidate *issuer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	url := candidate.url()
	if a.pending[url] != candidate {
		return
	}
	delete(a.pending, url)
	delete(a.failures, url)
	old := a.current.Load()
	next := &set{issuers: maps.Clone(old.issuers), anonymous: old.anonymous}
	next.issuers[url] = candidate
	a.replace(next)
	if former := old.issuers[url]; former != nil {
		former.retire()
	}
	klog.InfoS("Issuer is in force", "issuer", url)
	a.settle()
}

func (a *Authenticator) unhealthy(candidate *issuer, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	url := candidate.url()
	if a.pending[url] == candidate {
		a.fail(url, fmt.Sprintf("the provider does not answer, discovery is repeated every 10 s%s: %v", stays(a.current.Load().issuers[url]), err))
	}
}

// replace brings a set into force.
func (a *Authenticator) replace(next *set) {
	for url := range a.pending {
		if next.issuers[url] == nil {
			next.waiting = append(next.waiting, url)
		}
	}
	slices.Sort(next.waiting)
	a.current.Store(next)
}

// drop gives up a version that is not in force.
func (a *Authenticator) drop(url string, candidate *issuer) {
	delete(a.pending, url)
	candidate.retire()
}

// remove ends an issuer that is not in the file any more, and its metrics.
func (a *Authenticator) remove(removed *issuer) {
	removed.retire()
	klog.InfoS("Issuer is removed", "issuer", removed.url())
	context.AfterFunc(removed.ctx, func() {
		if _, again := a.current.Load().issuers[removed.url()]; !again {
			oidc.DeleteJWKSFetchMetrics(removed.url(), a.options.APIServerID)
		}
	})
}

// settle records a reload of which every part is in force.
func (a *Authenticator) settle() {
	if a.initial || len(a.pending) > 0 || len(a.failures) > 0 {
		return
	}
	klog.InfoS("Reloaded the authentication configuration", "path", a.options.Path)
	authenticationconfigmetrics.RecordAuthenticationConfigAutomaticReloadSuccess(a.options.APIServerID, a.data)
}
