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
	"errors"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// Object is a pointer to an object of the kind.
type Object interface {
	comparable
	runtime.Object
	metav1.Object
}

// ListObject is a list of objects.
type ListObject interface {
	runtime.Object
	metav1.ListInterface
}

// Source has the objects of a kind. Its resource versions are numbers that grow with each change, also
// from one start of the server to the next. The callers own the objects that it passes.
type Source[T Object] interface {
	// Get returns the newest visible object with a name, or nil.
	Get(name string, visible func(T) bool) T
	// List calls visit with the objects, in the order of their creation. It returns the version of the
	// list, and the Order of the newest object that is no longer in it.
	List(visit func(T)) (version, gone uint64)
	// Since calls visit with the objects that were added, were modified or have left the list after a
	// version, in the order of versions, and with the version of the change. It returns the version of the
	// last one, and a channel that is closed on the next change. ok is false if changes after the version
	// are lost.
	Since(version uint64, visit func(object T, kind watch.EventType, version uint64)) (last uint64, next <-chan struct{}, ok bool)
	// Follow makes the channels of Since work until the returned function is called.
	Follow() (stop func())
}

// Kind describes a kind and has the objects of it.
type Kind[T Object] struct {
	// Source has the objects.
	Source Source[T]
	// Server is the identity of this server, which the error for an unknown object has; empty for none.
	Server string
	// Resource is the resource, and Version that of its API.
	Resource schema.GroupResource
	Version  string
	// Singular is the resource in the singular, ShortNames its short names, and Noun the kind in the plural,
	// in messages.
	Singular   string
	ShortNames []string
	Noun       string
	// New returns an empty object, and NewList a list of objects.
	New     func() T
	NewList func(items []T) ListObject
	// Order is a number by which the objects are sorted in lists: the version in which the object was added.
	Order func(T) uint64
	// Fields are the values of the field selectors besides metadata.name. Changing names those whose
	// values change during the life of an object.
	Fields   func(T) fields.Set
	Changing []string
	// Table converts to tables.
	Table rest.TableConvertor

	// Authorizer decides which users may read the objects of others, by the verb VerbReadAll on the
	// resource. Owns reports whether an object belongs to a user, and Hide removes from an object what its
	// owner may not read. Without Owns, every user that may read the resource reads all objects.
	Authorizer  authorizer.Authorizer
	VerbReadAll string
	Owns        func(u user.Info, object T) bool
	Hide        func(u user.Info, object T)
	// Complete adds what is computed when a client gets an object; nil for nothing.
	Complete func(ctx context.Context, object T)
	// Mark sets the server of a bookmark. A watch with bookmarks then begins with one, so that a client knows which
	// server responds; nil for kinds without a server.
	Mark func(object T)
}

// REST serves the objects of a kind.
type REST[T Object] struct {
	kind Kind[T]
	rest.TableConvertor
}

// NewREST returns the storage of a kind.
func NewREST[T Object](kind Kind[T]) (*REST[T], error) {
	if kind.Source == nil || kind.Owns != nil && kind.Authorizer == nil {
		return nil, errors.New(kind.Noun + " need a source and an authorizer")
	}
	return &REST[T]{kind: kind, TableConvertor: kind.Table}, nil
}

// New implements rest.Storage.
func (r *REST[T]) New() runtime.Object { return r.kind.New() }

// NewList implements rest.Lister.
func (r *REST[T]) NewList() runtime.Object { return r.kind.NewList(nil) }

// Destroy implements rest.Storage.
func (*REST[T]) Destroy() {}

// NamespaceScoped implements rest.Scoper.
func (*REST[T]) NamespaceScoped() bool { return false }

// ShortNames implements rest.ShortNamesProvider.
func (r *REST[T]) ShortNames() []string { return r.kind.ShortNames }

// GetSingularName implements rest.SingularNameProvider.
func (r *REST[T]) GetSingularName() string { return r.kind.Singular }

// Get implements rest.Getter. An object that the user may not read does not exist.
func (r *REST[T]) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	reader, err := r.readerOf(ctx)
	if err != nil {
		return nil, err
	}
	var none T
	object := r.kind.Source.Get(name, reader.mayRead)
	if object == none {
		return nil, r.notFound(name)
	}
	reader.hide(object)
	if r.kind.Complete != nil {
		r.kind.Complete(ctx, object)
	}
	return object, nil
}

// notFound returns an error that names this server, if it is known: other servers may have the object.
func (r *REST[T]) notFound(name string) error {
	err := apierrors.NewNotFound(r.kind.Resource, name)
	if r.kind.Server != "" {
		err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: v1alpha1.CauseServer, Message: r.kind.Server}}
	}
	return err
}

// List implements rest.Lister.
func (r *REST[T]) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	reader, err := r.readerOf(ctx)
	if err != nil {
		return nil, err
	}
	from, err := pageOf(options)
	if err != nil {
		return nil, err
	}
	matches := r.matcher(options)
	var items []T
	rest, newest := int64(0), uint64(0)
	version, gone := r.kind.Source.List(func(object T) {
		order := r.kind.Order(object)
		if !from.includes(order) || !reader.mayRead(object) || !matches(object) {
			return
		}
		if options != nil && options.Limit > 0 && int64(len(items)) >= options.Limit {
			rest++
			return
		}
		reader.hide(object)
		newest = order
		items = append(items, object)
	})
	if err := from.check(version, gone, r.expired); err != nil {
		return nil, err
	}
	if from.Version != 0 {
		version = from.Version
	}
	list := r.kind.NewList(items)
	list.SetResourceVersion(strconv.FormatUint(version, 10))
	if rest > 0 {
		list.SetContinue(page{Version: version, After: newest}.token())
		list.SetRemainingItemCount(&rest)
	}
	return list, nil
}

// expired returns the error for a version that is no longer known.
func (r *REST[T]) expired() error {
	return apierrors.NewResourceExpired("the " + r.kind.Noun + " of this version are no longer in memory: list again without a version")
}

// VersionOf returns the resource version of an object of this server.
func VersionOf(object metav1.Object) uint64 {
	version, _ := strconv.ParseUint(object.GetResourceVersion(), 10, 64)
	return version
}

// matcher returns a function that applies the selectors. The objects have no labels.
func (r *REST[T]) matcher(options *metainternalversion.ListOptions) func(T) bool {
	if options == nil {
		options = &metainternalversion.ListOptions{}
	}
	selector := options.FieldSelector
	if options.LabelSelector != nil && !options.LabelSelector.Matches(labels.Set{}) {
		return func(T) bool { return false }
	}
	if selector == nil || selector.Empty() {
		return func(T) bool { return true }
	}
	return func(object T) bool {
		set := r.kind.Fields(object)
		set["metadata.name"] = object.GetName()
		return selector.Matches(set)
	}
}

// reader is a user that reads objects of the kind.
type reader[T Object] struct {
	kind *Kind[T]
	user user.Info
	all  bool
}

func (r *REST[T]) readerOf(ctx context.Context) (reader[T], error) {
	u, ok := request.UserFrom(ctx)
	if !ok {
		return reader[T]{}, apierrors.NewUnauthorized(r.kind.Noun + " are readable by authenticated users only")
	}
	return reader[T]{kind: &r.kind, user: u, all: r.mayReadAll(ctx, u)}, nil
}

func (r *REST[T]) mayReadAll(ctx context.Context, u user.Info) bool {
	if r.kind.Owns == nil {
		return true
	}
	decision, _, err := r.kind.Authorizer.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: r.kind.VerbReadAll, APIGroup: r.kind.Resource.Group, APIVersion: r.kind.Version, Resource: r.kind.Resource.Resource, ResourceRequest: true,
	})
	return err == nil && decision == authorizer.DecisionAllow
}

// mayRead reports whether the user may read an object: its own, or every one.
func (r reader[T]) mayRead(object T) bool {
	return r.all || r.user.GetName() != "" && r.kind.Owns(r.user, object)
}

// hide removes what the user may not read of an object.
func (r reader[T]) hide(object T) {
	if !r.all && r.kind.Hide != nil {
		r.kind.Hide(r.user, object)
	}
}
