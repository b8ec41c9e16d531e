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
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gopkg.in/go-jose/go-jose.v2/jwt"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	authenticationjwt "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// leeway is how far clocks may be apart: a token counts this long before it begins and
// after it ends, and this long after what it depends on was deleted. It is the time of
// Kubernetes and of its JWT library.
const leeway = jwt.DefaultLeeway

// Lookup finds what a token depends on, as it is now. It is asked with every request, so
// it should answer from memory; nobody keeps its answers. What it does not find is an
// error. It must find what was created a moment ago.
type Lookup interface {
	Namespace(ctx context.Context, name string) (metav1.Object, error)
	ServiceAccount(ctx context.Context, namespace, name string) (metav1.Object, error)
	Secret(ctx context.Context, namespace, name string) (metav1.Object, error)
	Instance(ctx context.Context, namespace, name string) (metav1.Object, error)
}

// Config says which tokens are believed.
type Config struct {
	// Issuers are the names that tokens may have been issued in.
	Issuers []string
	// Audiences are the names that this server answers to.
	Audiences authenticator.Audiences
	Keys      *Keys
	Lookup    Lookup
	Clock     clock.PassiveClock
}

// Authenticator recognises callers by their service account's token.
type Authenticator struct {
	config     Config
	signatures *signatures
}

var _ authenticator.Token = &Authenticator{}

// NewAuthenticator recognises tokens by the configuration.
func NewAuthenticator(config Config) *Authenticator {
	return &Authenticator{config: config, signatures: newSignatures(config.Keys)}
}

// AuthenticateToken implements authenticator.Token. A token that is not of our issuers is
// left to others; of one that is, the error says why it is refused, for the log: callers
// see nothing but 401. No error holds any part of the token.
//
// Only the signature is ever remembered, because it cannot become wrong. Times and
// audience are looked at, and account, namespace and bound object are looked up, with
// every request: whoever deletes an account has ended its tokens.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	said := a.signatures.remembered(token)
	if said == nil {
		if !slices.Contains(a.config.Issuers, claimedIssuer(token)) {
			return nil, false, nil
		}
		var err error
		if said, err = a.signatures.verify(token); err != nil {
			return nil, false, err
		}
	}
	// The issuer above was read from what nobody had verified yet.
	if !slices.Contains(a.config.Issuers, said.Issuer) {
		return nil, false, fmt.Errorf("the token's issuer is %q, whose tokens are not accepted", said.Issuer)
	}
	audiences, err := a.audiences(ctx, said)
	if err != nil {
		return nil, false, err
	}
	now := a.config.Clock.Now()
	if err := checkTimes(said.Claims, now); err != nil {
		return nil, false, err
	}
	if err := a.checkObjects(ctx, &said.Kubernetes, now.Add(-leeway)); err != nil {
		klog.FromContext(ctx).V(4).Info("A service account's token is refused", "account", klog.KRef(said.Kubernetes.Namespace, said.Kubernetes.ServiceAccount.Name), "id", said.ID, "reason", err.Error())
		return nil, false, err
	}
	return &authenticator.Response{User: userOf(said), Audiences: audiences}, true, nil
}

// claimedIssuer is whom a token says that it is of, without any proof.
func claimedIssuer(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(payload, &claimed); err != nil {
		return ""
	}
	return claimed.Issuer
}

// audiences are those of the token's that were asked for: by a TokenReview, or this
// server's own. A token that names none is for this server.
func (a *Authenticator) audiences(ctx context.Context, said *claims) (authenticator.Audiences, error) {
	wanted, asked := authenticator.AudiencesFrom(ctx)
	if !asked {
		wanted = a.config.Audiences
	}
	of := authenticator.Audiences(said.Audience)
	if len(of) == 0 {
		of = a.config.Audiences
	}
	both := of.Intersect(wanted)
	if len(both) == 0 {
		return nil, fmt.Errorf("the token is for the audiences %q, and not for %q", []string(of), []string(wanted))
	}
	return both, nil
}

func checkTimes(said jwt.Claims, now time.Time) error {
	err := said.ValidateWithLeeway(jwt.Expected{Time: now}, leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return fmt.Errorf("the token has expired at %s", said.Expiry.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrNotValidYet):
		return fmt.Errorf("the token is not valid before %s", said.NotBefore.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return fmt.Errorf("the token was issued at %s, which is yet to come", said.IssuedAt.Time().UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("the token's times cannot be understood: %w", err)
}

// checkObjects proves that all that the token depends on is still there, and is the same
// that it was when the token was issued.
func (a *Authenticator) checkObjects(ctx context.Context, said *kubernetes, deletedBefore time.Time) error {
	lookup, namespace, account := a.config.Lookup, said.Namespace, said.ServiceAccount
	if kind := said.foreign(); kind != "" {
		return fmt.Errorf("the token is bound to a %s, which is not served here", kind)
	}
	if namespace == "" || account.Name == "" {
		return errors.New("the token names no service account")
	}

	object, err := lookup.ServiceAccount(ctx, namespace, account.Name)
	if err := stillThere("service account", namespace, &account, object, err, deletedBefore); err != nil {
		return err
	}
	// A namespace that ends takes its accounts along, but not at once: its controller first
	// removes what they own.
	object, err = lookup.Namespace(ctx, namespace)
	if err := stillThere("namespace", "", &Reference{Name: namespace}, object, err, deletedBefore); err != nil {
		return err
	}
	if said.Secret != nil {
		object, err := lookup.Secret(ctx, namespace, said.Secret.Name)
		if err := stillThere("secret", namespace, said.Secret, object, err, deletedBefore); err != nil {
			return err
		}
	}
	if said.Instance != nil {
		object, err := lookup.Instance(ctx, namespace, said.Instance.Name)
		if err := stillThere("instance", namespace, said.Instance, object, err, deletedBefore); err != nil {
			return err
		}
	}
	return nil
}

// stillThere compares what was found with what the token says. Of a namespace the token
// knows no UID; the account's own is enough, since an account does not outlive its
// namespace.
func stillThere(kind, namespace string, want *Reference, found metav1.Object, err error, deletedBefore time.Time) error {
	what := kind + " " + klog.KRef(namespace, want.Name).String()
	switch {
	case err != nil:
		return fmt.Errorf("the token depends on the %s: %w", what, err)
	case kind != "namespace" && found.GetUID() != want.UID:
		return fmt.Errorf("the %s was made anew since the token was issued: its UID is %q, the token's %q", what, found.GetUID(), want.UID)
	case found.GetDeletionTimestamp() != nil && found.GetDeletionTimestamp().Time.Before(deletedBefore):
		return fmt.Errorf("the %s is being deleted", what)
	}
	return nil
}

// userOf is the caller, as Kubernetes would call them.
func userOf(said *claims) user.Info {
	account := serviceaccount.ServiceAccountInfo{
		Namespace:    said.Kubernetes.Namespace,
		Name:         said.Kubernetes.ServiceAccount.Name,
		UID:          string(said.Kubernetes.ServiceAccount.UID),
		CredentialID: authenticationjwt.CredentialIDForJTI(said.ID),
	}
	info := account.UserInfo()
	instance := said.Kubernetes.Instance
	if instance == nil {
		return info
	}
	extra := map[string][]string{v1alpha1.InstanceNameKey: {instance.Name}, v1alpha1.InstanceUIDKey: {string(instance.UID)}}
	for key, values := range info.GetExtra() {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: info.GetName(), UID: info.GetUID(), Groups: info.GetGroups(), Extra: extra}
}
