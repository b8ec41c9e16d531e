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
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// reconnectPause is the time between two attempts to watch.
const reconnectPause = time.Second

// followed is the position of --follow.
type followed struct {
	// version is that of the last event; empty before the first one, and after the server has lost it.
	version string
	// since is the time after which requests are new: that of the latest one, or of the start.
	since time.Time
	// begun is true after the first watch, and silent while no server responds.
	begun, silent bool
}

// options are those of the next watch: of refusals from now on, after the version, or, if that is lost, of
// all in memory, from which the new ones are taken.
func (f *followed) options() metav1.ListOptions {
	options := refusals()
	options.AllowWatchBookmarks, options.ResourceVersion = true, f.version
	if f.version == "" {
		options.SendInitialEvents, options.ResourceVersionMatch = ptr.To(f.begun), metav1.ResourceVersionMatchNotOlderThan
	}
	return options
}

// followRefusals prints each refused request until the context ends. It continues after a restart of the
// server, and after a change to another one.
func (c *whyCommand) followRefusals(ctx context.Context, t *traces) error {
	if servers, err := t.each(ctx, passing); err != nil {
		return err
	} else if len(servers) > 1 {
		fmt.Fprintf(c.Err, "Each of %s has its own requests: this follows those of one of them.\n", serversText(servers))
	}
	position := &followed{since: time.Now()}
	for {
		events, err := t.client.Watch(ctx, position.options())
		switch {
		case ctx.Err() != nil:
			return nil
		case apierrors.IsResourceExpired(err) && position.version != "":
			position.version = ""
			continue
		case err != nil && (!position.begun || final(err)):
			return served(err)
		case err != nil:
			if !position.silent {
				fmt.Fprintf(c.Err, "The server does not respond, trying again: %s\n", block(unreachable(err).Error()))
			}
			position.silent = true
		default:
			again := position.begun && position.version == ""
			position.begun, position.silent = true, false
			if err := c.printRefusals(ctx, t, position, events.ResultChan(), again); err != nil {
				return err
			}
		}
		// The server ends watches after some minutes.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(reconnectPause):
		}
	}
}

// final reports whether an error is one of the request and not of the moment.
func final(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsBadRequest(err) || apierrors.IsInvalid(err) || apierrors.IsMethodNotSupported(err)
}

// printRefusals prints the requests of one watch, to its end. If the watch begins again with all requests
// in memory, it prints the new ones of these.
func (c *whyCommand) printRefusals(ctx context.Context, t *traces, position *followed, events <-chan watch.Event, again bool) error {
	for event := range events {
		trace, ok := event.Object.(*v1alpha1.RequestTrace)
		if !ok {
			position.version = "" // an error: the server no longer has what follows the version
			continue
		}
		position.version = trace.ResourceVersion
		if event.Type == watch.Bookmark && trace.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
			again = false
		}
		if event.Type != watch.Added || again && !trace.ReceivedTime.After(position.since) {
			continue
		}
		if trace.ReceivedTime.After(position.since) {
			position.since = trace.ReceivedTime.Time
		}
		// A watch has no near misses.
		if err := c.print(t.whole(ctx, trace)); err != nil {
			return err
		}
		if c.output == "" {
			fmt.Fprintln(c.Out)
		}
	}
	return nil
}
