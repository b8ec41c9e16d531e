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

// Package version returns the version of Gatehouse.
package version

import (
	"strings"

	"k8s.io/component-base/version"
)

// Product returns the version of Gatehouse, such as v0.3.1. The build stamps it
// (hack/version.sh) as metadata behind the Kubernetes version that /version must return, because
// kubectl compares that version with its own.
func Product() string {
	if _, ours, ok := strings.Cut(version.Get().GitVersion, "+gatehouse."); ok {
		return "v" + ours
	}
	return "unknown (built without make)"
}
