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

package virtual

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"testing"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// source has watch sessions whose names are the versions in which they were added.
type source struct {
	version uint64
	all     []*diagnostics.WatchSession
	changes []change
	changed chan struct{}
}

type change struct {
	object  *diagnostics.WatchSession
	kind    watch.EventType
	version uint64
}

func newSource() *source { return &source{version: 100, changed: make(chan struct{})} }

// record adds a change of an object.
func (s *source) record(object *diagnostics.WatchSession, kind watch.EventType) {
	object.ResourceVersion = strconv.FormatUint(s.version, 10)
	s.changes = append(s.changes, change{object.DeepCopy(), kind, s.version})
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *source) add(user string, state diagnostics.WatchState) *diagnostics.WatchSession {
	s.version++
	object := &diagnostics.WatchSession{ObjectMeta: metav1.ObjectMeta{Name: strconv.FormatUint(s.version, 10)}, User: diagnostics.WatchUser{Username: user}, State: state}
	s.all = append(s.all, object)
	s.record(object, watch.Added)
	return object
}

func (s *source) change(object *diagnostics.WatchSession, state diagnostics.WatchState) {
	s.version++
	object.State = state
	s.record(object, watch.Modified)
}

func (s *source) remove(object *diagnostics.WatchSession) {
	s.version++
	s.all = slices.DeleteFunc(s.all, func(o *diagnostics.WatchSession) bool { return o == object })
	s.record(object, watch.Deleted)
}

func (s *source) Get(name string, visible func(*diagnostics.WatchSession) bool) *diagnostics.WatchSession {
	for _, object := range s.all {
		if object.Name == name && visible(object) {
			return object.DeepCopy()
		}
	}
	return nil
}

func (s *source) List(visit func(*diagnostics.WatchSession)) (version, gone uint64) {
	for _, object := range s.all {
		visit(object.DeepCopy())
	}
	return s.version, 0
}

func (s *source) Since(version uint64, visit func(*diagnostics.WatchSession, watch.EventType, uint64)) (uint64, <-chan struct{}, bool) {
	if version < 100 {
		return 0, nil, false
	}
	for _, c := range s.changes {
		if c.version > version {
			visit(c.object.DeepCopy(), c.kind, c.version)
		}
	}
	return s.version, s.changed, true
}

func (*source) Follow() func() { return func() {} }

// rights allow readall to one user.
type rights struct{ authorizer.Authorizer }

func (rights) Authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == "readall" && a.GetUser().GetName() == "admin" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

func newREST(t *testing.T, s *source) *REST[*diagnostics.WatchSession] {
	t.Helper()
	storage, err := NewREST(Kind[*diagnostics.WatchSession]{
		Source: s, Resource: diagnostics.Resource("watchsessions"), Noun: "watch sessions",
		New: func() *diagnostics.WatchSession { return &diagnostics.WatchSession{} },
		NewList: func(items []*diagnostics.WatchSession) ListObject {
			list := &diagnostics.WatchSessionList{}
			for _, item := range items {
				list.Items = append(list.Items, *item)
			}
			return list
		},
		Order: func(o *diagnostics.WatchSession) uint64 {
			order, _ := strconv.ParseUint(o.Name, 10, 64)
			return order
		},
		Fields:   func(o *diagnostics.WatchSession) fields.Set { return fields.Set{"state": string(o.State)} },
		Changing: []string{"state"}, Authorizer: rights{}, VerbReadAll: "readall",
		Owns: func(u user.Info, o *diagnostics.WatchSession) bool { return o.User.Username == u.GetName() },
	})
	if err != nil {
		t.Fatal(err)
	}
	return storage
}

func as(t *testing.T, name string) context.Context {
	return request.WithUser(t.Context(), &user.DefaultInfo{Name: name})
}

// names returns the names of a page and its continue token.
func names(t *testing.T, storage *REST[*diagnostics.WatchSession], ctx context.Context, options *metainternalversion.ListOptions) (found []string, list *diagnostics.WatchSessionList) {
	t.Helper()
	object, err := storage.List(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	list = object.(*diagnostics.WatchSessionList)
	for _, item := range list.Items {
		found = append(found, item.Name)
	}
	return found, list
}

func TestPagesHaveEachObjectOnceAlsoIfItChangesMeanwhile(t *testing.T) {
	s := newSource()
	storage := newREST(t, s)
	for range 5 {
		s.add("bob", diagnostics.WatchOpen)
	}
	options := &metainternalversion.ListOptions{Limit: 2}
	var all []string
	for {
		page, list := names(t, storage, as(t, "bob"), options)
		all = append(all, page...)
		if list.ResourceVersion != "105" {
			t.Errorf("a page has the version %s", list.ResourceVersion)
		}
		if list.Continue == "" {
			break
		}
		s.change(s.all[4], diagnostics.WatchEnded)
		s.add("bob", diagnostics.WatchOpen)
		options.Continue = list.Continue
	}
	if want := []string{"101", "102", "103", "104", "105"}; !slices.Equal(all, want) {
		t.Errorf("got %v, want %v", all, want)
	}
}

func TestAUserReadsItsOwnObjectsUnlessItMayReadAll(t *testing.T) {
	s := newSource()
	storage := newREST(t, s)
	s.add("bob", diagnostics.WatchOpen)
	s.add("alice", diagnostics.WatchOpen)
	for user, want := range map[string][]string{"bob": {"101"}, "alice": {"102"}, "admin": {"101", "102"}, "": nil} {
		if got, _ := names(t, storage, as(t, user), nil); !slices.Equal(got, want) {
			t.Errorf("%q lists %v, want %v", user, got, want)
		}
		_, err := storage.Get(as(t, user), "101", nil)
		if (err == nil) != slices.Contains(want, "101") {
			t.Errorf("%q gets an object: %v", user, err)
		}
	}
}

// TestAWatchFollowsObjectsThatBeginAndCeaseToMatch lets a client list the open sessions, then changes them.
func TestAWatchFollowsObjectsThatBeginAndCeaseToMatch(t *testing.T) {
	s := newSource()
	storage := newREST(t, s)
	kept, closed, ended := s.add("bob", diagnostics.WatchOpen), s.add("bob", diagnostics.WatchOpen), s.add("bob", diagnostics.WatchEnded)
	s.add("alice", diagnostics.WatchOpen)
	version := strconv.FormatUint(s.version, 10)
	s.change(kept, diagnostics.WatchOpen)
	s.change(closed, diagnostics.WatchEnded)
	s.change(ended, diagnostics.WatchEnded)
	fresh := s.add("bob", diagnostics.WatchEnded)
	s.change(fresh, diagnostics.WatchOpen)
	s.change(fresh, diagnostics.WatchEnded)
	s.remove(fresh)
	s.remove(kept)
	watched, err := storage.Watch(as(t, "bob"), &metainternalversion.ListOptions{ResourceVersion: version, FieldSelector: fields.OneTermEqualSelector("state", "Open")})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	for _, want := range []string{"MODIFIED 101", "DELETED 102", "DELETED 103", "ADDED 108", "DELETED 108", "DELETED 101"} {
		event := <-watched.ResultChan()
		if got := fmt.Sprintf("%s %s", event.Type, event.Object.(*diagnostics.WatchSession).Name); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAWatchOfAnUnknownVersionIsRefused(t *testing.T) {
	s := newSource()
	storage := newREST(t, s)
	for _, version := range []string{"7", "1000", "x"} {
		if _, err := storage.Watch(as(t, "bob"), &metainternalversion.ListOptions{ResourceVersion: version}); err == nil {
			t.Errorf("a watch from %s begins", version)
		}
	}
}
