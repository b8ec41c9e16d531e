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

package structured

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/serviceaccount"
)

// Check validates a file and, unless the token is empty, prints how a server with this file
// authenticates the token: the issuer, each claim, each rule and the user. It needs no server, and
// fetches keys from the provider as a server does. The error is the reason of a refusal.
func Check(ctx context.Context, out io.Writer, path, token string, disallowedIssuers []string) error {
	data, err := read(path)
	if missing := (*fs.PathError)(nil); errors.As(err, &missing) {
		return fmt.Errorf("the file cannot be read (%w): name one that exists and that this user may read", err)
	} else if err != nil {
		return err
	}
	parsed, err := parse(data, disallowedIssuers)
	if parsed != nil {
		err = errors.Join(err, parsed.invalid())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintf(out, "file: %s is valid\n", path)
	for i, entry := range parsed.issuers {
		fmt.Fprintf(out, "  jwt[%d]: %s, audiences %s\n", i, entry.jwt.Issuer.URL, strings.Join(entry.jwt.Issuer.Audiences, ", "))
	}
	fmt.Fprintf(out, "  anonymous: %s\n", describeAnonymous(parsed.anonymous))
	token = strings.TrimSpace(token)
	if token == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := check{ctx: ctx, out: out, token: token, config: parsed}
	return c.run()
}

func describeAnonymous(c *apiserver.AnonymousAuthConfig) string {
	switch {
	case c == nil:
		return "not in the file; health checks, /version and the issuer of service account tokens need no credentials"
	case !c.Enabled:
		return "every path needs credentials"
	case len(c.Conditions) == 0:
		return "no path needs credentials"
	}
	paths := make([]string, 0, len(c.Conditions))
	for _, condition := range c.Conditions {
		paths = append(paths, condition.Path)
	}
	return "these paths need no credentials: " + strings.Join(paths, ", ")
}

// check is the check of one token.
type check struct {
	ctx    context.Context
	out    io.Writer
	token  string
	config *config
	jwt    apiserver.JWTAuthenticator
}

func (c *check) run() error {
	url := IssuerOf(c.token)
	index := slices.IndexFunc(c.config.issuers, func(entry issuerConfig) bool { return entry.jwt.Issuer.URL == url })
	switch {
	case url == "":
		return errors.New("the token is no JSON Web Token with a claim iss: no issuer of the file accepts it")
	case index < 0:
		return fmt.Errorf("the token's issuer is %q, which is not in the file: the claim iss and issuer.url must be equal, also in a slash at the end", url)
	}
	c.jwt = c.config.issuers[index].jwt
	fmt.Fprintf(c.out, "issuer: %s (jwt[%d])\n", url, index)
	claims, payload, err := decodeClaims(c.token)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out, "claims:")
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		fmt.Fprintf(c.out, "  %s: %s%s\n", printable(name), printable(string(claims[name])), asTime(name, claims[name]))
	}
	if err := c.signature(); err != nil {
		return err
	}
	failed := c.rules(payload)
	// The user is shown also if a rule refuses it: a rule about the user cannot be corrected without it.
	info, err := c.user(withoutRules(c.jwt, c.jwt.ClaimMappings), payload)
	if err != nil {
		return errors.Join(failed, err)
	}
	failed = errors.Join(failed, refuseReserved(info))
	printUser(c.out, info, failed == nil)
	return failed
}

// signature verifies the signature with the provider's keys, the audience and the times.
func (c *check) signature() error {
	verify, err := newIssuer(c.ctx, withoutRules(c.jwt, apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Expression: `"x"`}}), c.config.compiler, Options{})
	if err != nil {
		return err
	}
	defer verify.retire()
	ticker := time.NewTicker(healthPoll)
	defer ticker.Stop()
	for {
		err := verify.tokens.HealthCheck()
		if err == nil {
			break
		}
		if !strings.Contains(err.Error(), "is not initialized") {
			return err
		}
		select {
		case <-c.ctx.Done():
			return c.ctx.Err()
		case <-ticker.C:
		}
	}
	if _, _, err := verify.verify(c.ctx, c.token); err != nil {
		fmt.Fprintln(c.out, "signature, audience and times: refused, so the claims above are not certain")
		return err
	}
	fmt.Fprintln(c.out, "signature, audience and times: valid")
	return nil
}

// rules prints the result of each rule, and returns an error if one is false.
func (c *check) rules(payload payloadOf) error {
	var failed []error
	report := func(field, rule string, err error) {
		result := "true"
		if err != nil {
			result = "false"
			failed = append(failed, fmt.Errorf("%s: %w", field, err))
		}
		fmt.Fprintf(c.out, "%s: %s: %s\n", field, strings.Join(strings.Fields(rule), " "), result)
	}
	constant := apiserver.ClaimMappings{Username: apiserver.PrefixedClaimOrExpression{Expression: `"x"`}}
	for i, rule := range c.jwt.ClaimValidationRules {
		jwt := withoutRules(c.jwt, constant)
		jwt.ClaimValidationRules = []apiserver.ClaimValidationRule{rule}
		shown := rule.Expression
		if rule.Claim != "" {
			shown = fmt.Sprintf("claims.%s == %q", rule.Claim, rule.RequiredValue)
		}
		_, err := c.user(jwt, payload)
		report(fmt.Sprintf("claimValidationRules[%d]", i), shown, err)
	}
	for i, rule := range c.jwt.UserValidationRules {
		jwt := withoutRules(c.jwt, c.jwt.ClaimMappings)
		jwt.UserValidationRules = []apiserver.UserValidationRule{rule}
		_, err := c.user(jwt, payload)
		report(fmt.Sprintf("userValidationRules[%d]", i), rule.Expression, err)
	}
	return errors.Join(failed...)
}

// user returns the user of the token by a part of the issuer's configuration. The library evaluates
// it; the signature has been verified.
func (c *check) user(jwt apiserver.JWTAuthenticator, payload payloadOf) (user.Info, error) {
	client, err := newClient(c.ctx, jwt.Issuer.CertificateAuthority)
	if err != nil {
		return nil, err
	}
	jwt.Issuer.DiscoveryURL = "" // the keys are given
	tokens, err := oidc.New(c.ctx, oidc.Options{
		JWTAuthenticator: jwt, KeySet: payload, Client: client, Compiler: c.config.compiler, SupportedSigningAlgs: oidc.AllValidSigningAlgorithms(),
	})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, providerTimeout)
	defer cancel()
	for {
		response, ok, err := tokens.AuthenticateToken(ctx, c.token)
		switch {
		case err == nil && ok:
			return response.User, nil
		case err == nil:
			return nil, errors.New("the issuer does not accept the token")
		case !strings.Contains(err.Error(), "verifier not initialized"): // of distributed claims
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(healthPoll):
		}
	}
}

// payloadOf is the payload of a token with a verified signature, as a key set of the library.
type payloadOf []byte

// VerifySignature implements the library's KeySet.
func (p payloadOf) VerifySignature(context.Context, string) ([]byte, error) { return p, nil }

// withoutRules returns an issuer with other mappings and without rules.
func withoutRules(jwt apiserver.JWTAuthenticator, mappings apiserver.ClaimMappings) apiserver.JWTAuthenticator {
	return apiserver.JWTAuthenticator{Issuer: jwt.Issuer, ClaimMappings: mappings}
}

func printUser(out io.Writer, info user.Info, accepted bool) {
	title := "user"
	if !accepted {
		title = "user, which is refused"
	}
	fmt.Fprintf(out, "%s:\n  username: %q\n  groups: %q\n  uid: %q\n", title, info.GetName(), info.GetGroups(), info.GetUID())
	for _, key := range slices.Sorted(maps.Keys(info.GetExtra())) {
		fmt.Fprintf(out, "  extra: %s: %q\n", key, info.GetExtra()[key])
	}
}

// IssuerOf returns the issuer that a token names. The library accepts both names of Google's, as
// OpenID Connect Core 1.0, 15.6.2 requires.
func IssuerOf(token string) string {
	url := serviceaccount.ClaimedIssuer(token)
	if url == "accounts.google.com" {
		return "https://accounts.google.com"
	}
	return url
}

// decodeClaims returns the claims of a token without verifying them.
func decodeClaims(token string) (map[string]json.RawMessage, payloadOf, error) {
	_, rest, _ := strings.Cut(token, ".")
	encoded, _, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(encoded)
	var claims map[string]json.RawMessage
	if err == nil {
		err = json.Unmarshal(payload, &claims)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("the token's claims cannot be decoded: %w", err)
	}
	return claims, payload, nil
}

// printable escapes what a terminal could obey: claims are printed before the signature is verified.
func printable(text string) string {
	var out strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			out.WriteRune(r)
		} else {
			fmt.Fprintf(&out, "\\u%04x", r)
		}
	}
	return out.String()
}

// asTime returns a claim that is a time in words.
func asTime(name string, claim json.RawMessage) string {
	var seconds float64
	if !slices.Contains([]string{"exp", "iat", "nbf", "auth_time"}, name) || json.Unmarshal(claim, &seconds) != nil {
		return ""
	}
	return " (" + time.Unix(int64(seconds), 0).UTC().Format(time.RFC3339) + ")"
}
