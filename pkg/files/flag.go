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
	"os"
)

// OpenToAll returns an error if the mode of the file lets every user read it. It is for warnings, because the
// directory of the file may be closed, as that of a mounted Secret is.
func OpenToAll(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return nil
	}
	return &UntrustedError{path, fmt.Sprintf("has mode %#o, so that every user that can enter its directory can read it: run \"chmod 600 %s\", or set defaultMode: 0400 if it is a mounted Secret", info.Mode().Perm(), path)}
}

// Flag returns an UntrustedError with the name of the flag from whose value the path is derived, and any other
// error as it is.
func Flag(flag string, err error) error {
	if untrusted := (*UntrustedError)(nil); errors.As(err, &untrusted) {
		return fmt.Errorf("--%s: %w", flag, err)
	}
	return err
}

// ValidateFlag returns an error that names the flag if its file cannot be read, or if
// another user owns the file or may write to it.
func ValidateFlag(flag, path string) []error {
	err := Given(path)
	if untrusted := (*UntrustedError)(nil); errors.As(err, &untrusted) {
		return []error{Flag(flag, err)}
	}
	if err != nil {
		return []error{fmt.Errorf("--%s: the file cannot be read (%w): name one that exists and that this user may read", flag, err)}
	}
	return nil
}
