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

package apiserver

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// StoreLookup reads the objects on which tokens of service accounts depend directly from the server's
// own storages. Authentication calls it for every request with such a token.
//
// It reads from the watch caches: informers would be a second copy of every Secret and Instance in
// memory. An object that is not cached yet is read from etcd, so that a token is valid as soon as its
// account exists.
type StoreLookup struct {
	// Set before the server serves.
	storages map[schema.GroupResource]rest.Storage
	schemes  []*runtime.Scheme
}

// ResourceOf returns the plural of a served kind, and false for other kinds.
func (l *StoreLookup) ResourceOf(kind schema.GroupVersionKind) (string, bool) {
	for _, scheme := range l.schemes {
		if !scheme.Recognizes(kind) {
			continue
		}
		for resource, storage := range l.storages {
			if resource.Group != kind.Group || strings.Contains(resource.Resource, "/") {
				continue
			}
			kinds, _, err := scheme.ObjectKinds(storage.New())
			if err == nil && slices.ContainsFunc(kinds, func(k schema.GroupVersionKind) bool { return k.GroupKind() == kind.GroupKind() }) {
				return resource.Resource, true
			}
		}
	}
	return "", false
}

// bind sets the storages to read from, and the schemes of their kinds.
func (l *StoreLookup) bind(storages map[schema.GroupResource]rest.Storage, schemes ...*runtime.Scheme) {
	l.storages, l.schemes = storages, schemes
}

// Namespace returns a namespace.
func (l *StoreLookup) Namespace(ctx context.Context, name string) (metav1.Object, error) {
	return l.get(ctx, corev1.Resource("namespaces"), "", name)
}

// ServiceAccount returns a service account.
func (l *StoreLookup) ServiceAccount(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.get(ctx, corev1.Resource("serviceaccounts"), namespace, name)
}

// Secret returns a secret.
func (l *StoreLookup) Secret(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.get(ctx, corev1.Resource("secrets"), namespace, name)
}

// Instance returns an instance.
func (l *StoreLookup) Instance(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.get(ctx, fleet.Resource("instances"), namespace, name)
}

// fromCache and fromEtcd are resource versions with which the library reads from the watch cache and
// from etcd.
const (
	fromCache = "0"
	fromEtcd  = ""
)

func (l *StoreLookup) get(ctx context.Context, resource schema.GroupResource, namespace, name string) (metav1.Object, error) {
	if object, err := l.read(ctx, resource, namespace, name, fromCache); err == nil {
		return object, nil
	}
	return l.read(ctx, resource, namespace, name, fromEtcd)
}

func (l *StoreLookup) read(ctx context.Context, resource schema.GroupResource, namespace, name, version string) (metav1.Object, error) {
	storage, ok := l.storages[resource].(rest.Getter)
	if !ok {
		return nil, fmt.Errorf("%s are not served here", resource)
	}
	// The context belongs to a request for another object, which errors would name.
	ctx = request.WithRequestInfo(request.WithNamespace(ctx, namespace), &request.RequestInfo{
		IsResourceRequest: true, Verb: "get", APIGroup: resource.Group, Resource: resource.Resource, Namespace: namespace, Name: name,
	})
	object, err := storage.Get(ctx, name, &metav1.GetOptions{ResourceVersion: version})
	if err != nil {
		return nil, err
	}
	return meta.Accessor(object)
}

// Live returns the same lookup without the cache: it reads from etcd.
func (l *StoreLookup) Live() *LiveLookup { return &LiveLookup{cached: l} }

// LiveLookup is for decisions that last, such as an issued token.
type LiveLookup struct{ cached *StoreLookup }

// Namespace returns a namespace.
func (l *LiveLookup) Namespace(ctx context.Context, name string) (metav1.Object, error) {
	return l.cached.read(ctx, corev1.Resource("namespaces"), "", name, fromEtcd)
}

// ServiceAccount returns a service account.
func (l *LiveLookup) ServiceAccount(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.cached.read(ctx, corev1.Resource("serviceaccounts"), namespace, name, fromEtcd)
}

// Secret returns a secret.
func (l *LiveLookup) Secret(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.cached.read(ctx, corev1.Resource("secrets"), namespace, name, fromEtcd)
}

// Instance returns an instance.
func (l *LiveLookup) Instance(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.cached.read(ctx, fleet.Resource("instances"), namespace, name, fromEtcd)
}
