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

package simulation

import "testing"

func TestAddressesAreDistinct(t *testing.T) {
	seen := map[string]int{}
	for number := 1; number <= MaxHosts; number++ {
		address := hostIP(number)
		if other := seen[address]; other != 0 {
			t.Fatalf("hosts %d and %d both have %s", other, number, address)
		}
		seen[address] = number
	}
	if hostIP(1) != "100.64.0.1" || hostIP(MaxHosts) != "100.65.12.36" {
		t.Errorf("%s %s", hostIP(1), hostIP(MaxHosts))
	}
}
