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

package diagnostics

// ShortIDLength is the number of characters of an Audit-ID by which a refusal names it.
const ShortIDLength = 8

// ShortID returns the beginning of the name of a request trace, for messages. Names that are no UUID, which
// clients chose, are short enough.
func ShortID(name string) string {
	if len(name) != 36 {
		return name
	}
	for i := range name {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if hex := name[i] >= '0' && name[i] <= '9' || name[i] >= 'a' && name[i] <= 'f'; dash != (name[i] == '-') || !dash && !hex {
			return name
		}
	}
	return name[:ShortIDLength]
}
