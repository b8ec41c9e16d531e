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
	"errors"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

func TestReasonsThatQuoteWhatWasSentAreCut(t *testing.T) {
	whole := errors.New("not a token: " + strings.Repeat("é", 400<<10))
	_, ok, err := withShortReasons(authenticator.RequestFunc(func(*http.Request) (*authenticator.Response, bool, error) {
		return nil, false, whole
	})).AuthenticateRequest(&http.Request{})
	if ok || err == nil {
		t.Fatal("a refusal has become none")
	}
	if got := err.Error(); len(got) > longestReason+64 || !strings.HasPrefix(got, "not a token: é") || !strings.HasSuffix(got, "bytes)") {
		t.Errorf("the reason is %d bytes long: %.100s", len(got), got)
	}
	if !errors.Is(err, whole) {
		t.Error("the cut reason is not of the same error")
	}
}
