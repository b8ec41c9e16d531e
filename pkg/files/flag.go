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

import (
	"errors"
	"fmt"
)

// ValidateFlag returns an error that names the flag if its file cannot be read, or if
// another user owns the file or may write to it.
func ValidateFlag(flag, path string) []error {
	err := Given(path)
	if untrusted := (*UntrustedError)(nil); errors.As(err, &untrusted) {
		return []error{fmt.Errorf("--%s: %w", flag, err)}
	}
	if err != nil {
		return []error{fmt.Errorf("--%s: the file cannot be read (%w): name one that exists and that this user may read", flag, err)}
	}
	return nil
}
