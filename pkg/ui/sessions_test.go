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
	"errors"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"
)

// store is a store with a fake clock, whose limits are small.
func store() (*Sessions, *clocktesting.FakePassiveClock) {
	clock := clocktesting.NewFakePassiveClock(time.Unix(1e9, 0))
	limits := Limits{Links: 4, LinksPerUser: 2, Sessions: 4, SessionsPerUser: 2, Streams: 3, StreamsPerUser: 2, LinkLife: time.Minute, Life: 8 * time.Hour, Idle: 30 * time.Minute}
	return NewSessions(limits, clock), clock
}

// offered makes a link and returns its secret.
func offered(t *testing.T, s *Sessions, owner Owner) string {
	t.Helper()
	secret, sum := NewSecret()
	if _, err := s.Offer(sum, owner); err != nil {
		t.Fatal(err)
	}
	return secret
}

// begun makes a session and returns its cookie.
func begun(t *testing.T, s *Sessions, owner Owner) string {
	t.Helper()
	cookie, err := s.redeem(t.Context(), offered(t, s, owner))
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

func open(t *testing.T, s *Sessions, cookie string) bool {
	t.Helper()
	_, err := s.find(t.Context(), cookie)
	return err == nil
}

func TestALinkStartsOneSessionInItsTime(t *testing.T) {
	s, clock := store()
	secret := offered(t, s, Owner{Key: "ann"})
	if cookie, err := s.redeem(t.Context(), secret); err != nil || !open(t, s, cookie) {
		t.Fatalf("the link starts no session: %v", err)
	}
	if _, err := s.redeem(t.Context(), secret); !errors.Is(err, errLink) {
		t.Errorf("a used link: %v", err)
	}
	ended := 0
	late := offered(t, s, Owner{Key: "ann", Ended: func() { ended++ }})
	clock.SetTime(clock.Now().Add(time.Minute))
	if _, err := s.redeem(t.Context(), late); !errors.Is(err, errLink) || ended != 1 {
		t.Errorf("an expired link: %v, ended %d times", err, ended)
	}
	if _, err := s.redeem(t.Context(), "guess"); !errors.Is(err, errLink) {
		t.Errorf("a guess: %v", err)
	}
	revoked := offered(t, s, Owner{Key: "ann", Check: func(context.Context) error { return errors.New("revoked") }})
	if _, err := s.redeem(t.Context(), revoked); !errors.Is(err, errLink) {
		t.Errorf("a link of a revoked user: %v", err)
	}
}

func TestASecretHasOneLink(t *testing.T) {
	s, _ := store()
	_, sum := NewSecret()
	if _, err := s.Offer(sum, Owner{Key: "ann"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Offer(sum, Owner{Key: "mallory"}); err == nil {
		t.Error("another user gets a link with the same hash")
	}
}

func TestASessionEndsByAgeIdlenessAndRevocation(t *testing.T) {
	s, clock := store()
	var revoked error
	ended := 0
	cookie := begun(t, s, Owner{Key: "ann", Check: func(context.Context) error { return revoked }, Ended: func() { ended++ }})
	for range 15 {
		clock.SetTime(clock.Now().Add(29 * time.Minute))
		if !open(t, s, cookie) {
			t.Fatal("a session in use ends")
		}
	}
	found, _ := s.find(t.Context(), cookie)
	clock.SetTime(clock.Now().Add(30 * time.Minute))
	if open(t, s, cookie) || ended != 1 || found.ctx.Err() == nil {
		t.Errorf("an idle session goes on, ended %d times", ended)
	}
	cookie = begun(t, s, Owner{Key: "ann"})
	for i := range 17 {
		clock.SetTime(clock.Now().Add(29 * time.Minute))
		if used := open(t, s, cookie); used != (i < 16) {
			t.Fatalf("after %d times 29 minutes it is open: %v", i+1, used)
		}
	}
	cookie = begun(t, s, Owner{Key: "ann", Check: func(context.Context) error { return revoked }})
	revoked = errors.New("revoked")
	if open(t, s, cookie) {
		t.Error("the session of a revoked user goes on")
	}
	revoked = nil
	if open(t, s, cookie) {
		t.Error("the session of a revoked user begins again")
	}
}

func TestLinksAndSessionsAreBounded(t *testing.T) {
	s, clock := store()
	first := begun(t, s, Owner{Key: "ann"})
	clock.SetTime(clock.Now().Add(time.Second))
	second := begun(t, s, Owner{Key: "ann"})
	clock.SetTime(clock.Now().Add(time.Second))
	third := begun(t, s, Owner{Key: "ann"})
	if open(t, s, first) || !open(t, s, second) || !open(t, s, third) {
		t.Error("the session that was not used for the longest time does not end for a new one")
	}
	begun(t, s, Owner{Key: "bob"})
	begun(t, s, Owner{Key: "bob"})
	if _, err := s.redeem(t.Context(), offered(t, s, Owner{Key: "eve"})); err == nil || errors.Is(err, errLink) {
		t.Errorf("a session too many: %v", err)
	}
	oldest := offered(t, s, Owner{Key: "ann"})
	clock.SetTime(clock.Now().Add(time.Second))
	for range 2 {
		offered(t, s, Owner{Key: "ann"})
	}
	if _, err := s.redeem(t.Context(), oldest); !errors.Is(err, errLink) {
		t.Errorf("the oldest link of a user: %v", err)
	}
	for _, user := range []string{"bob", "eve"} {
		offered(t, s, Owner{Key: user})
	}
	if _, err := s.Offer([32]byte{}, Owner{Key: "mallory"}); err == nil {
		t.Error("a link too many")
	}
}

func TestRequestsOfASessionAreBounded(t *testing.T) {
	s, _ := store()
	found, err := s.find(t.Context(), begun(t, s, Owner{Key: "ann"}))
	if err != nil {
		t.Fatal(err)
	}
	leave, ok := s.enter(found, "stream", 1)
	if !ok {
		t.Fatal("the first stream is refused")
	}
	if _, ok := s.enter(found, "stream", 1); ok {
		t.Error("a stream too many")
	}
	leave()
	if _, ok := s.enter(found, "stream", 1); !ok {
		t.Error("a stream is refused after the end of another")
	}
}

func TestStreamsOfAUserAndOfAllAreBounded(t *testing.T) {
	s, _ := store()
	enter := func(user string) bool {
		found, err := s.find(t.Context(), begun(t, s, Owner{Key: user}))
		if err != nil {
			t.Fatal(err)
		}
		_, ok := s.enter(found, streams, 10)
		return ok
	}
	if !enter("ann") || !enter("bob") {
		t.Fatal("the first streams are refused")
	}
	// Each has one stream in a session. Another session of ann's gets her second, and none a third.
	found, err := s.find(t.Context(), begun(t, s, Owner{Key: "ann"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.enter(found, streams, 10); !ok {
		t.Error("the second stream of a user is refused")
	}
	if _, ok := s.enter(found, streams, 10); ok {
		t.Error("a stream of a user too many")
	}
	if _, ok := s.enter(found, "read", 10); !ok {
		t.Error("a read is refused")
	}
	if enter("eve") {
		t.Error("a stream of all too many")
	}
}
