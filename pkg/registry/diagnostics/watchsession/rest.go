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

package watchsession

import (
	"strconv"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/virtual"
)

// Config has the inputs of REST.
type Config struct {
	// Source has the sessions, and Order returns the version in which one began.
	Source virtual.Source[*diagnostics.WatchSession]
	Order  func(*diagnostics.WatchSession) uint64
	// Authorizer decides which users may read the sessions of others.
	Authorizer authorizer.Authorizer
}

// REST serves sessions.
type REST = virtual.REST[*diagnostics.WatchSession]

// NewREST returns the storage of sessions.
func NewREST(c Config) (*REST, error) {
	return virtual.NewREST(virtual.Kind[*diagnostics.WatchSession]{
		Source: c.Source, Resource: diagnostics.Resource(v1alpha1.WatchSessions), Version: v1alpha1.SchemeGroupVersion.Version,
		Singular: "watchsession", ShortNames: []string{"ws"}, Noun: "watch sessions",
		New: func() *diagnostics.WatchSession { return &diagnostics.WatchSession{} }, NewList: newList,
		Order: c.Order, Fields: fieldsOf, Changing: []string{v1alpha1.WatchBlockedField, v1alpha1.WatchStateField}, Table: table(),
		Authorizer: c.Authorizer, VerbReadAll: v1alpha1.VerbReadAll, Owns: owns,
	})
}

func newList(items []*diagnostics.WatchSession) virtual.ListObject {
	list := &diagnostics.WatchSessionList{}
	for _, item := range items {
		list.Items = append(list.Items, *item)
	}
	return list
}

func fieldsOf(session *diagnostics.WatchSession) fields.Set {
	return fields.Set{
		v1alpha1.WatchUserField:      session.User.Username,
		v1alpha1.WatchResourceField:  session.Request.Resource,
		v1alpha1.WatchNamespaceField: session.Request.Namespace,
		v1alpha1.WatchStateField:     string(session.State),
		v1alpha1.WatchBlockedField:   strconv.FormatBool(session.BlockedSince != nil),
	}
}

func owns(u user.Info, session *diagnostics.WatchSession) bool {
	return session.User.Username == u.GetName() && session.User.UID == u.GetUID()
}
