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

package kit

import (
	"testing"
)

func TestTheEnvironmentSetsTheSeed(t *testing.T) {
	t.Setenv(SeedVariable, "")
	if seed := SeedOr(t, 37); seed != 37 {
		t.Errorf("without a setting the seed is %d", seed)
	}
	if seed := Seed(t); seed >= maxSeed {
		t.Errorf("a seed at random is %d", seed)
	}
	t.Setenv(SeedVariable, "7")
	if seed := SeedOr(t, 37); seed != 7 {
		t.Errorf("with 7 the seed is %d", seed)
	}
	if seed := Seed(t); seed != 7 {
		t.Errorf("with 7 the seed is %d", seed)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 3 {
		port, err := FreePort()
		if err != nil || port < 1024 {
			t.Fatalf("port %d: %v", port, err)
		}
		seen[port] = true
	}
	if len(seen) < 2 {
		t.Errorf("the ports are %v", seen)
	}
}
