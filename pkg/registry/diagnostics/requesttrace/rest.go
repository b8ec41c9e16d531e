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
	"strconv"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/virtual"
)

// Source has the traces of this server.
type Source = virtual.Source[*diagnostics.RequestTrace]

// Config has the inputs of REST.
type Config struct {
	// Source has the traces.
	Source Source
	// Authorizer decides which users may read the traces of others.
	Authorizer authorizer.Authorizer
	// Server is the identity of this server.
	Server string
	// Explain adds what is computed when a client gets a trace; nil for nothing.
	Explain func(ctx context.Context, trace *diagnostics.RequestTrace)
}

// REST serves traces.
type REST = virtual.REST[*diagnostics.RequestTrace]

// NewREST returns the storage of traces.
func NewREST(c Config) (*REST, error) {
	return virtual.NewREST(virtual.Kind[*diagnostics.RequestTrace]{
		Source: c.Source, Server: c.Server, Resource: diagnostics.Resource(v1alpha1.RequestTraces), Version: v1alpha1.SchemeGroupVersion.Version,
		Singular: "requesttrace", ShortNames: []string{"rt"}, Noun: "request traces",
		New: func() *diagnostics.RequestTrace { return &diagnostics.RequestTrace{} }, NewList: newList,
		Order:  func(trace *diagnostics.RequestTrace) uint64 { return virtual.VersionOf(trace) },
		Fields: fieldsOf, Table: table(),
		Authorizer: c.Authorizer, VerbReadAll: v1alpha1.VerbReadAll, Owns: owns, Hide: hide, Complete: c.Explain,
		Mark: func(trace *diagnostics.RequestTrace) { trace.Server = c.Server },
	})
}

func newList(items []*diagnostics.RequestTrace) virtual.ListObject {
	list := &diagnostics.RequestTraceList{}
	for _, item := range items {
		list.Items = append(list.Items, *item)
	}
	return list
}

func fieldsOf(trace *diagnostics.RequestTrace) fields.Set {
	set := fields.Set{
		v1alpha1.TraceUserField:      trace.User.Username,
		v1alpha1.TraceVerbField:      trace.Request.Verb,
		v1alpha1.TraceResourceField:  trace.Request.Resource,
		v1alpha1.TraceNamespaceField: trace.Request.Namespace,
		v1alpha1.TraceCodeField:      strconv.Itoa(int(trace.Code)),
		v1alpha1.TraceVerdictField:   string(trace.Verdict),
		v1alpha1.TraceStopField:      "",
		v1alpha1.TraceIDField:        diagnostics.ShortID(trace.Name),
	}
	if trace.DecidedBy != nil {
		set[v1alpha1.TraceStopField] = string(trace.DecidedBy.Stop)
	}
	return set
}

// owns reports whether a trace is of the user, or of a user that it impersonated. A request without an
// identity belongs to no user.
func owns(u user.Info, trace *diagnostics.RequestTrace) bool {
	if trace.User.ImpersonatedBy == u.GetName() {
		return true
	}
	return trace.User.Username == u.GetName() && trace.User.UID == u.GetUID()
}

// hide removes what a user that reads only its own traces may not read of one.
func hide(u user.Info, trace *diagnostics.RequestTrace) {
	if by := trace.User.ImpersonatedBy; by != "" && by != u.GetName() {
		// The credential is that of the other user.
		trace.User.ImpersonatedBy, trace.User.CredentialID = "", ""
	}
	for i := range trace.Stops {
		hideHolders(trace.Stops[i].Seats, trace.User.Username)
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
