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

package authentication

import (
	"fmt"
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// longestReason is the maximum size of the reason for a refusal, in bytes.
const longestReason = 1 << 10

// withShortReasons truncates the errors of an authenticator. k8s.io/apiserver logs them
// (WithAuthentication in its pkg/endpoints/filters), and the libraries that parse tokens and
// certificates quote their input, which any client may send.
func withShortReasons(request authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := request.AuthenticateRequest(r)
		if err != nil {
			if reason := err.Error(); len(reason) > longestReason {
				err = cutError{fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(reason[:longestReason], ""), len(reason)), err}
			}
		}
		return response, ok, err
	})
}

// cutError has a shorter text than the error that it wraps.
type cutError struct {
	short string
	error
}

// Error returns the beginning of the text.
func (e cutError) Error() string { return e.short }

// Unwrap returns the whole error.
func (e cutError) Unwrap() error { return e.error }
