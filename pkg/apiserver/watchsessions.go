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
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/diagnostics/watchsession"
	"github.com/gatehouse-dev/gatehouse/pkg/watches"
)

// withWatchObserver records when the storage begins and ends the watch of a request.
func withWatchObserver(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if info, ok := request.RequestInfoFrom(r.Context()); ok && info.Verb == "watch" {
			ctx := r.Context()
			r = r.WithContext(base.WithWatchObserver(ctx, &base.WatchObserver{
				Began:      func() { watches.Began(ctx) },
				TimedOut:   func() { watches.TimedOut(ctx) },
				Terminated: func() { watches.Terminated(ctx) },
			}))
		}
		handler.ServeHTTP(w, r)
	})
}

// watchSessions are the inputs of the storage of watch sessions.
func watchSessions(registry *watches.Registry, c *Config) watchsession.Config {
	return watchsession.Config{Source: registry, Order: watches.Order, Authorizer: c.Generic.Authorization.Authorizer}
}

// watchSource returns a function that returns where the events of a watch come from.
func watchSource(storages map[schema.GroupResource]rest.Storage, indexes map[schema.GroupResource]string) func(*http.Request, *request.RequestInfo) diagnostics.WatchSource {
	sources := map[schema.GroupResource]diagnostics.WatchSource{}
	for resource, served := range storages {
		sources[resource] = sourceOf(served)
	}
	return func(r *http.Request, info *request.RequestInfo) diagnostics.WatchSource {
		source := sources[schema.GroupResource{Group: info.APIGroup, Resource: info.Resource}]
		if source == diagnostics.WatchSourceCache && usesWatchIndex(indexes, r) {
			return diagnostics.WatchSourceIndex
		}
		return source
	}
}

// sourceOf returns where the events of watches of a storage come from, apart from an index.
func sourceOf(served rest.Storage) diagnostics.WatchSource {
	stored, ok := served.(interface{ Base() *base.Store })
	if !ok {
		return diagnostics.WatchSourceMemory
	}
	below := stored.Base().Storage.Storage
	for {
		wrapper, ok := below.(interface{ Unwrap() storage.Interface })
		if !ok {
			break
		}
		below = wrapper.Unwrap()
	}
	if _, cached := below.(*cacher.CacheDelegator); cached {
		return diagnostics.WatchSourceCache
	}
	return diagnostics.WatchSourceStorage
}
