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
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// api is a fake API server whose responses to watches and lists are a script.
type api struct {
	mu       sync.Mutex
	requests []string
	// answers are used in order; the last one stays.
	answers []answer
}

// answer is a response.
type answer struct {
	code int
	// lines are events of a watch, or the body of another response.
	lines []string
	// open is true if the watch goes on.
	open bool
	// endless repeats the last line with changing numbers in place of NUMBER.
	endless bool
}

// ServeHTTP implements http.Handler.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.requests = append(a.requests, r.URL.Path+"?"+r.URL.RawQuery)
	next := a.answers[0]
	if len(a.answers) > 1 {
		a.answers = a.answers[1:]
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", mediaJSON)
	if next.code != 0 {
		w.WriteHeader(next.code)
	}
	for _, line := range next.lines {
		_, _ = io.WriteString(w, line+"\n")
	}
	for i := 0; next.endless; i++ {
		if _, err := io.WriteString(w, strings.ReplaceAll(next.lines[0], "NUMBER", fmt.Sprint(i))+"\n"); err != nil {
			return
		}
	}
	_ = http.NewResponseController(w).Flush()
	if next.open {
		<-r.Context().Done()
	}
}

func (a *api) seen() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.requests...)
}

func event(kind, name, version string) string {
	return fmt.Sprintf(`{"type":%q,"object":{"metadata":{"name":%q,"uid":"uid-%s","resourceVersion":%q}}}`, kind, name, name, version)
}

const (
	synced  = `{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"10","annotations":{"k8s.io/initial-events-end":"true"}}}}`
	expired = `{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}`
	watched = "/apis/fleet.gatehouse.dev/v1alpha1/hosts"
)

// line is a line of a stream.
type line struct {
	S int `json:"s"`
	E struct {
		Type   string `json:"type"`
		Object object `json:"object"`
	} `json:"e"`
	Reset, Synced bool
	Error         *status
	Heartbeat     string
	End           string
}

// word names a line in a script.
func (l line) word() string {
	switch {
	case l.Reset:
		return "reset"
	case l.Synced:
		return "synced"
	case l.Error != nil:
		return fmt.Sprintf("error %d %s", l.Error.Code, l.Error.Reason)
	case l.End != "":
		return "end " + l.End
	case l.E.Type != "":
		return l.E.Type + " " + l.E.Object.Metadata.Name
	}
	return ""
}

// await reads lines until the latest ones are as wanted. What a reset makes obsolete may be missing.
func await(t *testing.T, scanner *bufio.Scanner, want string) {
	t.Helper()
	var all []string
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatalf("%s: %v", scanner.Bytes(), err)
		}
		if word := l.word(); word != "" {
			all = append(all, word)
		}
		if got := strings.Join(all, ", "); got == want || strings.HasSuffix(got, ", "+want) {
			return
		}
	}
	t.Fatalf("got %s\nwant %s", strings.Join(all, ", "), want)
}

func TestACollectionIsFollowed(t *testing.T) {
	for _, c := range []struct {
		name     string
		answers  []answer
		want     string
		requests []string
	}{
		{
			name:     "with initial events",
			answers:  []answer{{lines: []string{event(added, "a", "3"), synced, event(modified, "b", "11"), event(deleted, "c", "12")}, open: true}},
			want:     "ADDED a, synced, MODIFIED b, DELETED c",
			requests: []string{"sendInitialEvents=true"},
		},
		{
			name:     "after a lost connection from where it was",
			answers:  []answer{{lines: []string{event(added, "a", "3"), synced, event(added, "b", "11")}}, {lines: []string{event(added, "c", "12")}, open: true}},
			want:     "ADDED a, synced, ADDED b, ADDED c",
			requests: []string{"sendInitialEvents=true", "resourceVersion=11"},
		},
		{
			name:     "anew if the connection is lost among the initial events",
			answers:  []answer{{lines: []string{event(added, "a", "3")}}, {lines: []string{event(added, "a", "3"), synced}, open: true}},
			want:     "reset, ADDED a, synced",
			requests: []string{"sendInitialEvents=true", "sendInitialEvents=true"},
		},
		{
			name:     "anew if the version has expired",
			answers:  []answer{{lines: []string{synced, expired}}, {lines: []string{event(added, "b", "20"), synced}, open: true}},
			want:     "reset, ADDED b, synced",
			requests: []string{"sendInitialEvents=true", "sendInitialEvents=true"},
		},
		{
			name:     "anew if the version has expired at the start of a watch",
			answers:  []answer{{lines: []string{synced}}, {code: http.StatusGone}, {lines: []string{event(added, "b", "20"), synced}, open: true}},
			want:     "reset, ADDED b, synced",
			requests: []string{"sendInitialEvents=true", "resourceVersion=10", "sendInitialEvents=true"},
		},
		{
			name: "by a list in pages if the server sends no initial events",
			answers: []answer{
				{code: http.StatusUnprocessableEntity, lines: []string{`{"message":"sendInitialEvents is forbidden"}`}},
				{lines: []string{`{"metadata":{"resourceVersion":"7","continue":"more"},"items":[{"metadata":{"name":"a"}}]}`}},
				{lines: []string{`{"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"b"}}]}`}},
				{lines: []string{event(modified, "c", "8")}, open: true},
			},
			want:     "ADDED a, ADDED b, synced, MODIFIED c",
			requests: []string{"sendInitialEvents=true", "limit=100", "continue=more", "resourceVersion=7"},
		},
		{
			name:     "again after a refusal",
			answers:  []answer{{code: http.StatusForbidden, lines: []string{`{"message":"no","reason":"Forbidden","code":403}`}}, {lines: []string{event(added, "a", "3"), synced}, open: true}},
			want:     "error 403 Forbidden, ADDED a, synced",
			requests: []string{"sendInitialEvents=true", "sendInitialEvents=true"},
		},
		{
			name:     "again after a failure, with a sign that it is over",
			answers:  []answer{{lines: []string{event(added, "a", "3"), synced}}, {code: http.StatusServiceUnavailable}, {open: true}},
			want:     "ADDED a, synced, error 503 ServiceUnavailable, synced",
			requests: []string{"sendInitialEvents=true", "resourceVersion=10", "resourceVersion=10"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			upstream := &api{answers: c.answers}
			p := serve(t, upstream.ServeHTTP, false)
			scanner, _ := p.Follow(t, "watch="+watched)
			await(t, scanner, c.want)
			requests := upstream.seen()
			if len(requests) < len(c.requests) {
				t.Fatalf("the requests are %q", requests)
			}
			for i, want := range c.requests {
				if !strings.HasPrefix(requests[i], watched+"?") || !strings.Contains(requests[i], want) {
					t.Errorf("request %d is %s, without %s", i+1, requests[i], want)
				}
			}
		})
	}
}

func TestOneStreamFollowsSeveralCollections(t *testing.T) {
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] + "?" + r.URL.Query().Get("labelSelector")
		(&api{answers: []answer{{lines: []string{event(added, name, "3")}, open: true}}}).ServeHTTP(w, r)
	}, false)
	scanner, response := p.Follow(t, "watch=%2Fapi%2Fv1%2Fnamespaces%3FlabelSelector%3Da%253Db&watch="+watched)
	if got := response.Header.Get("Content-Type"); !strings.HasPrefix(got, "application/x-ndjson") {
		t.Errorf("the type is %s", got)
	}
	got, heartbeats := map[int]string{}, 0
	for (len(got) < 2 || heartbeats < 3) && scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		if l.E.Type != "" {
			got[l.S] = l.E.Object.Metadata.Name
		}
		if _, err := time.Parse(time.RFC3339, l.Heartbeat); err == nil {
			heartbeats++
		}
	}
	if got[0] != "namespaces?a=b" || got[1] != "hosts?" {
		t.Errorf("got %v", got)
	}
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	for name, end := range map[string]func(*page, *session){
		"the proxy stops":     func(p *page, _ *session) { p.handler.Sessions.End(errors.New("stopped")) },
		"the user is revoked": func(_ *page, s *session) { s.owner.Ended() },
	} {
		t.Run(name, func(t *testing.T) {
			p := serve(t, (&api{answers: []answer{{open: true}}}).ServeHTTP, false)
			var revoked error
			var lock sync.Mutex
			p.owner.Check = func(context.Context) error {
				lock.Lock()
				defer lock.Unlock()
				return revoked
			}
			p.owner.Ended = func() {
				lock.Lock()
				defer lock.Unlock()
				revoked = errors.New("revoked")
			}
			p.Enter(t, p.secret(t))
			scanner, _ := p.Follow(t, "watch="+watched)
			scanner.Scan() // the heartbeat: the stream is open
			found, err := p.handler.Sessions.find(t.Context(), p.Cookie.Value)
			if err != nil {
				t.Fatal(err)
			}
			end(p, found)
			last := ""
			for scanner.Scan() {
				last = scanner.Text()
			}
			if !strings.HasPrefix(last, `{"end":"`) || scanner.Err() != nil {
				t.Errorf("the last line is %s (%v)", last, scanner.Err())
			}
			if response, _ := p.Send(t, http.MethodGet, hostsPath, "", nil); response.StatusCode != http.StatusUnauthorized {
				t.Errorf("the session goes on: %s", response.Status)
			}
		})
	}
}

func TestABrowserThatDoesNotReadLosesItsStream(t *testing.T) {
	ended := make(chan struct{})
	object := `{"type":"ADDED","object":{"metadata":{"name":"NUMBER","uid":"NUMBER"},"data":"` + strings.Repeat("a", 10000) + `"}}`
	p := serve(t, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		(&api{answers: []answer{{lines: []string{object}, endless: true}}}).ServeHTTP(w, r)
	}, false)
	_, response := p.Follow(t, "watch="+watched)
	if response.StatusCode != http.StatusOK {
		t.Fatal(response.Status)
	}
	// Nothing is read. The API server's side ends although it never stops sending.
	select {
	case <-ended:
	case <-t.Context().Done():
	}
}

func TestStreamsOfASessionAreBounded(t *testing.T) {
	p := serve(t, (&api{answers: []answer{{open: true}}}).ServeHTTP, false)
	for range mostStreams {
		if _, response := p.Follow(t, "watch="+watched); response.StatusCode != http.StatusOK {
			t.Fatal(response.Status)
		}
	}
	if _, response := p.Follow(t, "watch="+watched); response.StatusCode != http.StatusTooManyRequests {
		t.Errorf("a stream too many: %s", response.Status)
	}
	if response, _ := p.Send(t, http.MethodGet, "/ui/", "", nil); response.StatusCode != http.StatusOK {
		t.Errorf("other requests: %s", response.Status)
	}
}
