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

import "strings"

// ResourceOf returns the resource of the object with a key below a prefix, such as Prefix: secrets for
// /registry/secrets/default/one, apps.fleet.gatehouse.dev for /registry/fleet.gatehouse.dev/apps/default/one.
func ResourceOf(prefix, key string) string {
	parts := strings.SplitN(strings.TrimPrefix(key, prefix+"/"), "/", 3)
	if len(parts) > 1 && strings.Contains(parts[0], ".") {
		return parts[1] + "." + parts[0]
	}
	return parts[0]
}
