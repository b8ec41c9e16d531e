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

package release

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// freshness records the resource versions that were written for each release, and reports whether
// the informers have reached them. It still delays a release when its expectations have timed out:
// an interrupted watch does not make the cache any fresher.
type freshness struct {
	// releases and instances return the newest resource versions of the informers; empty if
	// client-go does not track them.
	releases, instances func() string

	lock  sync.Mutex
	wrote map[types.UID]versions
}

// versions are the newest written resource versions; empty if there are none.
type versions struct{ release, instance string }

// pace compares the informers with the writes.
type pace int

const (
	// unknown: nothing was written, or the versions cannot be compared.
	unknown pace = iota
	// behind: the cache does not have some write yet.
	behind
	// reached: the cache is at least as new as all writes.
	reached
)

func newFreshness(releases, instances func() string) *freshness {
	return &freshness{releases: releases, instances: instances, wrote: map[types.UID]versions{}}
}

func (f *freshness) wroteRelease(owner types.UID, version string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	v := f.wrote[owner]
	v.release = newer(v.release, version)
	f.wrote[owner] = v
}

func (f *freshness) wroteInstance(owner types.UID, version string) {
	f.lock.Lock()
	defer f.lock.Unlock()
	v := f.wrote[owner]
	v.instance = newer(v.instance, version)
	f.wrote[owner] = v
}

// check compares the informers with the writes for a release, and drops writes that were reached.
func (f *freshness) check(owner types.UID) pace {
	f.lock.Lock()
	defer f.lock.Unlock()
	v, ok := f.wrote[owner]
	if !ok {
		return unknown
	}
	release, instance := compare(v.release, f.releases()), compare(v.instance, f.instances())
	if release == behind || instance == behind {
		return behind
	}
	delete(f.wrote, owner)
	if instance == reached {
		return reached
	}
	return unknown
}

func (f *freshness) forget(owner types.UID) {
	f.lock.Lock()
	defer f.lock.Unlock()
	delete(f.wrote, owner)
}

// compare returns unknown for versions that are missing or are not numbers: blocking a release
// forever would be worse than going on without this check.
func compare(wrote, read string) pace {
	if wrote == "" || read == "" {
		return unknown
	}
	switch order, err := resourceversion.CompareResourceVersion(wrote, read); {
	case err != nil:
		return unknown
	case order > 0:
		return behind
	}
	return reached
}

func newer(a, b string) string {
	if order, err := resourceversion.CompareResourceVersion(a, b); err == nil && order > 0 {
		return a
	}
	return b
}
