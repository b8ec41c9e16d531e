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
	"crypto/elliptic"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/utils/ptr"
)

// makeRequest returns a request with changes; the default lifetime is an hour.
func makeRequest(change ...func(*authenticationv1.TokenRequest)) *authenticationv1.TokenRequest {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}
	for _, f := range change {
		f(request)
	}
	return request
}

func forSeconds(seconds int64) func(*authenticationv1.TokenRequest) {
	return func(r *authenticationv1.TokenRequest) { r.Spec.ExpirationSeconds = &seconds }
}

func boundRef(apiVersion, kind, name string, uid types.UID) func(*authenticationv1.TokenRequest) {
	return func(r *authenticationv1.TokenRequest) {
		r.Spec.BoundObjectRef = &authenticationv1.BoundObjectReference{APIVersion: apiVersion, Kind: kind, Name: name, UID: uid}
	}
}

func newRequests(t *testing.T, w world) (*Requests, *Authenticator) {
	t.Helper()
	keys := readKeys(t, newECKey(t, elliptic.P256()))
	authn, clock := newAuthenticator(keys, w)
	issuer, err := NewIssuer(testIssuer, keys, clock)
	if err != nil {
		t.Fatal(err)
	}
	return &Requests{Issuer: issuer, Lookup: w, Audiences: []string{testIssuer, "api"}, MaxLifetime: 24 * time.Hour}, authn
}

func TestWhatMayBeAskedForIsGiven(t *testing.T) {
	for _, tc := range []struct {
		name      string
		request   *authenticationv1.TokenRequest
		audiences []string
		seconds   int64
	}{
		{"an hour, for this server", makeRequest(), []string{testIssuer, "api"}, 3600},
		{"ten minutes", makeRequest(forSeconds(600)), []string{testIssuer, "api"}, 600},
		{"as long as there is, which is shortened", makeRequest(forSeconds(1 << 32)), []string{testIssuer, "api"}, 24 * 3600},
		{"for others", makeRequest(func(r *authenticationv1.TokenRequest) { r.Spec.Audiences = []string{"vault"} }), []string{"vault"}, 3600},
		{"by name, namespace and UID", makeRequest(func(r *authenticationv1.TokenRequest) { r.Name, r.Namespace, r.UID = "web", "shop", "web-1" }), []string{testIssuer, "api"}, 3600},
		{"with a status, which is not taken over", makeRequest(func(r *authenticationv1.TokenRequest) { r.Status.Token = "mine" }), []string{testIssuer, "api"}, 3600},
		{"bound to a secret", makeRequest(boundRef("v1", "Secret", "vault", "")), []string{testIssuer, "api"}, 3600},
		{"bound to an instance", makeRequest(boundRef("fleet.gatehouse.dev/v1alpha1", "Instance", "web-0", "")), []string{testIssuer, "api"}, 3600},
	} {
		t.Run(tc.name, func(t *testing.T) {
			requests, authn := newRequests(t, newWorld())
			var admitted *authenticationv1.TokenRequest
			given, err := requests.RequestToken(t.Context(), "shop", "web", tc.request, func(_ context.Context, obj runtime.Object) error {
				admitted = obj.(*authenticationv1.TokenRequest)
				return nil
			}, false)
			if err != nil {
				t.Fatal(err)
			}
			if given.Name != "web" || given.Namespace != "shop" || given.UID != "web-1" || !given.CreationTimestamp.Time.Equal(noon) {
				t.Errorf("got %v", given.ObjectMeta)
			}
			if !reflect.DeepEqual(given.Spec.Audiences, tc.audiences) || *given.Spec.ExpirationSeconds != tc.seconds {
				t.Errorf("got %v", given.Spec)
			}
			if !given.Status.ExpirationTimestamp.Time.Equal(noon.Add(time.Duration(tc.seconds) * time.Second)) {
				t.Errorf("got %v", given.Status.ExpirationTimestamp)
			}
			if admitted == nil || admitted.Status.Token != "" || len(admitted.Spec.Audiences) == 0 {
				t.Errorf("admission saw %v", admitted)
			}
			answer, ok, err := authn.AuthenticateToken(authenticator.WithAudiences(t.Context(), tc.audiences), given.Status.Token)
			if !ok || answer.User.GetName() != "system:serviceaccount:shop:web" {
				t.Errorf("the token is not good: %v", err)
			}
		})
	}
}

func TestARefusedTokenRequestNamesTheReason(t *testing.T) {
	for _, tc := range []struct {
		name    string
		request *authenticationv1.TokenRequest
		world   func(world)
		is      func(error) bool
		want    string
	}{
		{"less than ten minutes", makeRequest(forSeconds(599)), nil, apierrors.IsInvalid, "spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes"},
		{"more than there is", makeRequest(forSeconds(1<<32 + 1)), nil, apierrors.IsInvalid, "may not specify a duration larger than 2^32 seconds"},
		{"no time at all", &authenticationv1.TokenRequest{}, nil, apierrors.IsInvalid, "less than 10 minutes"},
		{"the name of another", makeRequest(func(r *authenticationv1.TokenRequest) { r.Name = "root" }), nil, apierrors.IsInvalid, "metadata.name"},
		{"the namespace of another", makeRequest(func(r *authenticationv1.TokenRequest) { r.Namespace = "kube-system" }), nil, apierrors.IsInvalid, "metadata.namespace"},
		{"the UID of another", makeRequest(func(r *authenticationv1.TokenRequest) { r.UID = "web-0" }), nil, apierrors.IsConflict, "the one of that name has the UID web-1"},
		{"attestations", makeRequest(func(r *authenticationv1.TokenRequest) {
			r.Spec.Attestations = map[string]authenticationv1.AttestationValue{"a": {"b"}}
		}), nil, apierrors.IsInvalid, "spec.attestations: Forbidden"},
		{"an account that is not there", makeRequest(), gone("serviceaccount/shop/web"), nil, "not found"},
		{"bound to a secret that is not there", makeRequest(boundRef("v1", "Secret", "other", "")), nil, nil, "not found"},
		{"bound to another secret of the name", makeRequest(boundRef("v1", "Secret", "vault", "vault-2")), nil, apierrors.IsConflict, "has the UID vault-1"},
		{"bound to an instance that is not there", makeRequest(boundRef("fleet.gatehouse.dev/v1alpha1", "Instance", "other", "")), nil, nil, "not found"},
		{"bound to a pod", makeRequest(boundRef("v1", "Pod", "web-0", "")), nil, apierrors.IsBadRequest, "cannot be bound to a Pod"},
		{"bound to an instance of another group", makeRequest(boundRef("example.com/v1", "Instance", "web-0", "")), nil, apierrors.IsBadRequest, "cannot be bound to a Instance.example.com"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			if tc.world != nil {
				tc.world(w)
			}
			requests, _ := newRequests(t, w)
			given, err := requests.RequestToken(t.Context(), "shop", "web", tc.request, nil, false)
			if given != nil || err == nil || !strings.Contains(err.Error(), tc.want) || tc.is != nil && !tc.is(err) {
				t.Errorf("got %v, %v, want %q", given, err, tc.want)
			}
		})
	}
}

func TestAdmissionMayRefuseAndADryRunGivesNothing(t *testing.T) {
	requests, _ := newRequests(t, newWorld())
	no := errors.New("not today")
	if given, err := requests.RequestToken(t.Context(), "shop", "web", makeRequest(), func(context.Context, runtime.Object) error { return no }, false); given != nil || !errors.Is(err, no) {
		t.Errorf("got %v, %v", given, err)
	}
	given, err := requests.RequestToken(t.Context(), "shop", "web", makeRequest(), nil, true)
	if err != nil || given.Status.Token != "" || !given.Status.ExpirationTimestamp.Time.Equal(noon.Add(time.Hour)) {
		t.Errorf("got %v, %v", given, err)
	}
}
