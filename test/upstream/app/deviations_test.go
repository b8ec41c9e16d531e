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
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Each deviation is a state in which our controller decides differently. If a row fails because
// both decide alike, upstream has fixed it, and the deviation can be removed.
func TestWhereOursDecidesOtherwise(t *testing.T) {
	long := time.Now().Add(-time.Hour)
	const yes = metav1.ConditionTrue
	for _, tc := range []struct {
		name     string
		app      *v1alpha1.App
		releases releases
		why      string
		want     string
		says     string
	}{
		{"the size was changed on the release, too", newApp(3), releases{newRelease(1, 3, scaledTo(5, 5))},
			"a release that was given the app's new size", "v1:3", ""},
		{"from a rolling update to a recreation, and another size", newApp(3, recreate), releases{newRelease(9, 2, scaledTo(5, 5)), newRelease(1, 3, scaledTo(5, 5))},
			"an app that is recreated", "v1:0 v9:2", ""},
		{"a release that is still shrinking", newApp(10, rolling("0", "2")), releases{newRelease(9, 0), newRelease(2, 4, has(6, 6)), newRelease(1, 6, has(6, 3))},
			"a release that shrinks", "v1:4 v2:4 v9:0", ""},
		{"a paused app without instances", newApp(3, paused, historyLimit(0)), releases{newRelease(1, 0, scaledTo(0, 0))},
			"a paused app that grows", "v1:3", ""},
		{"a rollback", newApp(3, counts(3, 3, 3, 3), progressing(yes, "NewReleaseAvailable", long)), releases{newRelease(9, 0), newRelease(1, 3)},
			"an app that goes back", "v1:2 v9:0", "Progressing=True FoundNewRelease false true"},
		{"a new version before the last one has begun", newApp(3, counts(3, 0, 3, 3), progressing(yes, "NewReleaseCreated", long)), releases{newRelease(1, 3)},
			"an app that gets another release", "v1:2", "Progressing=True NewReleaseCreated false true"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, release := range tc.releases {
				revision(strings.TrimPrefix(release.Name, "web-v"))(release)
			}
			s := state{app: tc.app, releases: tc.releases}
			if tc.says == "" {
				settled(s.app, s.releases)
			}
			if why := deviation(s); !strings.HasPrefix(why, tc.why) {
				t.Errorf("it is %q", why)
			}
			got, difference := compare(t, s)
			if difference == "" {
				t.Errorf("theirs does the same: %+v", got)
			}
			if got.sizes() != tc.want || !strings.Contains(strings.Join(got.Conditions, "; "), tc.says) {
				t.Errorf("sizes %s, want %s; said %s, want %s", got.sizes(), tc.want, got.Conditions, tc.says)
			}
		})
	}
}
