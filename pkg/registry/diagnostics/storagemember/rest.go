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

package storagemember

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/virtual"
)

// Source has the members.
type Source interface {
	virtual.Source[*diagnostics.StorageMember]
	// Order returns the version in which a member was first seen.
	Order(member *diagnostics.StorageMember) uint64
	// Fresh waits until the observations are recent, for a few seconds at most, and returns an error if no
	// member is known.
	Fresh(ctx context.Context) error
}

// REST serves members. Every user with the right to read them reads all.
type REST struct {
	*virtual.REST[*diagnostics.StorageMember]
	source Source
}

var (
	_ rest.Getter  = &REST{}
	_ rest.Lister  = &REST{}
	_ rest.Watcher = &REST{}
)

// NewREST returns the storage of members.
func NewREST(source Source) (*REST, error) {
	members, err := virtual.NewREST(virtual.Kind[*diagnostics.StorageMember]{
		Source: source, Resource: diagnostics.Resource(v1alpha1.StorageMembers), Version: v1alpha1.SchemeGroupVersion.Version,
		Singular: "storagemember", ShortNames: []string{"sm"}, Noun: "members of etcd",
		New: func() *diagnostics.StorageMember { return &diagnostics.StorageMember{} }, NewList: newList,
		Order:  source.Order,
		Fields: func(*diagnostics.StorageMember) fields.Set { return fields.Set{} },
		Table:  table(),
	})
	if err != nil {
		return nil, err
	}
	return &REST{members, source}, nil
}

func newList(items []*diagnostics.StorageMember) virtual.ListObject {
	list := &diagnostics.StorageMemberList{}
	for _, item := range items {
		list.Items = append(list.Items, *item)
	}
	return list
}

// fresh waits for recent observations.
func (r *REST) fresh(ctx context.Context) error {
	if err := r.source.Fresh(ctx); err != nil {
		return apierrors.NewServiceUnavailable(err.Error())
	}
	return nil
}

// Get implements rest.Getter.
func (r *REST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	if err := r.fresh(ctx); err != nil {
		return nil, err
	}
	return r.REST.Get(ctx, name, options)
}

// List implements rest.Lister.
func (r *REST) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	if err := r.fresh(ctx); err != nil {
		return nil, err
	}
	return r.REST.List(ctx, options)
}

// Watch implements rest.Watcher.
func (r *REST) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	if err := r.fresh(ctx); err != nil {
		return nil, err
	}
	return r.REST.Watch(ctx, options)
}
