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

package ui

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Limits bound links and sessions. A zero duration is no bound.
type Limits struct {
	// Links is the number of links that wait for their use, and LinksPerUser that of one user, whose
	// oldest link ends for a new one.
	Links, LinksPerUser int
	// Sessions is the number of sessions, and SessionsPerUser that of one user, of which the one that was
	// not used for the longest time ends for a new one.
	Sessions, SessionsPerUser int
	// Streams is the number of open streams, and StreamsPerUser that of one user. Each may need mostPending.
	Streams, StreamsPerUser int
	// LinkLife is the time within which a link must be used.
	LinkLife time.Duration
	// Life is the longest duration of a session, and Idle the longest time between two uses of it. An open
	// stream uses it.
	Life, Idle time.Duration
}

// Limits of a server, and of the proxy of one user.
var (
	ServerLimits = Limits{
		Links: 1000, LinksPerUser: 8, Sessions: 1000, SessionsPerUser: 8, Streams: 200, StreamsPerUser: 8,
		LinkLife: time.Minute, Life: 8 * time.Hour, Idle: 30 * time.Minute,
	}
	ProxyLimits = Limits{Links: 1, LinksPerUser: 1, Sessions: 16, SessionsPerUser: 16, Streams: 16, StreamsPerUser: 16}
)

// Errors of Sessions.
var (
	errLink    = errors.New("this link was used or has expired: run kubectl gatehouse ui")
	errSession = errors.New("there is no session, or it has ended: run kubectl gatehouse ui")
)

// hash is that of a secret. Secrets are found by their hash, so the duration of a search does not depend
// on how much of a guess is right.
type hash = [sha256.Size]byte

// Sessions has the links and the sessions of a server, in memory. It keeps no secret, only hashes.
type Sessions struct {
	limits Limits
	clock  clock.PassiveClock

	mu       sync.Mutex
	links    map[hash]*link
	sessions map[hash]*session
}

// link is a one-time link.
type link struct {
	owner Owner
	made  time.Time
}

// session is a session of a browser. The lock of Sessions guards used and open.
type session struct {
	owner      Owner
	ctx        context.Context
	end        context.CancelCauseFunc
	made, used time.Time
	// open has the number of requests in progress by kind.
	open map[string]int
}

// NewSessions returns an empty store.
func NewSessions(limits Limits, c clock.PassiveClock) *Sessions {
	return &Sessions{limits: limits, clock: c, links: map[hash]*link{}, sessions: map[hash]*session{}}
}

// NewSecret returns the secret of a link, and its hash for Offer.
func NewSecret() (secret string, sum [sha256.Size]byte) {
	secret = rand.Text() + rand.Text()
	return secret, sha256.Sum256([]byte(secret))
}

// Offer makes a link, which starts one session of the owner, and returns the time of its end.
func (s *Sessions) Offer(sum [sha256.Size]byte, owner Owner) (expires time.Time, err error) {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep(now)
	if s.links[sum] != nil {
		return time.Time{}, errors.New("this secret has a link already: use a new one")
	}
	var oldest hash
	same := 0
	for key, l := range s.links {
		if l.owner.Key != owner.Key {
			continue
		}
		if same++; same == 1 || l.made.Before(s.links[oldest].made) {
			oldest = key
		}
	}
	if same >= s.limits.LinksPerUser {
		s.forget(oldest)
	}
	if len(s.links) >= s.limits.Links {
		return time.Time{}, fmt.Errorf("%d links wait for their use: try again in a minute", len(s.links))
	}
	s.links[sum] = &link{owner: owner, made: now}
	return now.Add(s.limits.LinkLife), nil
}

// redeem starts the session of a link and returns the value of its cookie. A link is used up even if it
// starts none.
func (s *Sessions) redeem(ctx context.Context, secret string) (string, error) {
	sum := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	s.sweep(s.clock.Now())
	l := s.links[sum]
	delete(s.links, sum)
	s.mu.Unlock()
	if l == nil {
		return "", errLink
	}
	if l.owner.Check != nil && l.owner.Check(ctx) != nil {
		l.owner.ended()
		return "", errLink
	}
	cookie, err := s.start(l.owner)
	if err != nil {
		l.owner.ended()
	}
	return cookie, err
}

func (s *Sessions) start(owner Owner) (string, error) {
	now := s.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest hash
	same := 0
	for key, other := range s.sessions {
		if other.owner.Key != owner.Key {
			continue
		}
		if same++; same == 1 || other.used.Before(s.sessions[oldest].used) {
			oldest = key
		}
	}
	if same >= s.limits.SessionsPerUser {
		s.drop(oldest, fmt.Errorf("a newer session of the same user began, and %d is the limit", s.limits.SessionsPerUser))
	}
	if len(s.sessions) >= s.limits.Sessions {
		return "", fmt.Errorf("%d sessions are open: try again later", len(s.sessions))
	}
	ctx, end := context.WithCancelCause(context.Background())
	cookie := rand.Text() + rand.Text()
	s.sessions[sha256.Sum256([]byte(cookie))] = &session{owner: owner, ctx: ctx, end: end, made: now, used: now, open: map[string]int{}}
	return cookie, nil
}

// find returns the session of a cookie and records its use, or returns an error.
func (s *Sessions) find(ctx context.Context, cookie string) (*session, error) {
	sum := sha256.Sum256([]byte(cookie))
	s.mu.Lock()
	found := s.sessions[sum]
	s.mu.Unlock()
	if found == nil {
		return nil, errSession
	}
	if err := s.use(ctx, found); err != nil {
		return nil, err
	}
	return found, nil
}

// use records a use of a session, or ends it.
func (s *Sessions) use(ctx context.Context, used *session) error {
	now := s.clock.Now()
	s.mu.Lock()
	s.sweep(now)
	used.used = now
	s.mu.Unlock()
	if used.ctx.Err() != nil {
		return errSession
	}
	if used.owner.Check == nil {
		return nil
	}
	if err := used.owner.Check(ctx); err != nil && ctx.Err() == nil {
		s.stop(used, errors.New("the credentials with which the link was made are no longer valid: run kubectl gatehouse ui"))
		return errSession
	}
	return nil
}

// stop ends a session.
func (s *Sessions) stop(ended *session, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, candidate := range s.sessions {
		if candidate == ended {
			s.drop(key, cause)
		}
	}
}

// End ends all sessions and links with a cause, which the page shows.
func (s *Sessions) End(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.links {
		s.forget(key)
	}
	for key := range s.sessions {
		s.drop(key, cause)
	}
}

// drop ends a session; the lock is held.
func (s *Sessions) drop(key hash, cause error) {
	ended := s.sessions[key]
	delete(s.sessions, key)
	ended.end(cause)
	ended.owner.ended()
}

// forget ends a link that was not used; the lock is held.
func (s *Sessions) forget(key hash) {
	s.links[key].owner.ended()
	delete(s.links, key)
}

// sweep ends what is too old; the lock is held.
func (s *Sessions) sweep(now time.Time) {
	older := func(since time.Time, limit time.Duration) bool { return limit > 0 && now.Sub(since) >= limit }
	for key, l := range s.links {
		if older(l.made, s.limits.LinkLife) {
			s.forget(key)
		}
	}
	for key, candidate := range s.sessions {
		switch {
		case older(candidate.made, s.limits.Life):
			s.drop(key, fmt.Errorf("the session lasted %s, which is the limit: run kubectl gatehouse ui", s.limits.Life))
		case older(candidate.used, s.limits.Idle):
			s.drop(key, fmt.Errorf("the session was not used for %s: run kubectl gatehouse ui", s.limits.Idle))
		}
	}
}

// streams is the kind of requests that are also bounded for a user and for all.
const streams = "stream"

// mayStream reports whether a user may open one more stream; the lock is held.
func (s *Sessions) mayStream(user string) bool {
	all, same := 0, 0
	for _, other := range s.sessions {
		all += other.open[streams]
		if other.owner.Key == user {
			same += other.open[streams]
		}
	}
	return all < s.limits.Streams && same < s.limits.StreamsPerUser
}

// enter counts a request of a session that is in progress, unless there are too many of its kind.
func (s *Sessions) enter(in *session, kind string, most int) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.open[kind] >= most || kind == streams && !s.mayStream(in.owner.Key) {
		return nil, false
	}
	in.open[kind]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		in.open[kind]--
	}, true
}
