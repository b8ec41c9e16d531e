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

package serviceaccount

import (
	"crypto/elliptic"
	"slices"
	"strings"
	"testing"

	"gopkg.in/go-jose/go-jose.v2"
	authenticationv1 "k8s.io/api/authentication/v1"
)

func TestAudiencesAreBounded(t *testing.T) {
	for _, test := range []struct {
		name      string
		audiences []string
		want      string
	}{
		{name: "as many and as long as may be", audiences: slices.Repeat([]string{strings.Repeat("a", maxAudienceBytes)}, maxAudiences)},
		{name: "more", audiences: slices.Repeat([]string{"a"}, maxAudiences+1), want: "spec.audiences: Too many: 33: must have at most 32 items"},
		{name: "longer", audiences: []string{"a", strings.Repeat("a", maxAudienceBytes+1)}, want: "spec.audiences[1]: Too long: may not be more than 512 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			errs := ValidateTokenRequest(makeRequest(func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = test.audiences }))
			got := ""
			if len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if got != test.want {
				t.Errorf("%q, not %q", got, test.want)
			}
		})
	}
}

func TestOnlyTokensOfAnOrdinaryLengthAreCached(t *testing.T) {
	key := newECKey(t, elliptic.P256())
	s := newSignatures(readKeys(t, key))
	for _, test := range []struct {
		name     string
		audience string
		cached   bool
	}{
		{"an ordinary token", "api", true},
		{"a token of many audiences", strings.Repeat("a", longestCached), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			token := craft(t, jose.ES256, key, "", payload(map[string]any{"aud": []string{test.audience}}))
			if _, err := s.verify(token); err != nil {
				t.Fatal(err)
			}
			if got := s.cached(token) != nil; got != test.cached {
				t.Errorf("cached: %v", got)
			}
		})
	}
}
