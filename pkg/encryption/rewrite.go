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
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/util/flowcontrol"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/rewrite"
)

const (
	// maxNamed bounds the objects that an error names.
	maxNamed = 5
	// manager is the field manager of the updates. It owns no field, because they change none.
	manager = "gatehouse-encryption"
)

// rewrite updates all objects of all resources once.
func (o *Options) rewrite(ctx context.Context, s *session, notes io.Writer) (rewrite.Tally, error) {
	targets, readOnly, err := targetsOf(s.discovery)
	if err != nil {
		return rewrite.Tally{}, err
	}
	limiter := flowcontrol.NewFakeAlwaysRateLimiter()
	if o.QPS > 0 {
		limiter = flowcontrol.NewTokenBucketRateLimiter(o.QPS, max(1, int(o.QPS)))
	}
	var total rewrite.Tally
	for _, t := range targets {
		r := &rewrite.Rewriter{Client: s.metadata, Limiter: limiter, Manager: manager, Page: notePages(notes, t)}
		one, err := r.Resource(ctx, t)
		total.Add(one)
		if err != nil {
			return total, fmt.Errorf("%s: %w", t.GroupResource(), err)
		}
	}
	fmt.Fprintf(notes, "%d resources: %d objects rewritten, %d stored with the right key already, %d changed or deleted meanwhile\n", len(targets), total.Rewritten, total.Current, total.Changed)
	if len(readOnly) > 0 {
		total.Failed = append(total.Failed, fmt.Errorf("objects of %s cannot be updated by any client, so they keep the key with which they were created", strings.Join(readOnly, ", ")))
	}
	if failed := len(total.Failed); failed > 0 {
		return total, fmt.Errorf("%d objects or resources were not rewritten: %w", failed, errors.Join(total.Failed[:min(failed, maxNamed)]...))
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

// notePages writes a line after each page of a resource with objects that were rewritten, or that is long.
func notePages(notes io.Writer, t schema.GroupVersionResource) func(total, page rewrite.Tally, list *metav1.PartialObjectMetadataList) error {
	return func(total, page rewrite.Tally, list *metav1.PartialObjectMetadataList) error {
		if n := total.Done() + len(total.Failed); page.Rewritten > 0 || list.Continue != "" {
			fmt.Fprintf(notes, "  %s: %d of %d objects rewritten%s\n", t.GroupResource(), total.Rewritten, n, remaining(list))
		}
		return nil
	}
}

func remaining(page *metav1.PartialObjectMetadataList) string {
	if page.RemainingItemCount == nil {
		return ""
	}
	return fmt.Sprintf(", about %d to go", *page.RemainingItemCount)
}
