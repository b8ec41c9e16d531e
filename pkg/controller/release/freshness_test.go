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
	"testing"
)

func TestWhetherTheCacheShowsWhatWasWritten(t *testing.T) {
	for _, tc := range []struct {
		name                        string
		wroteRelease, wroteInstance []string
		release, instance           string
		want                        pace
	}{
		{name: "nothing was written", release: "5", instance: "5", want: unknown},
		{name: "an instance that is in the cache", wroteInstance: []string{"5"}, release: "1", instance: "5", want: reached},
		{name: "an instance that is not yet", wroteInstance: []string{"6"}, release: "9", instance: "5", want: behind},
		{name: "the newest of many counts, whatever the order of the answers", wroteInstance: []string{"5", "11", "7"}, release: "9", instance: "10", want: behind},
		{name: "versions are numbers, not words", wroteInstance: []string{"9"}, release: "1", instance: "10", want: reached},
		{name: "a status that is not in the cache yet", wroteRelease: []string{"6"}, wroteInstance: []string{"5"}, release: "5", instance: "5", want: behind},
		{name: "a written status does not concern instances", wroteRelease: []string{"5"}, release: "5", instance: "1", want: unknown},
		{name: "an informer without a resource version", wroteRelease: []string{"5"}, wroteInstance: []string{"5"}, want: unknown},
		{name: "a version that is no number", wroteInstance: []string{"five"}, release: "1", instance: "1", want: unknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFreshness(func() string { return tc.release }, func() string { return tc.instance })
			for _, version := range tc.wroteRelease {
				f.wroteRelease("owner", version)
			}
			for _, version := range tc.wroteInstance {
				f.wroteInstance("owner", version)
			}
			if got := f.check("another"); got != unknown {
				t.Errorf("another release: %d", got)
			}
			if got := f.check("owner"); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
			if remembered := len(f.wrote) > 0; remembered != (tc.want == behind) {
				t.Errorf("remembered: %v", f.wrote)
			}
			f.forget("owner")
			if got := f.check("owner"); got != unknown {
				t.Errorf("forgotten: %d", got)
			}
		})
	}
}
