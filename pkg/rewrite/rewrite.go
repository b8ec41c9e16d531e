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

// Package rewrite updates the objects of a resource without a change. A server stores such an update only
// if its stored bytes change: with another key of encryption at rest, or in another version of the kind.
//
// A client like any other: the commands of pkg/encryption and the controller
// storage-version-migrator-controller call Resource. Read Rewriter.
package rewrite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"
)

const (
	pageSize = 500
	// writers is the number of concurrent updates: each waits for etcd's disk, which syncs several at once.
	writers = 8
)

// transient bounds the retries of a request that a restarting or busy server did not answer: half a minute.
var transient = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 1.6, Steps: 10, Cap: 10 * time.Second}

// Tally counts objects by what became of them.
type Tally struct {
	// Rewritten objects were stored again, Current ones had the right bytes already, Changed ones were written
	// or deleted by another client meanwhile, and Skipped ones were not due.
	Rewritten, Current, Changed, Skipped int
	// Failed has an error for each object that the server refused to update.
	Failed []error
}

// Add adds another tally.
func (t *Tally) Add(other Tally) {
	t.Rewritten += other.Rewritten
	t.Current += other.Current
	t.Changed += other.Changed
	t.Skipped += other.Skipped
	t.Failed = append(t.Failed, other.Failed...)
}

// Done returns the number of objects that need no update any more.
func (t *Tally) Done() int { return t.Rewritten + t.Current + t.Changed + t.Skipped }

// Rewriter updates objects without a change.
type Rewriter struct {
	Client metadata.Interface
	// Limiter bounds the updates.
	Limiter flowcontrol.RateLimiter
	// Manager is the field manager of the updates. It owns no field, because they change none.
	Manager string
	// Due reports whether an object is to be updated; nil for all.
	Due func(*metav1.PartialObjectMetadata) bool
	// Page is called after each page with the tallies of all pages and of this one. An error ends the run.
	Page func(total, page Tally, list *metav1.PartialObjectMetadataList) error
	// retries are transient, but in tests.
	retries *wait.Backoff
}

// unreachedError is the error of a request that no server has answered, in all retries. Requests for further
// objects would end in the same way.
type unreachedError struct{ error }

// Unwrap returns the error of the request.
func (e *unreachedError) Unwrap() error { return e.error }

// Resource updates the objects of a resource in pages. It returns an error if the objects cannot be listed, if
// no server answers any more, or if Page returns one; the tally has those of single objects.
func (r *Rewriter) Resource(ctx context.Context, t schema.GroupVersionResource) (Tally, error) {
	var total Tally
	client := r.Client.Resource(t)
	options := metav1.ListOptions{Limit: pageSize}
	for {
		var page *metav1.PartialObjectMetadataList
		err := r.retried(ctx, func() (err error) {
			page, err = client.List(ctx, options)
			return err
		})
		if apierrors.IsResourceExpired(err) {
			// The history of the first page was compacted: a server may offer to go on from the current state. A
			// second list from the start finds rewritten objects current.
			options.Continue = continueOf(err)
			continue
		}
		if err != nil {
			return total, err
		}
		one, err := r.page(ctx, client, page.Items)
		total.Add(one)
		if err != nil {
			return total, err
		}
		if r.Page != nil {
			if err := r.Page(total, one, page); err != nil {
				return total, err
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return total, nil
		}
	}
}

func continueOf(err error) string {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Continue
	}
	return ""
}

// page updates the objects of a page. It ends with an error if the context has ended or no server answers.
func (r *Rewriter) page(ctx context.Context, client metadata.Getter, items []metav1.PartialObjectMetadata) (Tally, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var mu sync.Mutex
	var total Tally
	workqueue.ParallelizeUntil(ctx, writers, len(items), func(i int) {
		one := r.object(ctx, client, &items[i])
		mu.Lock()
		defer mu.Unlock()
		total.Add(one)
		for _, err := range one.Failed {
			if unreached := (*unreachedError)(nil); errors.As(err, &unreached) {
				end(fmt.Errorf("the server does not answer: start it and run the command again: %w", err))
			}
		}
	})
	return total, context.Cause(ctx)
}

// object updates one object without a change, and tells by its version whether it was stored.
func (r *Rewriter) object(ctx context.Context, client metadata.Getter, item *metav1.PartialObjectMetadata) Tally {
	if r.Due != nil && !r.Due(item) {
		return Tally{Skipped: 1}
	}
	if err := r.Limiter.Wait(ctx); err != nil {
		return Tally{Failed: []error{err}}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": item.UID, "resourceVersion": item.ResourceVersion}})
	if err != nil {
		return Tally{Failed: []error{err}}
	}
	var namespaced metadata.ResourceInterface = client
	if item.Namespace != "" {
		namespaced = client.Namespace(item.Namespace)
	}
	var after *metav1.PartialObjectMetadata
	err = r.retried(ctx, func() (err error) {
		after, err = namespaced.Patch(ctx, item.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: r.Manager})
		return err
	})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		// The object has been written as the server writes now, or it is gone.
		return Tally{Changed: 1}
	case err != nil:
		return Tally{Failed: []error{fmt.Errorf("%s/%s: %w", item.Namespace, item.Name, err)}}
	case after.ResourceVersion == item.ResourceVersion:
		return Tally{Current: 1}
	}
	return Tally{Rewritten: 1}
}

// retried repeats a request that a server could not answer for now.
func (r *Rewriter) retried(ctx context.Context, request func() error) error {
	backoff := transient
	if r.retries != nil {
		backoff = *r.retries
	}
	for {
		err := request()
		switch {
		case backoff.Steps <= 0 && unreached(err):
			return &unreachedError{err}
		case backoff.Steps <= 0 || !Unanswered(err):
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(backoff.Step()):
		}
	}
}

// Unanswered reports whether a server could not answer a request for now, or could not be reached.
func Unanswered(err error) bool {
	busy := apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsTimeout(err)
	return busy || unreached(err)
}

// unreached reports whether there was no server, or none that completed the response.
func unreached(err error) bool {
	return err != nil && (utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err))
}
