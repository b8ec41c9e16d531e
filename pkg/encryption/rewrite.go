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

package encryption

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/client-go/util/workqueue"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

const (
	pageSize = 500
	// writers is the number of concurrent updates: each waits for etcd's disk, which syncs several at once.
	writers = 8
	// maxNamed bounds the objects that an error names.
	maxNamed = 5
	// manager is the field manager of the updates. It owns no field, because they change none.
	manager = "gatehouse-encryption"
)

// transient bounds the retries of a request that a restarting or busy server did not answer: half a minute.
var transient = wait.Backoff{Duration: 250 * time.Millisecond, Factor: 1.6, Steps: 10, Cap: 10 * time.Second}

// tally counts objects by what became of them.
type tally struct {
	// rewritten objects were stored again, current ones were stored with the right key already, and changed
	// ones were written or deleted by another client meanwhile.
	rewritten, current, changed int
	failed                      []error
}

func (t *tally) add(other tally) {
	t.rewritten += other.rewritten
	t.current += other.current
	t.changed += other.changed
	t.failed = append(t.failed, other.failed...)
}

// rewriter updates every object without a change. A server stores such an update only if the object is
// stored with another key than the one with which it writes.
type rewriter struct {
	client  metadata.Interface
	limiter flowcontrol.RateLimiter
	notes   io.Writer
}

// rewrite updates all objects of all resources once.
func (o *Options) rewrite(ctx context.Context, s *session, notes io.Writer) (tally, error) {
	targets, readOnly, err := targetsOf(s.discovery)
	if err != nil {
		return tally{}, err
	}
	limiter := flowcontrol.NewFakeAlwaysRateLimiter()
	if o.QPS > 0 {
		limiter = flowcontrol.NewTokenBucketRateLimiter(o.QPS, max(1, int(o.QPS)))
	}
	r := &rewriter{client: s.metadata, limiter: limiter, notes: notes}
	var total tally
	for _, t := range targets {
		one, err := r.resource(ctx, t)
		total.add(one)
		if err != nil {
			return total, fmt.Errorf("%s: %w", t.GroupResource(), err)
		}
	}
	fmt.Fprintf(notes, "%d resources: %d objects rewritten, %d stored with the right key already, %d changed or deleted meanwhile\n", len(targets), total.rewritten, total.current, total.changed)
	if len(readOnly) > 0 {
		total.failed = append(total.failed, fmt.Errorf("objects of %s cannot be updated by any client, so they keep the key with which they were created", strings.Join(readOnly, ", ")))
	}
	if failed := len(total.failed); failed > 0 {
		return total, fmt.Errorf("%d objects or resources were not rewritten: %w", failed, errors.Join(total.failed[:min(failed, maxNamed)]...))
	}
	return total, nil
}

// targetsOf returns what discovery lists with the verbs list and patch, and the resources that can be listed
// and not be changed. What cannot be listed is not stored, and request traces are only in memory.
func targetsOf(client discovery.DiscoveryInterface) (targets []schema.GroupVersionResource, readOnly []string, err error) {
	lists, err := client.ServerPreferredResources()
	if err != nil {
		return nil, nil, fmt.Errorf("the kinds of the server cannot be listed: %w", err)
	}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return nil, nil, err
		}
		if version.Group == diagnostics.GroupName {
			continue
		}
		for _, resource := range list.APIResources {
			gvr := version.WithResource(resource.Name)
			switch {
			case strings.Contains(resource.Name, "/"), !slices.Contains(resource.Verbs, "list"):
			case !slices.Contains(resource.Verbs, "patch"):
				readOnly = append(readOnly, gvr.GroupResource().String())
			default:
				targets = append(targets, gvr)
			}
		}
	}
	return withoutTwins(targets), readOnly, nil
}

// withoutTwins removes events of events.k8s.io if there are those of the core group, which are the same objects.
func withoutTwins(targets []schema.GroupVersionResource) []schema.GroupVersionResource {
	events := func(group string) func(schema.GroupVersionResource) bool {
		return func(t schema.GroupVersionResource) bool { return t.Resource == "events" && t.Group == group }
	}
	if !slices.ContainsFunc(targets, events("")) {
		return targets
	}
	return slices.DeleteFunc(targets, events("events.k8s.io"))
}

// resource rewrites the objects of a resource in pages.
func (r *rewriter) resource(ctx context.Context, t schema.GroupVersionResource) (tally, error) {
	var total tally
	client := r.client.Resource(t)
	options := metav1.ListOptions{Limit: pageSize}
	for {
		var page *metav1.PartialObjectMetadataList
		err := retried(ctx, func() (err error) {
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
		one := r.page(ctx, client, page.Items)
		total.add(one)
		if ctx.Err() != nil {
			return total, ctx.Err()
		}
		if n := total.rewritten + total.current + total.changed + len(total.failed); one.rewritten > 0 || page.Continue != "" {
			fmt.Fprintf(r.notes, "  %s: %d of %d objects rewritten%s\n", t.GroupResource(), total.rewritten, n, remaining(page))
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return total, nil
		}
	}
}

func remaining(page *metav1.PartialObjectMetadataList) string {
	if page.RemainingItemCount == nil {
		return ""
	}
	return fmt.Sprintf(", about %d to go", *page.RemainingItemCount)
}

func continueOf(err error) string {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Continue
	}
	return ""
}

// page rewrites the objects of a page.
func (r *rewriter) page(ctx context.Context, client metadata.Getter, items []metav1.PartialObjectMetadata) tally {
	var mu sync.Mutex
	var total tally
	workqueue.ParallelizeUntil(ctx, writers, len(items), func(i int) {
		one := r.object(ctx, client, &items[i])
		mu.Lock()
		defer mu.Unlock()
		total.add(one)
	})
	return total
}

// object updates one object without a change, and tells by its version whether it was stored.
func (r *rewriter) object(ctx context.Context, client metadata.Getter, item *metav1.PartialObjectMetadata) tally {
	if err := r.limiter.Wait(ctx); err != nil {
		return tally{failed: []error{err}}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": item.UID, "resourceVersion": item.ResourceVersion}})
	if err != nil {
		return tally{failed: []error{err}}
	}
	var namespaced metadata.ResourceInterface = client
	if item.Namespace != "" {
		namespaced = client.Namespace(item.Namespace)
	}
	var after *metav1.PartialObjectMetadata
	err = retried(ctx, func() (err error) {
		after, err = namespaced.Patch(ctx, item.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: manager})
		return err
	})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		// A server that has loaded the file has written the object since, or it is gone.
		return tally{changed: 1}
	case err != nil:
		return tally{failed: []error{fmt.Errorf("%s/%s: %w", item.Namespace, item.Name, err)}}
	case after.ResourceVersion == item.ResourceVersion:
		return tally{current: 1}
	}
	return tally{rewritten: 1}
}

// retried repeats a request that a server could not answer for now.
func retried(ctx context.Context, request func() error) error {
	backoff := transient
	for {
		err := request()
		busy := apierrors.IsServerTimeout(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsTimeout(err)
		unreached := err != nil && (utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err))
		if !busy && !unreached || backoff.Steps <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(backoff.Step()):
		}
	}
}
