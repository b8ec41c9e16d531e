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

// longestReason is how many bytes of the reason for a refusal are kept.
const longestReason = 1 << 10

// withShortReasons cuts why a caller is not recognised. k8s.io/apiserver writes it to the log
// (WithAuthentication in pkg/endpoints/filters), and the libraries that read tokens and
// certificates quote what they were given, which anybody may send.
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

// cutError prints less than the error that it stands for.
type cutError struct {
	short string
	error
}

// Error is the beginning of the reason.
func (e cutError) Error() string { return e.short }

// Unwrap is the whole error.
func (e cutError) Unwrap() error { return e.error }
