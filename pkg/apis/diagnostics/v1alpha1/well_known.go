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

package v1alpha1

import (
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// GroupName is the API group of this package.
const GroupName = diagnostics.GroupName

// RequestTraces is the resource of request traces.
const RequestTraces = "requesttraces"

// RequestReviews is the resource of reviews.
const RequestReviews = "requestreviews"

// VerbReviewAll is the verb on reviews that permits to review the requests of other users. Without it
// create is about the user's own requests.
const VerbReviewAll = "reviewall"

// VerbReadAll is the verb on request traces that permits to read the traces of others. Without it get,
// list and watch are about the user's own traces, whatever other rights the user has.
const VerbReadAll = "readall"
