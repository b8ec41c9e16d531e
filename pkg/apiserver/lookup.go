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

// StoreLookup finds what tokens of service accounts depend on, straight in the server's own
// storages: it is asked by authentication, which comes before everything else, with every
// request that carries such a token.
//
// It answers from the watch caches, which are in memory anyway: informers would be a second
// copy of every Secret and Instance. What is not there yet is looked for in etcd, so that a
// token counts from the moment in which its account exists.
type StoreLookup struct {
	// Set before the server serves.
	storages map[schema.GroupResource]rest.Storage
	schemes  []*runtime.Scheme
}

// ResourceOf is the plural under which a kind is served here; false where it is not.
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

// bind gives the lookup its storages.
func (l *StoreLookup) bind(storages map[schema.GroupResource]rest.Storage) { l.storages = storages }

// Namespace finds a namespace.
func (l *StoreLookup) Namespace(ctx context.Context, name string) (metav1.Object, error) {
	return l.get(ctx, corev1.Resource("namespaces"), "", name)
}

// ServiceAccount finds a service account.
func (l *StoreLookup) ServiceAccount(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.get(ctx, corev1.Resource("serviceaccounts"), namespace, name)
}

// Secret finds a secret.
func (l *StoreLookup) Secret(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.get(ctx, corev1.Resource("secrets"), namespace, name)
}

// Instance finds an instance.
func (l *StoreLookup) Instance(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.get(ctx, fleet.Resource("instances"), namespace, name)
}

// fromCache and fromEtcd are what the library makes of a resourceVersion.
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
	// The context is that of a request for something else, which errors would name.
	ctx = request.WithRequestInfo(request.WithNamespace(ctx, namespace), &request.RequestInfo{
		IsResourceRequest: true, Verb: "get", APIGroup: resource.Group, Resource: resource.Resource, Namespace: namespace, Name: name,
	})
	object, err := storage.Get(ctx, name, &metav1.GetOptions{ResourceVersion: version})
	if err != nil {
		return nil, err
	}
	return meta.Accessor(object)
}

// Live is the same lookup, and never behind the time: it asks etcd.
func (l *StoreLookup) Live() *LiveLookup { return &LiveLookup{cached: l} }

// LiveLookup is for those who decide something that lasts.
type LiveLookup struct{ cached *StoreLookup }

// Namespace finds a namespace.
func (l *LiveLookup) Namespace(ctx context.Context, name string) (metav1.Object, error) {
	return l.cached.read(ctx, corev1.Resource("namespaces"), "", name, fromEtcd)
}

// ServiceAccount finds a service account.
func (l *LiveLookup) ServiceAccount(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.cached.read(ctx, corev1.Resource("serviceaccounts"), namespace, name, fromEtcd)
}

// Secret finds a secret.
func (l *LiveLookup) Secret(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.cached.read(ctx, corev1.Resource("secrets"), namespace, name, fromEtcd)
}

// Instance finds an instance.
func (l *LiveLookup) Instance(ctx context.Context, namespace, name string) (metav1.Object, error) {
	return l.cached.read(ctx, fleet.Resource("instances"), namespace, name, fromEtcd)
}
