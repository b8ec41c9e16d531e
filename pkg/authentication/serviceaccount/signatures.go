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
	"crypto/sha256"
	"errors"
	"fmt"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	"k8s.io/utils/lru"
)

// The cache holds decoded claims, which take about twice the bytes of the token. So the two numbers
// bound its memory: 4 MiB with usual tokens of half a KiB, and 32 MiB at most. Few servers have more
// accounts that call at the same time, and no ordinary token is longer than the second.
const (
	cachedSignatures = 4096
	longestCached    = 4 << 10
)

// asymmetric are the algorithms with a public verifying key. With a symmetric one, a holder of
// a public key could forge tokens; "none" has no signature.
var asymmetric = map[string]bool{
	string(jose.ES256): true, string(jose.ES384): true, string(jose.ES512): true,
	string(jose.RS256): true, string(jose.RS384): true, string(jose.RS512): true,
	string(jose.PS256): true, string(jose.PS384): true, string(jose.PS512): true,
}

// signatures verifies that tokens were signed with one of the keys. Verification costs more than the
// rest of stage 1 (some 60 µs for ES256), and most requests have one of few tokens; so verified
// tokens are cached by the hash of the whole token. Refused ones are not: a client can send any
// number of them.
type signatures struct {
	keys *Keys
	good *lru.Cache
}

func newSignatures(keys *Keys) *signatures {
	return &signatures{keys: keys, good: lru.New(cachedSignatures)}
}

// cached returns the claims of a token that was verified before, or nil. Callers must not
// modify them.
func (s *signatures) cached(token string) *claims {
	if known, ok := s.good.Get(sha256.Sum256([]byte(token))); ok {
		return known.(*claims)
	}
	return nil
}

// verify returns the claims of a token if one of the keys has signed it, and caches them.
func (s *signatures) verify(token string) (*claims, error) {
	parsed, err := jwt.ParseSigned(token)
	if err != nil {
		return nil, fmt.Errorf("the token cannot be parsed: %w", err)
	}
	if len(parsed.Headers) != 1 {
		return nil, errors.New("the token must have one signature")
	}
	header := parsed.Headers[0]
	if !asymmetric[header.Algorithm] {
		return nil, fmt.Errorf("tokens signed with %q are not accepted", header.Algorithm)
	}
	keys := s.keys.named(header.KeyID)
	if len(keys) == 0 {
		return nil, errors.New("the token was signed with a key that is not known here")
	}
	var errs []error
	for _, key := range keys {
		payload := &claims{}
		if err := parsed.Claims(key.Key, &payload.Claims, &payload.private); err != nil {
			errs = append(errs, err)
			continue
		}
		if len(token) <= longestCached {
			s.good.Add(sha256.Sum256([]byte(token)), payload)
		}
		return payload, nil
	}
	return nil, fmt.Errorf("the token's signature is not good: %w", errors.Join(errs...))
}
