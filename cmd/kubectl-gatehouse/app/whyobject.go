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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/restmapper"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// mostRefusals and mostWarnings bound the parts of an objectReport, and mostLines the lines of refusals.
const (
	mostRefusals = 100
	mostWarnings = 5
	mostLines    = 10
)

// objectReport is what why shows of an object.
type objectReport struct {
	Kind      string `json:"kind"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Absent is true if the object does not exist, and Unreadable if the user may not read it.
	Absent     bool               `json:"absent,omitempty"`
	Unreadable bool               `json:"unreadable,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Changes are the latest change by each manager, the newest first.
	Changes []objectChange `json:"changes,omitempty"`
	// Refusals and Warnings are the newest ones, the newest first.
	Refusals []v1alpha1.RequestTrace `json:"refusals,omitempty"`
	Warnings []objectWarning         `json:"warnings,omitempty"`
	// OwnOnly is true if the user may read only its own requests, and Servers are those that responded.
	OwnOnly bool     `json:"ownOnly,omitempty"`
	Servers []string `json:"servers,omitempty"`
}

// objectChange is an entry of managedFields.
type objectChange struct {
	Manager     string      `json:"manager"`
	Operation   string      `json:"operation"`
	Subresource string      `json:"subresource,omitempty"`
	Time        metav1.Time `json:"time"`
	// Request is the request that made the change, if it is known.
	Request *v1alpha1.RequestTrace `json:"request,omitempty"`
}

// objectWarning is an event.
type objectWarning struct {
	Object  string      `json:"object"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
	Count   int32       `json:"count"`
	Last    metav1.Time `json:"last"`
}

// object prints what happened to an object.
func (c *whyCommand) object(ctx context.Context, t *traces, namespace string, args []string) error {
	kind, name := args[0], args[len(args)-1]
	if len(args) == 1 {
		kind, name, _ = strings.Cut(args[0], "/")
	}
	if kind == "" || name == "" || strings.Contains(name, "/") {
		return fmt.Errorf("%q names no object: write TYPE/NAME", strings.Join(args, " "))
	}
	mapping, err := c.mappingOf(t, kind)
	if err != nil {
		return err
	}
	client, err := dynamic.NewForConfig(t.config)
	if err != nil {
		return err
	}
	r := &objectReport{Kind: mapping.GroupVersionKind.Kind, Resource: mapping.Resource.GroupResource().String(), Name: name}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		r.Namespace = namespace
	}
	object, err := r.readObject(ctx, client, mapping)
	if err != nil {
		return err
	}
	if err := r.readTraces(ctx, t, object, mapping.Resource); err != nil {
		return err
	}
	if object != nil {
		r.readWarnings(ctx, client, object)
	}
	return c.printObject(r)
}

// mappingOf returns the resource that a word names, as kubectl understands it.
func (c *whyCommand) mappingOf(t *traces, word string) (*meta.RESTMapping, error) {
	client, err := discovery.NewDiscoveryClientForConfig(t.config)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(client)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	full, resource := schema.ParseResourceArg(word)
	var kind schema.GroupVersionKind
	if full != nil {
		kind, _ = mapper.KindFor(*full)
	}
	if kind.Empty() {
		if kind, err = mapper.KindFor(resource.WithVersion("")); err != nil {
			return nil, fmt.Errorf("the server has no resource %q; \"kubectl api-resources\" lists them (%w)", word, err)
		}
	}
	return mapper.RESTMapping(kind.GroupKind(), kind.Version)
}

// readObject reads the object and its conditions. The object is nil if it cannot be read.
func (r *objectReport) readObject(ctx context.Context, client dynamic.Interface, mapping *meta.RESTMapping) (*unstructured.Unstructured, error) {
	object, err := client.Resource(mapping.Resource).Namespace(r.Namespace).Get(ctx, r.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		r.Absent = true
		return nil, nil
	case apierrors.IsForbidden(err):
		r.Unreadable = true
		return nil, nil
	case err != nil:
		return nil, err
	}
	var status struct {
		Status struct {
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	// Kinds whose conditions have another form have none in the report.
	if runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &status) == nil {
		r.Conditions = status.Status.Conditions
	}
	return object, nil
}

// readTraces adds the changes with their requests, and the refusals.
func (r *objectReport) readTraces(ctx context.Context, t *traces, object *unstructured.Unstructured, resource schema.GroupVersionResource) (err error) {
	if r.OwnOnly, err = t.onlyOwn(ctx); err != nil {
		return err
	}
	options := metav1.ListOptions{}
	if r.Namespace != "" {
		options = selecting(v1alpha1.TraceNamespaceField, r.Namespace)
	}
	items, servers, err := t.all(ctx, options)
	if err != nil {
		return err
	}
	r.Servers = servers
	writes := map[string][]*v1alpha1.RequestTrace{} // by subresource
	for i := range items {
		trace, request := &items[i], &items[i].Request
		itself := request.APIGroup == resource.Group && request.Resource == resource.Resource && request.Name == r.Name
		part := request.APIGroup == fleetv1alpha1.GroupName && r.includes(kindsOfResources[request.Resource], request.Name)
		switch {
		case trace.Verdict == v1alpha1.VerdictRefused && (itself || part):
			r.Refusals = append(r.Refusals, *trace)
		case itself && trace.Verdict == v1alpha1.VerdictAllowed && slices.Contains(writingVerbs, request.Verb):
			writes[request.Subresource] = append(writes[request.Subresource], trace)
		}
	}
	slices.Reverse(r.Refusals)
	r.Refusals = r.Refusals[:min(len(r.Refusals), mostRefusals)]
	if object != nil {
		r.addChanges(object.GetManagedFields(), writes)
	}
	return nil
}

var writingVerbs = []string{"create", "update", "patch"}

// kindsOfResources are the kinds whose objects belong to an app or a release.
var kindsOfResources = map[string]string{"releases": "Release", "instances": "Instance"}

// includes reports whether an object belongs to the one of the report: the names of the releases of an app,
// and of their instances, begin with the name of the app.
func (r *objectReport) includes(kind, name string) bool {
	switch {
	case r.Kind == "App" && (kind == "Release" || kind == "Instance"), r.Kind == "Release" && kind == "Instance":
		return strings.HasPrefix(name, r.Name+"-")
	}
	return false
}

// addChanges adds the entries of managedFields, the newest first.
func (r *objectReport) addChanges(entries []metav1.ManagedFieldsEntry, writes map[string][]*v1alpha1.RequestTrace) {
	for _, entry := range entries {
		change := objectChange{Manager: entry.Manager, Operation: string(entry.Operation), Subresource: entry.Subresource}
		if entry.Time != nil {
			change.Time = *entry.Time
			change.Request = requestOf(&change, writes[entry.Subresource])
		}
		r.Changes = append(r.Changes, change)
	}
	slices.SortStableFunc(r.Changes, func(a, b objectChange) int {
		if order := b.Time.Compare(a.Time.Time); order != 0 || a.Request == nil || b.Request == nil {
			return order
		}
		return b.Request.ReceivedTime.Compare(a.Request.ReceivedTime.Time)
	})
}

// requestOf returns the request that made a change, or nil: the latest one that was in the server at its time,
// which managedFields has in seconds. One of the program that the manager is named after comes first.
func requestOf(change *objectChange, writes []*v1alpha1.RequestTrace) (found *v1alpha1.RequestTrace) {
	named := false
	for _, trace := range writes {
		begin, end := trace.ReceivedTime.Truncate(time.Second), trace.ReceivedTime.Add(trace.Latency.Duration)
		if change.Time.Time.Before(begin) || change.Time.Time.After(end) {
			continue
		}
		program, _, _ := strings.Cut(trace.Request.UserAgent, "/")
		if isNamed := program != "" && strings.HasPrefix(change.Manager, program); isNamed || !named {
			found, named = trace, isNamed
		}
	}
	return found
}

// readWarnings adds the events about the object and about what belongs to it. A user that may not read events
// gets none.
func (r *objectReport) readWarnings(ctx context.Context, client dynamic.Interface, object *unstructured.Unstructured) {
	namespace := r.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	list, err := client.Resource(corev1.SchemeGroupVersion.WithResource("events")).Namespace(namespace).List(ctx, metav1.ListOptions{FieldSelector: "type=" + corev1.EventTypeWarning})
	if err != nil {
		return
	}
	for i := range list.Items {
		var event corev1.Event
		if runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &event) != nil {
			continue
		}
		about := event.InvolvedObject
		if about.UID != object.GetUID() && !r.includes(about.Kind, about.Name) {
			continue
		}
		warning := objectWarning{Object: strings.ToLower(about.Kind) + "/" + about.Name, Reason: event.Reason, Message: event.Message, Count: max(event.Count, 1), Last: event.LastTimestamp}
		if event.Series != nil {
			warning.Count, warning.Last = event.Series.Count, metav1.Time{Time: event.Series.LastObservedTime.Time}
		}
		if warning.Last.IsZero() {
			warning.Last = metav1.Time{Time: event.EventTime.Time}
		}
		r.Warnings = append(r.Warnings, warning)
	}
	slices.SortStableFunc(r.Warnings, func(a, b objectWarning) int { return b.Last.Compare(a.Last.Time) })
	r.Warnings = merged(r.Warnings)
	r.Warnings = r.Warnings[:min(len(r.Warnings), mostWarnings)]
}

// merged returns the newest warning of each reason and object, with the number of all of them: messages of one
// cause differ by names and IDs.
func merged(warnings []objectWarning) (kept []objectWarning) {
	for _, warning := range warnings {
		if same := slices.IndexFunc(kept, func(k objectWarning) bool { return k.Object == warning.Object && k.Reason == warning.Reason }); same >= 0 {
			kept[same].Count += warning.Count
			continue
		}
		kept = append(kept, warning)
	}
	return kept
}
