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
	"fmt"
	"time"

	"gopkg.in/go-jose/go-jose.v2"
	"gopkg.in/go-jose/go-jose.v2/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/utils/clock"
)

// Issuer signs tokens.
type Issuer struct {
	name   string
	signer jose.Signer
	clock  clock.PassiveClock
}

// NewIssuer returns an issuer that signs with the signing key. The name is a URL if clients shall find
// the keys by it (see Discovery).
func NewIssuer(name string, keys *Keys, clock clock.PassiveClock) (*Issuer, error) {
	key := keys.all[0] // the signing key is read first
	signer, err := jose.NewSigner(jose.SigningKey{
		Algorithm: key.Algorithm,
		Key:       &jose.JSONWebKey{Algorithm: string(key.Algorithm), Key: keys.signing, KeyID: key.ID, Use: "sig"},
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("the key cannot sign tokens: %w", err)
	}
	return &Issuer{name: name, signer: signer, clock: clock}, nil
}

// Grant is the content of a token to issue.
type Grant struct {
	// Account is the current service account: the token is valid for its UID, and not for another
	// account of the same name.
	Account metav1.Object
	// Audiences are the servers that the token is for.
	Audiences []string
	// Lifetime is the duration from now until the token expires.
	Lifetime time.Duration
	// Secret or Instance is the object that the token is bound to; nil for none.
	Secret, Instance *Reference
}

// Issued is a token.
type Issued struct {
	// Token is the token itself. It must not be logged.
	Token string
	// ID identifies the token in logs.
	ID string
	// Expires is the time at which the token expires.
	Expires time.Time
}

// Issue signs a token. The caller has authorized the request before.
func (i *Issuer) Issue(grant Grant) (Issued, error) {
	if grant.Secret != nil && grant.Instance != nil {
		return Issued{}, fmt.Errorf("a token can be bound to one object: a Secret or an Instance")
	}
	now := i.clock.Now()
	issued := Issued{ID: string(uuid.NewUUID()), Expires: now.Add(grant.Lifetime)}
	public := jwt.Claims{
		Issuer:    i.name,
		Subject:   serviceaccount.MakeUsername(grant.Account.GetNamespace(), grant.Account.GetName()),
		Audience:  grant.Audiences,
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now),
		Expiry:    jwt.NewNumericDate(issued.Expires),
		ID:        issued.ID,
	}
	own := private{Kubernetes: kubernetes{
		Namespace:      grant.Account.GetNamespace(),
		ServiceAccount: *ReferenceTo(grant.Account),
		Secret:         grant.Secret,
		Instance:       grant.Instance,
	}}
	var err error
	if issued.Token, err = jwt.Signed(i.signer).Claims(public).Claims(own).CompactSerialize(); err != nil {
		return Issued{}, fmt.Errorf("sign a token: %w", err)
	}
	return issued, nil
}
