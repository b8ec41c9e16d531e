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

package storage

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
)

// observed are members of which some respond. after replaces responding at the first question.
type observed struct {
	responding, voters int
	after              *int
	asked              int
}

// Fresh implements Members.
func (o *observed) Fresh(context.Context) error {
	o.asked++
	if o.after != nil {
		o.responding = *o.after
	}
	return nil
}

// Responding implements Members.
func (o *observed) Responding() (responding, voters int) { return o.responding, o.voters }

// answering is a storage whose methods return an error after a time, or with the context.
type answering struct {
	storage.Interface
	err      error
	takes    time.Duration
	notReady error
	calls    int
}

func (a *answering) answer(ctx context.Context) error {
	a.calls++
	select {
	case <-time.After(a.takes):
		return a.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (a *answering) Create(ctx context.Context, _ string, _, _ runtime.Object, _ uint64) error {
	return a.answer(ctx)
}

func (a *answering) Delete(ctx context.Context, _ string, _ runtime.Object, _ *storage.Preconditions, _ storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions) error {
	return a.answer(ctx)
}

func (a *answering) GuaranteedUpdate(ctx context.Context, _ string, _ runtime.Object, _ bool, _ *storage.Preconditions, _ storage.UpdateFunc, _ runtime.Object) error {
	return a.answer(ctx)
}

func (a *answering) Get(ctx context.Context, _ string, _ storage.GetOptions, _ runtime.Object) error {
	return a.answer(ctx)
}

func (a *answering) GetList(ctx context.Context, _ string, _ storage.ListOptions, _ runtime.Object) error {
	return a.answer(ctx)
}

func (a *answering) Watch(ctx context.Context, _ string, _ storage.ListOptions) (watch.Interface, error) {
	return nil, a.answer(ctx)
}

func (a *answering) ReadinessCheck() error { return a.notReady }

// over returns the storage that WithMajority puts over another one.
func over(t *testing.T, below storage.Interface, members Members) storage.Interface {
	t.Helper()
	getter := WithMajority(fixedGetter{generic.RESTOptions{
		Decorator: func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object, func() runtime.Object,
			storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
			return below, func() {}, nil
		},
	}}, members)
	options, err := getter.GetRESTOptions(schema.GroupResource{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, destroy, err := options.Decorator(nil, "", nil, nil, nil, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	return store
}

type fixedGetter struct{ options generic.RESTOptions }

func (g fixedGetter) GetRESTOptions(schema.GroupResource, runtime.Object) (generic.RESTOptions, error) {
	return g.options, nil
}

const (
	oneOfThree  = `1 of 3 members of etcd answer; 2 needed: "kubectl gatehouse storage status" names those that do not`
	noneOfOne   = `0 of 1 members of etcd answer; 1 needed: "kubectl gatehouse storage status" names those that do not`
	mayBeLater  = "; the write may be applied then"
	anyAge      = "0"
	neverInTest = time.Hour
)

func TestRequestsWithoutAMajorityNameTheMembersThatRespond(t *testing.T) {
	none := 0
	for name, tc := range map[string]struct {
		members observed
		below   answering
		version string
		// read and write are the messages of the errors; empty for the error of the storage itself.
		read, write string
	}{
		"etcd answers, whatever the members do":              {members: observed{responding: 1, voters: 3}},
		"etcd answers that the object is another one":        {members: observed{responding: 1, voters: 3}, below: answering{err: storage.NewResourceVersionConflictsError("a", 1)}},
		"etcd has no leader, and a majority responds":        {members: observed{responding: 2, voters: 3}, below: answering{err: rpctypes.ErrNoLeader}},
		"etcd has no leader, and no member was ever known":   {below: answering{err: rpctypes.ErrNoLeader}},
		"etcd has no leader":                                 {members: observed{responding: 1, voters: 3}, below: answering{err: rpctypes.ErrNoLeader}, read: oneOfThree, write: oneOfThree + mayBeLater},
		"etcd has given up":                                  {members: observed{responding: 1, voters: 3}, below: answering{err: rpctypes.ErrGRPCTimeout}, read: oneOfThree, write: oneOfThree + mayBeLater},
		"the only member accepts no connections":             {members: observed{voters: 1}, below: answering{err: status.Error(codes.Unavailable, "connection refused")}, read: noneOfOne, write: noneOfOne + mayBeLater},
		"the cache is not ready":                             {members: observed{responding: 1, voters: 3}, below: answering{err: apierrors.NewTooManyRequests("not ready", 1)}, read: oneOfThree, write: oneOfThree + mayBeLater},
		"etcd does not answer":                               {members: observed{responding: 1, voters: 3}, below: answering{takes: neverInTest}, read: oneOfThree, write: oneOfThree + mayBeLater},
		"etcd does not answer, and the members stop later":   {members: observed{responding: 1, voters: 1, after: &none}, below: answering{takes: neverInTest}, read: noneOfOne, write: noneOfOne + mayBeLater},
		"etcd is slow, and a majority responds":              {members: observed{responding: 2, voters: 3}, below: answering{takes: time.Minute}},
		"the cache serves any age":                           {members: observed{responding: 1, voters: 3}, version: anyAge},
		"the cache serves any age, slower than etcd":         {members: observed{responding: 1, voters: 3}, version: anyAge, below: answering{takes: time.Minute}},
		"a read of any age without a cache goes to etcd":     {members: observed{responding: 1, voters: 3}, version: anyAge, below: answering{takes: neverInTest, notReady: errors.New("not ready")}, read: oneOfThree},
		"etcd is a second late, and the majority is missing": {members: observed{responding: 1, voters: 3}, below: answering{takes: time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			for method, call := range map[string]struct {
				write bool
				call  func(context.Context, storage.Interface) error
			}{
				"create": {true, func(ctx context.Context, s storage.Interface) error { return s.Create(ctx, "a", nil, nil, 0) }},
				"update": {true, func(ctx context.Context, s storage.Interface) error {
					return s.GuaranteedUpdate(ctx, "a", nil, false, nil, nil, nil)
				}},
				"delete": {true, func(ctx context.Context, s storage.Interface) error {
					return s.Delete(ctx, "a", nil, nil, nil, nil, storage.DeleteOptions{})
				}},
				"get": {false, func(ctx context.Context, s storage.Interface) error {
					return s.Get(ctx, "a", storage.GetOptions{ResourceVersion: tc.version}, nil)
				}},
				"list": {false, func(ctx context.Context, s storage.Interface) error {
					return s.GetList(ctx, "a", storage.ListOptions{ResourceVersion: tc.version}, nil)
				}},
			} {
				if tc.version != "" && call.write {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					members, below := tc.members, tc.below
					err := call.call(t.Context(), over(t, &below, &members))
					want := tc.read
					if call.write {
						want = tc.write
					}
					if want == "" {
						if !errors.Is(err, tc.below.err) {
							t.Errorf("%s ends with %v", method, err)
						}
						return
					}
					if !apierrors.IsServiceUnavailable(err) || err.Error() != want {
						t.Errorf("%s ends with %v, want %q", method, err, want)
					}
					seconds, retry := apierrors.SuggestsClientDelay(err)
					if retry == call.write || retry && seconds != retryAfterSeconds {
						t.Errorf("%s is to be repeated after %d s: %v", method, seconds, retry)
					}
				})
			}
		})
	}
}

func TestAWatchThatDoesNotBeginNamesTheMembersThatRespond(t *testing.T) {
	s := over(t, &answering{err: rpctypes.ErrNoLeader}, &observed{responding: 1, voters: 3})
	if _, err := s.Watch(t.Context(), "a", storage.ListOptions{}); !apierrors.IsServiceUnavailable(err) || err.Error() != oneOfThree {
		t.Errorf("the watch ends with %v", err)
	}
}

func TestRequestsAreRefusedAtOnceOnlyForAMomentAfterOneWithoutAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		below := &answering{takes: neverInTest}
		members := &observed{responding: 1, voters: 3}
		s := over(t, below, members)
		create := func() error { return s.Create(t.Context(), "a", nil, nil, 0) }
		if err := create(); err == nil || below.calls != 1 {
			t.Fatalf("the first request ends with %v after %d calls", err, below.calls)
		}
		began := time.Now()
		err := create()
		if _, retry := apierrors.SuggestsClientDelay(err); !retry || below.calls != 1 || time.Since(began) != 0 {
			t.Errorf("the second request ends with %v after %v and %d calls", err, time.Since(began), below.calls)
		}
		below.takes = 0
		members.responding = 2
		if err := create(); err != nil || below.calls != 2 {
			t.Errorf("with a majority, a request ends with %v", err)
		}
		members.responding = 1
		time.Sleep(refuseFor + time.Nanosecond)
		if err := create(); err != nil || below.calls != 3 {
			t.Errorf("a request that etcd answers ends with %v", err)
		}
	})
}

func TestARequestThatTheClientHasGivenUpKeepsItsError(t *testing.T) {
	members := &observed{responding: 1, voters: 3}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := over(t, &answering{takes: neverInTest}, members).Create(ctx, "a", nil, nil, 0); !errors.Is(err, context.Canceled) || members.asked != 0 {
		t.Errorf("it ends with %v, after %d questions", err, members.asked)
	}
}

func BenchmarkMajority(b *testing.B) {
	m := &majority{members: &observed{responding: 3, voters: 3}}
	b.ReportAllocs()
	for b.Loop() {
		if err := m.call(b.Context(), false, func(context.Context) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
