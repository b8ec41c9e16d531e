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

package files

import "path/filepath"

// ReadTrusted reads a file of a data directory. It fails if another user could have replaced
// the file or its directory.
func ReadTrusted(path string) ([]byte, error) {
	if err := Directory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return ReadFile(path)
}
