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

package helper

import "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"

// IsGenericAppReason reports whether a reason of the condition Ready of an app contains no more than
// the numbers in its status: the app is not complete.
func IsGenericAppReason(reason string) bool {
	switch reason {
	case v1alpha1.ReasonInstancesUnavailable, v1alpha1.AppReasonOldInstances, v1alpha1.AppReasonPaused, "Created":
		return true
	}
	return false
}
