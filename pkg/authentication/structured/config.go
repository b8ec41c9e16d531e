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
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// maxFile bounds the file, in bytes: the library permits 64 issuers, and authorities in PEM are the
// largest part of one.
const maxFile = 1 << 20

// config is a decoded file. Each issuer has passed validation, or has an error.
type config struct {
	anonymous *apiserver.AnonymousAuthConfig
	issuers   []issuerConfig
	// compiler compiled the expressions of the validation. It is large and lives as long as config.
	compiler authenticationcel.Compiler
}

type issuerConfig struct {
	jwt apiserver.JWTAuthenticator
	err error
}

// read reads a bounded file.
func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%s is larger than %d bytes: name an AuthenticationConfiguration", path, maxFile)
	}
	return data, err
}

// parse decodes a file strictly and validates it. An error refuses the whole file: it cannot be
// decoded, or its issuers or the anonymous paths are not certain. Errors within one issuer are in
// its issuerConfig.
func parse(data []byte, disallowedIssuers []string) (*config, error) {
	decoded, err := decode(data)
	if err != nil {
		return nil, err
	}
	parsed := &config{anonymous: decoded.Anonymous, compiler: authenticationcel.NewDefaultCompiler()}
	errs := validation.ValidateAuthenticationConfiguration(parsed.compiler, decoded, disallowedIssuers)
	var urls field.ErrorList
	for i, jwt := range decoded.JWT {
		path := field.NewPath("jwt").Index(i)
		var own, url field.ErrorList
		own, errs = within(path.String()+".", errs)
		// Without the URL it is not certain which issuer of the former file this one replaces.
		url, own = within(path.Child("issuer", "url").String(), own)
		urls = append(urls, url...)
		parsed.issuers = append(parsed.issuers, issuerConfig{jwt: jwt, err: joined(append(own, reserved(jwt, path)...))})
	}
	return parsed, joined(append(errs, urls...))
}

// invalid returns the errors of all issuers.
func (c *config) invalid() error {
	var errs []error
	for _, entry := range c.issuers {
		errs = append(errs, entry.err)
	}
	return errors.Join(errs...)
}

func decode(data []byte) (*apiserver.AuthenticationConfiguration, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, errors.New("the file is empty: write an AuthenticationConfiguration of apiserver.config.k8s.io/v1")
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), data)
	if err != nil {
		return nil, fmt.Errorf("the file is no AuthenticationConfiguration of apiserver.config.k8s.io/v1: %w", err)
	}
	decoded, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("the file is no AuthenticationConfiguration: kind %s is for another flag", strings.TrimPrefix(fmt.Sprintf("%T", object), "*apiserver."))
	}
	return decoded, nil
}

// reservedPrefix begins the names of users and groups of the server: service accounts, hosts,
// controllers, administrators.
const reservedPrefix = "system:"

// reserved returns errors for what the library accepts and this server does not support or reserves.
func reserved(jwt apiserver.JWTAuthenticator, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, mapping := range []struct {
		name   string
		prefix *string
	}{{"username", jwt.ClaimMappings.Username.Prefix}, {"groups", jwt.ClaimMappings.Groups.Prefix}} {
		if mapping.prefix != nil && strings.HasPrefix(*mapping.prefix, reservedPrefix) {
			errs = append(errs, field.Invalid(path.Child("claimMappings", mapping.name, "prefix"), *mapping.prefix, `names that begin with "system:" are reserved for users and groups of the server: use a prefix such as "oidc:"`))
		}
	}
	for i, extra := range jwt.ClaimMappings.Extra {
		domain, _, _ := strings.Cut(extra.Key, "/")
		if strings.HasSuffix("."+domain, "."+v1alpha1.Domain) {
			errs = append(errs, field.Invalid(path.Child("claimMappings", "extra").Index(i).Child("key"), extra.Key, v1alpha1.Domain+" and its subdomains are reserved for the server: use a domain of yours"))
		}
	}
	if jwt.Issuer.EgressSelectorType != "" {
		errs = append(errs, field.Forbidden(path.Child("issuer", "egressSelectorType"), "this server has no egress selector: leave it out"))
	}
	return errs
}

// within splits errors into those of fields that begin with the prefix, and the others.
func within(prefix string, errs field.ErrorList) (inside, outside field.ErrorList) {
	for _, err := range errs {
		if strings.HasPrefix(err.Field, prefix) {
			inside = append(inside, err)
		} else {
			outside = append(outside, err)
		}
	}
	return inside, outside
}

// joined returns one error for all on one line, or nil. The compiler of expressions returns several lines.
func joined(errs field.ErrorList) error {
	texts := make([]string, 0, len(errs))
	for _, err := range errs {
		texts = append(texts, strings.Join(strings.Fields(err.Error()), " "))
	}
	if len(texts) == 0 {
		return nil
	}
	return errors.New(strings.Join(texts, "; "))
}
