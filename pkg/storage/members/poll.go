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

package members

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// poll asks every member once and publishes the result.
func (p *Poller) poll(ctx context.Context) {
	for _, o := range p.observed {
		o.err = nil
	}
	asked := p.targets()
	results := p.ask(ctx, asked)
	p.learn(results)
	if added := p.missed(asked); len(added) > 0 {
		more := p.ask(ctx, added)
		p.learn(more)
		results = append(results, more...)
	}
	if ctx.Err() != nil {
		return
	}
	p.blame(results)
	now := time.Now()
	p.put(p.objects(), now)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.published, p.unknown = now, nil
	p.responding, p.voters = p.count()
	if len(p.listed) == 0 {
		p.unknown = noMember(results)
	}
	close(p.next)
	p.next = make(chan struct{})
}

// count returns the number of voters that have responded, and of all voters.
func (p *Poller) count() (responding, voters int) {
	for _, member := range p.listed {
		if member.GetIsLearner() {
			continue
		}
		voters++
		if o := p.observed[member.GetID()]; o != nil && o.last != nil && o.err == nil {
			responding++
		}
	}
	return responding, voters
}

// targets returns the URLs to ask: the given ones, without several of the same member, and those that the other
// members advertise.
func (p *Poller) targets() []string {
	given := slices.Clone(p.config.External.Endpoints)
	if p.config.Local != nil {
		given = append([]string{localURL}, given...)
	}
	covered := map[uint64]bool{}
	var urls []string
	for _, url := range given {
		owner, known := p.owners[url]
		if slices.Contains(urls, url) || known && covered[owner] {
			continue
		}
		covered[owner] = known
		urls = append(urls, url)
	}
	for _, member := range p.listed {
		if covered[member.GetID()] {
			continue
		}
		for _, url := range p.advertised(member) {
			if !slices.Contains(urls, url) {
				urls = append(urls, url)
			}
		}
	}
	return urls
}

// advertised returns the URL of a member at which it responded, or all that it advertises.
func (p *Poller) advertised(member *etcdserverpb.Member) []string {
	urls := member.GetClientURLs()
	if p.config.Local != nil {
		// Members of embedded etcds publish sockets, or the URL for peers, where they have etcd's API, too.
		urls = member.GetPeerURLs()
	}
	for _, url := range urls {
		if owner, known := p.owners[url]; known && owner == member.GetID() {
			return []string{url}
		}
	}
	return urls
}

// missed returns the URLs of members that did not respond and at which nothing was asked: those of members that
// the answers have made known.
func (p *Poller) missed(asked []string) []string {
	return slices.DeleteFunc(p.targets(), func(url string) bool { return slices.Contains(asked, url) })
}

// result is the outcome of the question to one URL.
type result struct {
	url    string
	answer *answer
	err    error
	// owner is the member that responded at the URL before; 0 for none.
	owner uint64
}

// ask asks at all URLs at the same time.
func (p *Poller) ask(ctx context.Context, urls []string) []result {
	results := make([]result, len(urls))
	var asking sync.WaitGroup
	for i, url := range urls {
		results[i] = result{url: url, owner: p.owners[url]}
		e, err := p.endpoint(ctx, url)
		if err != nil {
			results[i].err = err
			continue
		}
		asking.Go(func() {
			bounded, cancel := context.WithTimeoutCause(ctx, memberTimeout, errTimeout)
			defer cancel()
			if results[i].answer, results[i].err = e.probe(bounded); results[i].err != nil {
				results[i].err = readable(bounded, results[i].err)
			}
		})
	}
	asking.Wait()
	return results
}

// endpoint returns the endpoint of a URL, which is replaced after some failures.
func (p *Poller) endpoint(ctx context.Context, url string) (endpoint, error) {
	e, opened := p.endpoints[url]
	if opened && p.failures[url] < retriesBeforeNewClient {
		return e, nil
	}
	if opened {
		e.close()
		delete(p.endpoints, url)
		p.failures[url] = 0
	}
	e, err := p.open(ctx, url)
	if err == nil {
		p.endpoints[url] = e
	}
	return e, err
}

// learn keeps the answers.
func (p *Poller) learn(results []result) {
	var newest *answer
	for _, r := range results {
		if r.err != nil {
			p.failures[r.url]++
			delete(p.owners, r.url)
			continue
		}
		p.failures[r.url], p.owners[r.url] = 0, r.answer.member()
		if len(r.answer.members) > 0 && (newest == nil || r.answer.status.GetRaftIndex() > newest.status.GetRaftIndex()) {
			newest = r.answer
		}
		o := p.observed[r.answer.member()]
		if o == nil {
			o = &observation{}
			p.observed[r.answer.member()] = o
		}
		o.last = r.answer
		if r.answer.unavailable == "" {
			o.fsyncs.add(r.answer.at, r.answer.fsyncs)
		}
	}
	if newest != nil {
		p.listed, p.cluster = newest.members, newest.status.GetHeader().GetClusterId()
	}
	p.forget()
}

// forget drops what is known of members that have left the cluster.
func (p *Poller) forget() {
	used := map[string]bool{localURL: true}
	for _, url := range p.config.External.Endpoints {
		used[url] = true
	}
	listed := map[uint64]bool{}
	for _, member := range p.listed {
		listed[member.GetID()] = true
		for _, url := range member.GetClientURLs() {
			used[url] = true
		}
	}
	for id := range p.observed {
		if !listed[id] {
			delete(p.observed, id)
		}
	}
	for url, e := range p.endpoints {
		if !used[url] {
			e.close()
			delete(p.endpoints, url)
			delete(p.failures, url)
			delete(p.owners, url)
		}
	}
}

var errNotStarted = errors.New("the member has not started: it advertises no URL for clients")

// blame finds why members did not respond.
func (p *Poller) blame(results []result) {
	responded := map[uint64]bool{}
	for _, r := range results {
		if r.err == nil {
			responded[r.answer.member()] = true
		}
	}
	for _, member := range p.listed {
		id := member.GetID()
		if responded[id] {
			continue
		}
		o := p.observed[id]
		if o == nil {
			o = &observation{}
			p.observed[id] = o
		}
		o.err = errNotStarted
		for _, r := range results {
			switch mine := r.owner == id || slices.Contains(member.GetClientURLs(), r.url); {
			case mine && r.err != nil:
				o.err = r.err
			case mine && errors.Is(o.err, errNotStarted):
				o.err = errors.New("another member responds at " + r.url)
			}
		}
	}
}

// noMember says why no member is known.
func noMember(results []result) error {
	var errs []error
	for _, r := range results {
		if r.err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", cmp.Or(r.url, "in this process"), r.err))
		}
	}
	return errors.Join(append([]error{errors.New("no member of etcd has responded since the start of the server")}, errs...)...)
}
