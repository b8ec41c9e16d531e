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

package limits

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
)

func TestWatchesAreBoundedForEachUserAndInAll(t *testing.T) {
	exempt := func(u user.Info) bool { return u.GetName() == "admin" }
	for _, tc := range []struct {
		name         string
		perUser, all int
		// steps are users that open a watch, or close one if the name has a minus in front.
		steps []string
		// want has a letter for each opening: a is admitted, u and s are refused by the bound of
		// the user and of the server.
		want string
	}{
		{"a user has as many as the bound", 2, 0, []string{"a", "a", "a"}, "aau"},
		{"another user does not count", 2, 0, []string{"a", "a", "b", "a"}, "aaau"},
		{"a closed one makes space for another", 2, 0, []string{"a", "a", "-a", "a", "a"}, "aaau"},
		{"all users share the bound of the server", 2, 3, []string{"a", "b", "c", "d"}, "aaas"},
		{"a closed one makes space for another user's", 2, 2, []string{"a", "b", "-a", "c"}, "aaa"},
		{"a refused one takes no space", 1, 2, []string{"a", "a", "a", "b"}, "auua"},
		{"the exempt are admitted, and count", 1, 2, []string{"admin", "admin", "admin", "a"}, "aaas"},
		{"no bound", 0, 0, []string{"a", "a", "a"}, "aaa"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			watches := &Watches{PerUser: tc.perUser, All: tc.all, Exempt: exempt}
			got, open := "", 0
			for _, step := range tc.steps {
				if name, closes := strings.CutPrefix(step, "-"); closes {
					watches.end(name)
					open--
					continue
				}
				err := watches.begin(&user.DefaultInfo{Name: step})
				seconds, delay := apierrors.SuggestsClientDelay(err)
				switch {
				case err == nil:
					got += "a"
					open++
				case !apierrors.IsTooManyRequests(err) || !delay || seconds < retryFrom || seconds > retryTo:
					t.Errorf("refused with %v, want 429 that suggests a delay", err)
				case strings.Contains(err.Error(), "--max-watches-per-user"):
					got += "u"
				case strings.Contains(err.Error(), "--max-watches"):
					got += "s"
				}
			}
			if got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
			if all, _, _ := watches.numbers(); all != open {
				t.Errorf("%d are counted, and %d are open", all, open)
			}
		})
	}
}
