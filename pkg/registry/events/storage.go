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

// Package events is the table of contents of events.k8s.io. What stands behind it is the
// storage of the core group.
//
// Stop 5 of the request's path (see ARCHITECTURE.md). pkg/apiserver calls NewStorage once.
package events

import (
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apiserver/pkg/registry/rest"
)

// NewStorage serves the events of the core group under another name: a storage of its own
// would be a second watch cache of the same objects.
func NewStorage(events rest.Storage) map[string]map[string]rest.Storage {
	return map[string]map[string]rest.Storage{
		eventsv1.SchemeGroupVersion.Version: {"events": events},
	}
}
