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
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"gopkg.in/go-jose/go-jose.v2"
)

// The paths of OpenID Connect Discovery 1.0, for clients that verify tokens themselves.
const (
	OpenIDConfigurationPath = "/.well-known/openid-configuration"
	KeySetPath              = "/openid/v1/jwks"
)

// discoveryMaxAge is the duration for which clients may cache the documents, as in Kubernetes. A new
// signing key must be published this long before it signs.
const discoveryMaxAge = "public, max-age=3600"

// Discovery serves the public keys and their address. It has no secrets.
type Discovery struct {
	configuration, keySet []byte
}

// NewDiscovery returns the discovery of an issuer. keySetURL is the address of KeySetPath for clients. It
// returns an error if the issuer is no https URL; tokens are valid nevertheless.
func NewDiscovery(issuer, keySetURL string, keys *Keys) (*Discovery, error) {
	for what, value := range map[string]string{"issuer": issuer, "URL of the keys": keySetURL} {
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("the %s %q is not of the form https://host/path, without query and fragment", what, value)
		}
	}
	set := jose.JSONWebKeySet{}
	var algorithms []string
	for _, key := range keys.all {
		set.Keys = append(set.Keys, jose.JSONWebKey{Algorithm: string(key.Algorithm), Key: key.Key, KeyID: key.ID, Use: "sig"})
		algorithms = append(algorithms, string(key.Algorithm))
	}
	slices.Sort(algorithms)
	d := &Discovery{}
	var err error
	if d.keySet, err = json.Marshal(set); err != nil {
		return nil, err
	}
	d.configuration, err = json.Marshal(map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              keySetURL,
		"response_types_supported":              []string{"id_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": slices.Compact(algorithms),
	})
	return d, err
}

// Install serves both documents. Their readers are authorized as for any other path.
func (d *Discovery) Install(mux interface{ Handle(string, http.Handler) }) {
	mux.Handle(OpenIDConfigurationPath, document("application/json", d.configuration))
	mux.Handle(KeySetPath, document("application/jwk-set+json", d.keySet))
}

func document(mediaType string, body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "405 method not allowed: this document can only be read", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Content-Type", mediaType)
		w.Header().Set("Cache-Control", discoveryMaxAge)
		_, _ = w.Write(body)
	})
}
