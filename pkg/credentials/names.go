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

package credentials

import (
	"fmt"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
)

// reservedPrefix begins the names of users and groups that the server treats specially.
const reservedPrefix = "system:"

// ValidateUser returns an error for each name that the server treats specially: with them a
// kubeconfig would have more permissions than roles grant.
func ValidateUser(name string, groups []string) []error {
	var errs []error
	if strings.HasPrefix(name, reservedPrefix) {
		errs = append(errs, fmt.Errorf("%q cannot be the name of a user: names that begin with %s are reserved for the server; for the agent of a host use \"gatehouse host add\"", name, reservedPrefix))
	}
	if name == certificates.AdminUser {
		errs = append(errs, fmt.Errorf("%q is the administrator, whose kubeconfig \"gatehouse kubeconfig\" prints", name))
	}
	for _, group := range groups {
		if strings.HasPrefix(group, reservedPrefix) {
			errs = append(errs, fmt.Errorf("--group=%s cannot be given: groups that begin with %s are reserved for the server; bind the role that you mean to the user or to a group of yours", group, reservedPrefix))
		}
	}
	for _, word := range append([]string{name}, groups...) {
		if word == "" || word != strings.TrimSpace(word) || strings.ContainsFunc(word, unicode.IsControl) {
			errs = append(errs, fmt.Errorf("%q cannot name a user or a group: it is empty, or has spaces around it or control characters in it", word))
		}
	}
	return errs
}

// ValidateHost returns an error for a name that no Host can have.
func ValidateHost(name string) []error {
	if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
		return []error{fmt.Errorf("%q cannot be the name of a host: %s", name, strings.Join(problems, "; "))}
	}
	return nil
}
