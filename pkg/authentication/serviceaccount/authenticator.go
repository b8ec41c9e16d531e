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

// leeway is the tolerated clock skew: a token is valid this long before its begin and after its expiry,
// and after an object that it depends on was deleted. Kubernetes and its JWT library use the same.
const leeway = jwt.DefaultLeeway

// Lookup returns the current objects that a token depends on. Every request calls it, so it should
// read from memory; results are not cached. An object that does not exist is an error. It must
// find objects that were created a moment ago.
type Lookup interface {
	Namespace(ctx context.Context, name string) (metav1.Object, error)
	ServiceAccount(ctx context.Context, namespace, name string) (metav1.Object, error)
	Secret(ctx context.Context, namespace, name string) (metav1.Object, error)
	Instance(ctx context.Context, namespace, name string) (metav1.Object, error)
}

// Config defines which tokens are accepted.
type Config struct {
	// Issuers are the accepted issuers.
	Issuers []string
	// Audiences are the audiences of this server.
	Audiences authenticator.Audiences
	Keys      *Keys
	Lookup    Lookup
	Clock     clock.PassiveClock
}

// Authenticator authenticates tokens of service accounts.
type Authenticator struct {
	config     Config
	signatures *signatures
}

var _ authenticator.Token = &Authenticator{}

// NewAuthenticator returns an authenticator with the configuration.
func NewAuthenticator(config Config) *Authenticator {
	return &Authenticator{config: config, signatures: newSignatures(config.Keys)}
}

// AuthenticateToken implements authenticator.Token. It leaves tokens of other issuers to other
// authenticators. For a token of an accepted issuer, the error has the reason of a refusal for the
// log: clients see 401 only. No error contains a part of the token.
//
// Only signature verification is cached, because its result cannot change. Times and audience are
// checked, and account, namespace and bound object are looked up, with every request: deleting an
// account invalidates its tokens.
func (a *Authenticator) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	payload := a.signatures.cached(token)
	if payload == nil {
		if !slices.Contains(a.config.Issuers, ClaimedIssuer(token)) {
			return nil, false, nil
		}
		var err error
		if payload, err = a.signatures.verify(token); err != nil {
			return nil, false, err
		}
	}
	// The issuer above was read from claims that were not verified yet.
	if !slices.Contains(a.config.Issuers, payload.Issuer) {
		return nil, false, fmt.Errorf("the token's issuer is %q, whose tokens are not accepted", payload.Issuer)
	}
	audiences, err := a.audiences(ctx, payload)
	if err != nil {
		return nil, false, err
	}
	now := a.config.Clock.Now()
	if err := checkTimes(payload.Claims, now); err != nil {
		return nil, false, err
	}
	if err := a.checkObjects(ctx, &payload.Kubernetes, now.Add(-leeway)); err != nil {
		klog.FromContext(ctx).V(4).Info("Refused service account token", "account", klog.KRef(payload.Kubernetes.Namespace, payload.Kubernetes.ServiceAccount.Name), "id", payload.ID, "reason", err.Error())
		return nil, false, err
	}
	return &authenticator.Response{User: userOf(payload), Audiences: audiences}, true, nil
}

// ClaimedIssuer returns the issuer in a token, without verifying it; empty if the token is no JSON Web
// Token.
func ClaimedIssuer(token string) string {
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

// audiences returns the audiences of the token that are wanted: those of a TokenReview, or this
// server's own. A token without audiences is for this server.
func (a *Authenticator) audiences(ctx context.Context, payload *claims) (authenticator.Audiences, error) {
	wanted, asked := authenticator.AudiencesFrom(ctx)
	if !asked {
		wanted = a.config.Audiences
	}
	of := authenticator.Audiences(payload.Audience)
	if len(of) == 0 {
		of = a.config.Audiences
	}
	both := of.Intersect(wanted)
	if len(both) == 0 {
		return nil, fmt.Errorf("the token is for the audiences %q, and not for %q", []string(of), []string(wanted))
	}
	return both, nil
}

func checkTimes(payload jwt.Claims, now time.Time) error {
	err := payload.ValidateWithLeeway(jwt.Expected{Time: now}, leeway)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jwt.ErrExpired):
		return fmt.Errorf("the token has expired at %s", payload.Expiry.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrNotValidYet):
		return fmt.Errorf("the token is not valid before %s", payload.NotBefore.Time().UTC().Format(time.RFC3339))
	case errors.Is(err, jwt.ErrIssuedInTheFuture):
		return fmt.Errorf("the token was issued at %s, which is yet to come", payload.IssuedAt.Time().UTC().Format(time.RFC3339))
	}
	return fmt.Errorf("the token's times cannot be understood: %w", err)
}

// checkObjects returns an error unless all objects that the token depends on exist and have the UIDs
// that they had when the token was issued.
func (a *Authenticator) checkObjects(ctx context.Context, payload *kubernetes, deletedBefore time.Time) error {
	lookup, namespace, account := a.config.Lookup, payload.Namespace, payload.ServiceAccount
	if kind := payload.foreign(); kind != "" {
		return fmt.Errorf("the token is bound to a %s, which is not served here", kind)
	}
	if namespace == "" || account.Name == "" {
		return errors.New("the token names no service account")
	}

	object, err := lookup.ServiceAccount(ctx, namespace, account.Name)
	if err := stillThere("service account", namespace, &account, object, err, deletedBefore); err != nil {
		return err
	}
	// A namespace in deletion still has its accounts for a while: its controller first removes what
	// they own.
	object, err = lookup.Namespace(ctx, namespace)
	if err := stillThere("namespace", "", &Reference{Name: namespace}, object, err, deletedBefore); err != nil {
		return err
	}
	if payload.Secret != nil {
		object, err := lookup.Secret(ctx, namespace, payload.Secret.Name)
		if err := stillThere("secret", namespace, payload.Secret, object, err, deletedBefore); err != nil {
			return err
		}
	}
	if payload.Instance != nil {
		object, err := lookup.Instance(ctx, namespace, payload.Instance.Name)
		if err := stillThere("instance", namespace, payload.Instance, object, err, deletedBefore); err != nil {
			return err
		}
	}
	return nil
}

// stillThere compares the found object with the claims. A token has no UID of the namespace; that of
// the account is enough, because an account does not outlive its namespace.
func stillThere(kind, namespace string, want *Reference, found metav1.Object, err error, deletedBefore time.Time) error {
	what := kind + " " + klog.KRef(namespace, want.Name).String()
	switch {
	case err != nil:
		return fmt.Errorf("the token depends on the %s: %w", what, err)
	case kind != "namespace" && found.GetUID() != want.UID:
		return fmt.Errorf("the %s was recreated since the token was issued: its UID is %q, the token's %q", what, found.GetUID(), want.UID)
	case found.GetDeletionTimestamp() != nil && found.GetDeletionTimestamp().Time.Before(deletedBefore):
		return fmt.Errorf("the %s is being deleted", what)
	}
	return nil
}

// userOf returns the user of a token, with the names that Kubernetes uses.
func userOf(payload *claims) user.Info {
	account := serviceaccount.ServiceAccountInfo{
		Namespace:    payload.Kubernetes.Namespace,
		Name:         payload.Kubernetes.ServiceAccount.Name,
		UID:          string(payload.Kubernetes.ServiceAccount.UID),
		CredentialID: authenticationjwt.CredentialIDForJTI(payload.ID),
	}
	info := account.UserInfo()
	instance := payload.Kubernetes.Instance
	if instance == nil {
		return info
	}
	extra := map[string][]string{v1alpha1.InstanceNameKey: {instance.Name}, v1alpha1.InstanceUIDKey: {string(instance.UID)}}
	for key, values := range info.GetExtra() {
		extra[key] = values
	}
	return &user.DefaultInfo{Name: info.GetName(), UID: info.GetUID(), Groups: info.GetGroups(), Extra: extra}
}
