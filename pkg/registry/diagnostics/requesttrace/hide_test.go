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
	"reflect"
	"testing"

	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// kept has the trace of a user, and one of another.
type kept []*diagnostics.RequestTrace

func (k kept) Get(name string, visible func(*diagnostics.RequestTrace) bool) *diagnostics.RequestTrace {
	for _, trace := range k {
		if trace.Name == name && visible(trace) {
			return trace.DeepCopy()
		}
	}
	return nil
}

func (k kept) List(visit func(*diagnostics.RequestTrace)) (version, gone uint64) {
	for _, trace := range k {
		visit(trace.DeepCopy())
	}
	return uint64(len(k)), 0
}

func (k kept) Since(version uint64, visit func(*diagnostics.RequestTrace, watch.EventType, uint64)) (uint64, <-chan struct{}, bool) {
	for i := version; i < uint64(len(k)); i++ {
		visit(k[i].DeepCopy(), watch.Added, i+1)
	}
	return uint64(len(k)), nil, true
}

func (kept) Follow() func() { return func() {} }

// readers permits to read all traces to one user.
func readers(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	if a.GetVerb() == v1alpha1.VerbReadAll && a.GetUser().GetName() == "admin" {
		return authorizer.DecisionAllow, "", nil
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// TestOnlyReadersOfAllTracesGetTheNamesOfOtherUsers reads traces in all ways of the storage.
func TestOnlyReadersOfAllTracesGetTheNamesOfOtherUsers(t *testing.T) {
	traces := kept{
		{
			ObjectMeta: metav1.ObjectMeta{Name: "a", ResourceVersion: "1"}, User: diagnostics.TracedUser{Username: "bob", ImpersonatedBy: "alice", CredentialID: "c"},
			Stops: []diagnostics.TraceStop{{Seats: &diagnostics.TracedSeats{InUse: 9, Holders: []diagnostics.SeatHolder{{Username: "alice", Seats: 5}, {Username: "bob", Seats: 2}}}}},
		},
		{ObjectMeta: metav1.ObjectMeta{Name: "b", ResourceVersion: "2"}, User: diagnostics.TracedUser{Username: "carol"}},
	}
	storage, err := NewREST(Config{Source: traces, Authorizer: authorizer.AuthorizerFunc(readers)})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name    string
		user    string
		traces  int
		by      string
		holders []diagnostics.SeatHolder
	}{
		{"all traces", "admin", 2, "alice", []diagnostics.SeatHolder{{Username: "alice", Seats: 5}, {Username: "bob", Seats: 2}}},
		{"its own", "bob", 1, "", []diagnostics.SeatHolder{{Username: "bob", Seats: 2}, {Seats: 7}}},
		{"those of the user that it impersonated", "alice", 1, "alice", []diagnostics.SeatHolder{{Username: "bob", Seats: 2}, {Seats: 7}}},
		{"none", "dave", 0, "", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			ctx := request.WithUser(t.Context(), &user.DefaultInfo{Name: row.user})
			check := func(way string, found []diagnostics.RequestTrace) {
				t.Helper()
				if len(found) != row.traces {
					t.Fatalf("%s: %d traces", way, len(found))
				}
				if len(found) == 0 {
					return
				}
				if first := found[0]; first.User.ImpersonatedBy != row.by || (first.User.CredentialID != "") != (row.by != "") || !reflect.DeepEqual(first.Stops[0].Seats.Holders, row.holders) {
					t.Errorf("%s: %+v", way, first)
				}
			}
			var got []diagnostics.RequestTrace
			for _, name := range []string{"a", "b"} {
				if object, err := storage.Get(ctx, name, nil); err == nil {
					got = append(got, *object.(*diagnostics.RequestTrace))
				}
			}
			check("get", got)
			for way, options := range map[string]*metainternalversion.ListOptions{
				"list": nil, "a page": {Limit: 9}, "by a field": {FieldSelector: fields.ParseSelectorOrDie("user!=nobody")},
			} {
				object, err := storage.List(ctx, options)
				if err != nil {
					t.Fatal(err)
				}
				check(way, object.(*diagnostics.RequestTraceList).Items)
			}
			for way, version := range map[string]string{"watch": "", "watch from a version": "0"} {
				events, err := storage.Watch(ctx, &metainternalversion.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true, SendInitialEvents: new(true)})
				if err != nil {
					t.Fatal(err)
				}
				var seen []diagnostics.RequestTrace
				for event := range events.ResultChan() {
					if event.Type == watch.Bookmark {
						break
					}
					seen = append(seen, *event.Object.(*diagnostics.RequestTrace))
				}
				events.Stop()
				check(way, seen)
			}
		})
	}
}

func TestAWatchFromNowOnBeginsWithTheNameOfItsServer(t *testing.T) {
	storage, err := NewREST(Config{Source: kept{}, Authorizer: authorizer.AuthorizerFunc(readers), Server: "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	events, err := storage.Watch(request.WithUser(t.Context(), &user.DefaultInfo{Name: "bob"}), &metainternalversion.ListOptions{AllowWatchBookmarks: true, SendInitialEvents: new(false)})
	if err != nil {
		t.Fatal(err)
	}
	defer events.Stop()
	event := <-events.ResultChan()
	if trace, ok := event.Object.(*diagnostics.RequestTrace); event.Type != watch.Bookmark || !ok || trace.Server != "a:1" || trace.ResourceVersion != "0" {
		t.Errorf("the first event is %s %+v", event.Type, event.Object)
	}
}
