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

func TestWhichOldReleasesShrink(t *testing.T) {
	for _, tc := range []struct {
		name   string
		app    *v1alpha1.App
		newest *v1alpha1.Release
		old    []*v1alpha1.Release
		want   string
	}{
		{"one, which may be missing", makeApp(4), makeRelease(9, 1, available(0)), []*v1alpha1.Release{makeRelease(1, 4)}, "web-1:3"},
		{"one, and one that the newest has replaced", makeApp(4), makeRelease(9, 1), []*v1alpha1.Release{makeRelease(1, 4)}, "web-1:2"},
		{"none, while the newest is not available", makeApp(4), makeRelease(9, 2, available(0)), []*v1alpha1.Release{makeRelease(1, 3)}, ""},
		{"one that is not available, though nothing is to spare", makeApp(4), makeRelease(9, 1, available(0)), []*v1alpha1.Release{makeRelease(1, 4, available(2))}, "web-1:3"},
		{"those that are not available before the oldest", makeApp(4), makeRelease(9, 1), []*v1alpha1.Release{makeRelease(1, 2), makeRelease(2, 2, available(0))}, "web-2:0"},
		{"the oldest, where all are available", makeApp(4), makeRelease(9, 1), []*v1alpha1.Release{makeRelease(2, 2), makeRelease(1, 2)}, "web-1:0"},
		{"all, when the newest is enough", makeApp(4), makeRelease(9, 4), []*v1alpha1.Release{makeRelease(2, 2), makeRelease(1, 2)}, "web-1:0 web-2:0"},
		{"nothing of those that have nothing", makeApp(4), makeRelease(9, 4), []*v1alpha1.Release{makeRelease(1, 0)}, ""},
		{"instances that go anyway are not spent twice", makeApp(4), makeRelease(9, 1), []*v1alpha1.Release{makeRelease(1, 2, available(4))}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := words(RollOld(tc.app, tc.old, tc.newest)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestUnhealthyReplicasAreCleanedUp(t *testing.T) {
	for _, tc := range []struct {
		name string
		old  []*v1alpha1.Release
		most int32
		want string
	}{
		{"not more than may be unavailable", []*v1alpha1.Release{makeRelease(1, 10, available(8))}, 1, "web-1:9"},
		{"all of them", []*v1alpha1.Release{makeRelease(1, 10, available(8))}, 3, "web-1:8"},
		{"none if none may be unavailable", []*v1alpha1.Release{makeRelease(1, 10, available(8))}, 0, ""},
		{"none where all are healthy", []*v1alpha1.Release{makeRelease(1, 10)}, 3, ""},
		{"the oldest release's first", []*v1alpha1.Release{makeRelease(2, 2, available(0)), makeRelease(1, 2, available(0))}, 3, "web-1:0 web-2:1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := words(CleanUpUnhealthy(tc.old, tc.most)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
