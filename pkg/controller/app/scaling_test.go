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

package app

import (
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func remembers(desired, most int32) func(*v1alpha1.Release) {
	return func(r *v1alpha1.Release) { SetReplicasAnnotations(r, desired, most) }
}

func TestAChangeOfSize(t *testing.T) {
	for _, tc := range []struct {
		name   string
		app    *v1alpha1.App
		newest *v1alpha1.Release
		old    []*v1alpha1.Release
		scaled bool
		want   string
	}{
		{"one takes all", makeApp(12), makeRelease(9, 10, remembers(10, 11)), nil, true, "web-9:12"},
		{"an old one takes all, while the newest has none", makeApp(12), makeRelease(9, 0), []*v1alpha1.Release{makeRelease(1, 10, remembers(10, 11))}, true, "web-1:12"},
		{"two share, and the newest gets what is left over", makeApp(4), makeRelease(9, 2, remembers(3, 4)), []*v1alpha1.Release{makeRelease(1, 2, remembers(3, 4))}, true, "web-9:3 web-1:2"},
		{"two shrink, and the oldest loses more", makeApp(2), makeRelease(9, 2, remembers(3, 4)), []*v1alpha1.Release{makeRelease(1, 2, remembers(3, 4))}, true, "web-1:1 web-9:2"},
		{"all end", makeApp(0), makeRelease(9, 2, remembers(3, 4)), []*v1alpha1.Release{makeRelease(1, 2, remembers(3, 4))}, true, "web-1:0 web-9:0"},
		{"old ones end where the newest is saturated", makeApp(3), makeRelease(9, 3, remembers(3, 4)), []*v1alpha1.Release{makeRelease(1, 2, remembers(2, 3))}, true, "web-1:0"},
		{"nothing to do", makeApp(3), makeRelease(9, 3, remembers(3, 4)), []*v1alpha1.Release{makeRelease(1, 0)}, false, ""},
		{"a release that another client has scaled is recorded", makeApp(3), makeRelease(9, 3, remembers(5, 6)), nil, true, "web-9:3"},
		{"a release that remembers nothing is not scaled", makeApp(3), makeRelease(9, 2), nil, false, "web-9:3"},
		{"an app that is recreated shares nothing", makeApp(3, isRecreated), makeRelease(9, 2, remembers(5, 5)), []*v1alpha1.Release{makeRelease(1, 2, remembers(5, 5))}, false, ""},
		{"nothing at all", makeApp(3), nil, nil, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := IsScaled(tc.app, tc.old, tc.newest); got != tc.scaled {
				t.Errorf("scaled: %t", got)
			}
			if got := words(Scale(tc.app, tc.old, tc.newest)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
