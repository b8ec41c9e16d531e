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
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// storeReadyPoll is how often an informer checks whether its storage's watch cache is filled. A list
// before that is refused, and the reflector would wait for most of a second.
const storeReadyPoll = 2 * time.Millisecond

// StoreInformers are informers of built-in kinds that read directly from the server's own storages:
// the reads of admission, authorization and flow control must not depend on admission, authorization
// and flow control. Their objects are shared with the watch cache and must not be changed. They cover
// only the kinds that NewStoreInformers registers: controllers are ordinary clients.
type StoreInformers struct {
	// Factory is the factory for plugins and authorizers.
	Factory informers.SharedInformerFactory

	sources map[schema.GroupResource]*storeSource
	synced  []cache.InformerSynced
}

// NewStoreInformers registers the informers. They wait for bind, so the factory may be passed to
// plugins before the storages exist, and be started after that.
func NewStoreInformers() *StoreInformers {
	// The factory has no client: the first start fails if a plugin needs a kind that is not registered
	// here.
	var noClient kubernetes.Interface
	s := &StoreInformers{
		Factory: informers.NewSharedInformerFactory(noClient, 0),
		sources: map[schema.GroupResource]*storeSource{},
	}
	s.register(admissionregistrationv1.Resource("mutatingadmissionpolicies"), &admissionregistrationv1.MutatingAdmissionPolicy{})
	s.register(admissionregistrationv1.Resource("mutatingadmissionpolicybindings"), &admissionregistrationv1.MutatingAdmissionPolicyBinding{})
	s.register(admissionregistrationv1.Resource("mutatingwebhookconfigurations"), &admissionregistrationv1.MutatingWebhookConfiguration{})
	s.register(admissionregistrationv1.Resource("validatingadmissionpolicies"), &admissionregistrationv1.ValidatingAdmissionPolicy{})
	s.register(admissionregistrationv1.Resource("validatingadmissionpolicybindings"), &admissionregistrationv1.ValidatingAdmissionPolicyBinding{})
	s.register(admissionregistrationv1.Resource("validatingwebhookconfigurations"), &admissionregistrationv1.ValidatingWebhookConfiguration{})
	s.register(corev1.Resource("limitranges"), &corev1.LimitRange{})
	s.register(corev1.Resource("namespaces"), &corev1.Namespace{})
	s.register(corev1.Resource("resourcequotas"), &corev1.ResourceQuota{})
	s.register(corev1.Resource("secrets"), &corev1.Secret{})
	s.register(flowcontrolv1.Resource("flowschemas"), &flowcontrolv1.FlowSchema{})
	s.register(flowcontrolv1.Resource("prioritylevelconfigurations"), &flowcontrolv1.PriorityLevelConfiguration{})
	s.register(rbacv1.Resource("clusterrolebindings"), &rbacv1.ClusterRoleBinding{})
	s.register(rbacv1.Resource("clusterroles"), &rbacv1.ClusterRole{})
	s.register(rbacv1.Resource("rolebindings"), &rbacv1.RoleBinding{})
	s.register(rbacv1.Resource("roles"), &rbacv1.Role{})
	s.register(corev1.Resource("serviceaccounts"), &corev1.ServiceAccount{})
	return s
}

// register registers an informer of the kind that reads from the storage of the resource: the first
// registration of a type wins.
func (s *StoreInformers) register(resource schema.GroupResource, example runtime.Object) {
	source := &storeSource{bound: make(chan struct{})}
	s.sources[resource] = source
	informer := s.Factory.InformerFor(example, func(kubernetes.Interface, time.Duration) cache.SharedIndexInformer {
		return cache.NewSharedIndexInformer(&listWatch{&cache.ListWatch{
			ListWithContextFunc:  source.list,
			WatchFuncWithContext: source.watch,
		}}, example, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	})
	s.synced = append(s.synced, informer.HasSynced)
}

// HasSynced reports whether every informer has read its storage once, at a state that is at
// least as new as the start of the server: see storeSource.list.
func (s *StoreInformers) HasSynced() bool {
	for _, synced := range s.synced {
		if !synced() {
			return false
		}
	}
	return true
}

// check returns HasSynced as a health check.
func (s *StoreInformers) check() healthz.HealthChecker {
	return healthz.NamedCheck("stored-objects", func(*http.Request) error {
		if !s.HasSynced() {
			return errors.New("objects that admission and authorization read have not been read yet")
		}
		return nil
	})
}

// Serves reports whether there is an informer of the resource: the factory's default informers have no
// client.
func (s *StoreInformers) Serves(resource schema.GroupVersionResource) bool {
	_, ok := s.sources[resource.GroupResource()]
	return ok
}

// bind sets the storage of every informer.
func (s *StoreInformers) bind(storages map[schema.GroupResource]rest.Storage) error {
	for resource, source := range s.sources {
		store, ok := storages[resource].(informed)
		if !ok {
			return fmt.Errorf("informers of %s: %T cannot be listed and watched", resource, storages[resource])
		}
		source.store = store
		close(source.bound)
	}
	return nil
}

// wrote records the last write of the server itself to each resource, which the first list of an
// informer includes. It must not be called after informers have listed.
func (s *StoreInformers) wrote(resource schema.GroupResource, version uint64) {
	source, ok := s.sources[resource]
	for ok {
		last := source.atLeast.Load()
		ok = version > last && !source.atLeast.CompareAndSwap(last, version)
	}
}

// listWatch makes informers list before they watch. A watch with initial events waits until the watch
// cache is as new as etcd, which takes up to 100 ms if only other resources were written since. A list
// does not wait, and is still as new as the start: see storeSource.list.
type listWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported makes reflectors list.
func (*listWatch) IsWatchListSemanticsUnSupported() bool { return true }

// informed is a storage that an informer can read from.
type informed interface {
	rest.Lister
	rest.Watcher
	rest.StorageWithReadiness
}

// storeSource is the list/watch source of an informer.
type storeSource struct {
	bound chan struct{}
	store informed // set before bound is closed
	// atLeast is the minimum resource version of a list.
	atLeast atomic.Uint64
}

// ready waits until the storage is bound and its watch cache is filled.
func (s *storeSource) ready(ctx context.Context) error {
	select {
	case <-s.bound:
	case <-ctx.Done():
		return ctx.Err()
	}
	return wait.PollUntilContextCancel(ctx, storeReadyPoll, true, func(context.Context) (bool, error) {
		return s.store.ReadinessCheck() == nil, nil
	})
}

// list reads the watch cache. Its first state is a consistent read of etcd by this process, so it
// includes all writes and deletions that were acknowledged before the start. list waits for the
// writes of the start itself.
//
// The version is always a lower bound ("not older than"). A reflector sets a limit on its first list,
// and with a limit and no match Kubernetes interprets a version as an exact one: the list would return
// an old state with role bindings that have been deleted since.
func (s *storeSource) list(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
	internal, err := internalOptions(options)
	if err != nil {
		return nil, err
	}
	if internal.ResourceVersion == "0" {
		internal.ResourceVersion = strconv.FormatUint(s.atLeast.Load(), 10)
	}
	if internal.ResourceVersion != "" && internal.Continue == "" && internal.ResourceVersionMatch == "" {
		internal.Limit, internal.ResourceVersionMatch = 0, metav1.ResourceVersionMatchNotOlderThan
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	return s.store.List(ctx, internal)
}

func (s *storeSource) watch(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	internal, err := internalOptions(options)
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	watcher, err := s.store.Watch(ctx, internal)
	if err != nil {
		return nil, err
	}
	// An event for more than two watchers is wrapped in an object that caches its encoding.
	return watch.Filter(watcher, func(event watch.Event) (watch.Event, bool) {
		if cached, ok := event.Object.(runtime.CacheableObject); ok {
			event.Object = cached.GetObject()
		}
		return event, true
	}), nil
}

func internalOptions(options metav1.ListOptions) (*metainternalversion.ListOptions, error) {
	internal := &metainternalversion.ListOptions{}
	return internal, metainternalversion.Convert_v1_ListOptions_To_internalversion_ListOptions(&options, internal, nil)
}
