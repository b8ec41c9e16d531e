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

package app

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

const (
	// reconnectPause is the time between two attempts to watch.
	reconnectPause = time.Second
	// searchInterval is the time between two searches for further servers. The end of a watch starts one, too.
	searchInterval = time.Minute
	// namingTime is the time within which a watch names its server by a bookmark.
	namingTime = 2 * time.Second
)

// follower prints the refused requests of all servers behind an address. Each has a watch over a connection of
// its own.
type follower struct {
	*whyCommand
	traces *traces
	begun  time.Time
	// ended has an element after the end of a watch.
	ended chan struct{}

	// mu also guards the output.
	mu      sync.Mutex
	servers map[string]*followed
	failed  error
}

// followed is the position in the requests of a server.
type followed struct {
	watched bool
	// version is that of the latest request; 0 before the first one. since is the time after which requests are new,
	// whatever their version: that of the latest one, or of the start of the command.
	version uint64
	since   time.Time
}

// followRefusals prints each refused request until the context ends. It continues after a restart of a server, and
// follows servers that start later.
func (c *whyCommand) followRefusals(ctx context.Context, t *traces) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &follower{whyCommand: c, traces: t, begun: time.Now(), ended: make(chan struct{}, 1), servers: map[string]*followed{}}
	for again, silent := false, false; ; again = true {
		err := f.search(ctx, again)
		switch {
		case f.failure() != nil:
			return f.failure()
		case ctx.Err() != nil:
			return nil
		case err != nil && (!again || final(err)):
			return served(err)
		case err != nil && !silent && f.watches() == 0:
			silent = true
			f.note("The server does not respond, trying again: %s\n", block(unreachable(err).Error()))
		case err == nil:
			silent = false
		}
		interval := searchInterval
		if err != nil {
			interval = reconnectPause
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		case <-f.ended:
			// The server ends watches after some minutes.
			select {
			case <-ctx.Done():
			case <-time.After(reconnectPause):
			}
		}
	}
}

func (f *follower) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fmt.Fprintf(f.Err, format, args...)
}

// failure returns the error of the output.
func (f *follower) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// watches returns the number of servers that are followed.
func (f *follower) watches() (count int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, server := range f.servers {
		if server.watched {
			count++
		}
	}
	return count
}

// final reports whether an error is one of the request and not of the moment.
func final(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsBadRequest(err) || apierrors.IsInvalid(err) || apierrors.IsMethodNotSupported(err)
}

// search begins to follow the servers that are not followed. again is false for the first search.
func (f *follower) search(ctx context.Context, again bool) error {
	known, err := f.traces.each(ctx, passing)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		known = []string{""} // the server has no identity
	}
	f.mu.Lock()
	missing := slices.DeleteFunc(known, func(name string) bool { return f.servers[name] != nil && f.servers[name].watched })
	f.mu.Unlock()
	var found []string
	for attempt := 0; attempt < mostConnections && len(missing) > 0; attempt++ {
		server, added, err := f.open(ctx, again)
		if err != nil {
			return err
		}
		missing = slices.DeleteFunc(missing, func(name string) bool { return name == server })
		if added {
			found = append(found, server)
		} else if _, err := f.traces.next(ctx); err != nil {
			return err
		}
	}
	switch slices.Sort(found); {
	case len(found) > 1:
		f.note("Following the refused requests of %s.\n", serversText(found))
	case len(found) == 1 && f.watches() > 1:
		f.note("Following the refused requests of %s, too.\n", serversText(found))
	}
	if len(missing) > 0 {
		f.note("No connection leads to %s: its refused requests are not followed.\n", serversText(missing))
	}
	return nil
}

// open opens a watch and returns its server. It ends the watch if the server is followed already.
func (f *follower) open(ctx context.Context, again bool) (server string, added bool, err error) {
	t := &traces{config: f.traces.config}
	if err := t.reconnect(); err != nil {
		return "", false, err
	}
	options := refusals()
	options.AllowWatchBookmarks, options.SendInitialEvents, options.ResourceVersionMatch = true, ptr.To(again), metav1.ResourceVersionMatchNotOlderThan
	events, err := t.client.Watch(ctx, options)
	if err != nil {
		return "", false, err
	}
	var first *v1alpha1.RequestTrace
	select {
	case event := <-events.ResultChan():
		if first, _ = event.Object.(*v1alpha1.RequestTrace); first != nil {
			server = first.Server
		}
		f.mu.Lock()
		position := f.servers[server]
		if position == nil {
			position = &followed{since: f.begun}
			f.servers[server] = position
		}
		added, position.watched = !position.watched, true
		f.mu.Unlock()
		if added {
			go f.consume(ctx, t, position, event, events)
			return server, true, nil
		}
	case <-time.After(namingTime):
		err = apierrors.NewTimeoutError("the server does not name itself: it is older than this plugin", 0)
	case <-ctx.Done():
		err = ctx.Err()
	}
	events.Stop()
	return server, false, err
}

// consume prints the requests of one watch, to its end.
func (f *follower) consume(ctx context.Context, t *traces, position *followed, event watch.Event, events watch.Interface) {
	defer func() {
		f.mu.Lock()
		position.watched = false
		f.mu.Unlock()
		select {
		case f.ended <- struct{}{}:
		default:
		}
	}()
	defer events.Stop()
	for open := true; open; event, open = <-events.ResultChan() {
		trace, ok := event.Object.(*v1alpha1.RequestTrace)
		if !ok {
			return // an error: the server no longer has what follows
		}
		if !position.passes(event.Type, trace) {
			continue
		}
		// A watch has no near misses.
		if found, err := t.find(ctx, trace.Name); err == nil {
			trace = found
		}
		if err := f.show(trace); err != nil {
			return
		}
	}
}

// passes reports whether an event has a new request, and moves the position. Only the watch of the server uses it.
func (p *followed) passes(kind watch.EventType, trace *v1alpha1.RequestTrace) bool {
	version, _ := strconv.ParseUint(trace.ResourceVersion, 10, 64)
	isNew := kind == watch.Added && (trace.ReceivedTime.After(p.since) || p.version != 0 && version > p.version)
	if kind == watch.Added && trace.ReceivedTime.After(p.since) {
		p.since = trace.ReceivedTime.Time
	}
	if kind == watch.Bookmark || isNew {
		p.version = max(p.version, version)
	}
	return isNew
}

func (f *follower) show(trace *v1alpha1.RequestTrace) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.print(trace)
	if err == nil && f.output == "" {
		_, err = fmt.Fprintln(f.Out)
	}
	if err != nil {
		f.failed = err
	}
	return err
}
