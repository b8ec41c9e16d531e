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

package requesttrace

import (
	"context"
	"errors"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// Source has the traces of this server.
type Source interface {
	// Get returns the newest visible trace with a name, or nil.
	Get(name string, visible func(*diagnostics.RequestTrace) bool) *diagnostics.RequestTrace
	// List calls visit with the traces, the oldest first. It returns the version of the list, and that of
	// the newest trace that is no longer in it.
	List(visit func(*diagnostics.RequestTrace)) (version, gone uint64)
	// Since calls visit with the traces that were added or have left the list after a version, in order. It
	// returns the version of the last one, and a channel that is closed on the next change. ok is false if
	// changes after the version are lost.
	Since(version uint64, visit func(trace *diagnostics.RequestTrace, deleted bool, version uint64)) (last uint64, next <-chan struct{}, ok bool)
	// Follow makes the channels of Since work until the returned function is called.
	Follow() (stop func())
}

// Config has the inputs of REST.
type Config struct {
	// Source has the traces.
	Source Source
	// Authorizer decides which users may read the traces of others.
	Authorizer authorizer.Authorizer
	// Explain adds what is computed when a client gets a trace; nil for nothing.
	Explain func(ctx context.Context, trace *diagnostics.RequestTrace)
}

// REST serves traces.
type REST struct {
	Config
	rest.TableConvertor
}

var (
	_ rest.Scoper               = &REST{}
	_ rest.Getter               = &REST{}
	_ rest.Lister               = &REST{}
	_ rest.Watcher              = &REST{}
	_ rest.ShortNamesProvider   = &REST{}
	_ rest.SingularNameProvider = &REST{}
)

// NewREST returns the storage of traces.
func NewREST(c Config) (*REST, error) {
	if c.Source == nil || c.Authorizer == nil {
		return nil, errors.New("request traces need a source and an authorizer")
	}
	return &REST{Config: c, TableConvertor: table()}, nil
}

// New implements rest.Storage.
func (*REST) New() runtime.Object { return &diagnostics.RequestTrace{} }

// NewList implements rest.Lister.
func (*REST) NewList() runtime.Object { return &diagnostics.RequestTraceList{} }

// Destroy implements rest.Storage.
func (*REST) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*REST) NamespaceScoped() bool { return false }

// ShortNames implements rest.ShortNamesProvider.
func (*REST) ShortNames() []string { return []string{"rt"} }

// GetSingularName implements rest.SingularNameProvider.
func (*REST) GetSingularName() string { return "requesttrace" }

// Get implements rest.Getter. A trace that the user may not read does not exist.
func (r *REST) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	reader, err := r.readerOf(ctx)
	if err != nil {
		return nil, err
	}
	trace := r.Source.Get(name, reader.mayRead)
	if trace == nil {
		return nil, apierrors.NewNotFound(diagnostics.Resource(v1alpha1.RequestTraces), name)
	}
	reader.hide(trace)
	if r.Explain != nil {
		r.Explain(ctx, trace)
	}
	return trace, nil
}

// List implements rest.Lister.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	reader, err := r.readerOf(ctx)
	if err != nil {
		return nil, err
	}
	from, err := pageOf(options)
	if err != nil {
		return nil, err
	}
	matches := matcher(options)
	list, rest := &diagnostics.RequestTraceList{}, int64(0)
	newest := uint64(0)
	version, gone := r.Source.List(func(trace *diagnostics.RequestTrace) {
		version := versionOf(trace)
		if !from.includes(version) || !reader.mayRead(trace) || !matches(trace) {
			return
		}
		if options != nil && options.Limit > 0 && int64(len(list.Items)) >= options.Limit {
			rest++
			return
		}
		reader.hide(trace)
		newest = version
		list.Items = append(list.Items, *trace)
	})
	if err := from.check(version, gone); err != nil {
		return nil, err
	}
	if from.Version != 0 {
		version = from.Version
	}
	list.ResourceVersion = strconv.FormatUint(version, 10)
	if rest > 0 {
		list.Continue = page{Version: version, After: newest}.token()
		list.RemainingItemCount = &rest
	}
	return list, nil
}

// versionOf returns the resource version of a trace of this server.
func versionOf(trace *diagnostics.RequestTrace) uint64 {
	version, _ := strconv.ParseUint(trace.ResourceVersion, 10, 64)
	return version
}

// matcher returns a function that applies the selectors. Traces have no labels.
func matcher(options *metainternalversion.ListOptions) func(*diagnostics.RequestTrace) bool {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	selector := options.FieldSelector
	if options.LabelSelector != nil && !options.LabelSelector.Matches(labels.Set{}) {
		return func(*diagnostics.RequestTrace) bool { return false }
	}
	if selector == nil || selector.Empty() {
		return func(*diagnostics.RequestTrace) bool { return true }
	}
	return func(trace *diagnostics.RequestTrace) bool { return selector.Matches(fieldsOf(trace)) }
}

func fieldsOf(trace *diagnostics.RequestTrace) fields.Set {
	set := fields.Set{
		"metadata.name":              trace.Name,
		v1alpha1.TraceUserField:      trace.User.Username,
		v1alpha1.TraceVerbField:      trace.Request.Verb,
		v1alpha1.TraceResourceField:  trace.Request.Resource,
		v1alpha1.TraceNamespaceField: trace.Request.Namespace,
		v1alpha1.TraceCodeField:      strconv.Itoa(int(trace.Code)),
		v1alpha1.TraceVerdictField:   string(trace.Verdict),
		v1alpha1.TraceStopField:      "",
	}
	if trace.DecidedBy != nil {
		set[v1alpha1.TraceStopField] = string(trace.DecidedBy.Stop)
	}
	return set
}

// reader is a user that reads traces.
type reader struct {
	user user.Info
	all  bool
}

func (r *REST) readerOf(ctx context.Context) (reader, error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return reader{}, apierrors.NewUnauthorized("request traces are readable by authenticated users only")
	}
	return reader{user: u, all: r.mayReadAll(ctx, u)}, nil
}

func (r *REST) mayReadAll(ctx context.Context, u user.Info) bool {
	decision, _, err := r.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: v1alpha1.VerbReadAll, APIGroup: diagnostics.GroupName, APIVersion: v1alpha1.SchemeGroupVersion.Version, Resource: v1alpha1.RequestTraces, ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

// mayRead reports whether the user may read a trace: its own, also as the user that it impersonated, or
// every one. A request without an identity belongs to no user.
func (r reader) mayRead(trace *diagnostics.RequestTrace) bool {
	if r.all {
		return true
	}
	name := r.user.GetName()
	if name == "" {
		return false
	}
	if trace.User.ImpersonatedBy == name {
		return true
	}
	return trace.User.Username == name && trace.User.UID == r.user.GetUID()
}

// hide removes what the user may not read of a trace.
func (r reader) hide(trace *diagnostics.RequestTrace) {
	if by := trace.User.ImpersonatedBy; !r.all && by != "" && by != r.user.GetName() {
		// The credential is that of the other user.
		trace.User.ImpersonatedBy, trace.User.CredentialID = "", ""
	}
	if !r.all {
		for i := range trace.Stops {
			hideHolders(trace.Stops[i].Seats, trace.User.Username)
		}
	}
}

// hideHolders replaces the users with seats by the user of the trace and all others.
func hideHolders(seats *diagnostics.TracedSeats, username string) {
	if seats == nil || len(seats.Holders) == 0 {
		return
	}
	var visible []diagnostics.SeatHolder
	others := seats.InUse
	for _, holder := range seats.Holders {
		if holder.Username == username {
			visible = append(visible, holder)
			others -= holder.Seats
		}
	}
	if others > 0 {
		visible = append(visible, diagnostics.SeatHolder{Seats: others})
	}
	seats.Holders = visible
}
