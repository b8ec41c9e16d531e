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

package storage

import (
	"errors"
	"testing"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
)

func TestTheProblemOfAMemberNamesItsCure(t *testing.T) {
	for name, tc := range map[string]struct {
		member  space.Member
		members int
		want    string
	}{
		"nothing is wrong":                             {space.Member{}, 1, "-"},
		"a lone member is inconsistent":                {space.Member{Corrupt: true}, 1, "the data are inconsistent, and requests are refused: restore a backup"},
		"one of several is inconsistent":               {space.Member{Corrupt: true}, 3, "the data differ from those of the other members, and requests are refused: replace the member, which gets theirs"},
		"it does not respond":                          {space.Member{Err: errors.New("no response")}, 3, "no response"},
		"its quota is full":                            {space.Member{NoSpace: true}, 1, "the quota is full (the disk is not): writes are refused"},
		"its quota is full and its data are incorrect": {space.Member{NoSpace: true, Corrupt: true}, 1, "the data are inconsistent, and requests are refused: restore a backup"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := problem(&tc.member, tc.members); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
