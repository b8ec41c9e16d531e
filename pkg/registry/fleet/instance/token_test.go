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

package instance

import (
	"context"
	"reflect"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// oneInstance is a storage with web-0, bound to edge-1.
type oneInstance struct{ account, host string }

func (o oneInstance) Get(_ context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if name != "web-0" {
		return nil, apierrors.NewNotFound(fleet.Resource("instances"), name)
	}
	instance := &fleet.Instance{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0", UID: "uid-0"}}
	instance.Spec.HostName, instance.Spec.ServiceAccountName = o.host, o.account
	return instance, nil
}

// tokens issues a token and records the request.
type tokens struct {
	account string
	asked   *authenticationv1.TokenRequest
	dryRun  bool
}

func (s *tokens) RequestToken(_ context.Context, namespace, account string, asked *authenticationv1.TokenRequest, _ func(context.Context, runtime.Object) error, dryRun bool) (*authenticationv1.TokenRequest, error) {
	s.account, s.asked, s.dryRun = namespace+"/"+account, asked.DeepCopy(), dryRun
	out := asked.DeepCopy()
	out.Name, out.UID, out.Status.Token = account, "account-uid", "token"
	return out, nil
}

func TestTokensOfAnInstanceAreOnlyForItsHost(t *testing.T) {
	edge := &user.DefaultInfo{Name: "system:host:edge-1", Groups: []string{"system:hosts", "system:authenticated"}}
	for _, tc := range []struct {
		name     string
		caller   *user.DefaultInfo
		instance oneInstance
		of       string // the instance; web-0 if empty
		account  string // empty: refused
	}{
		{name: "the bound host", caller: edge, instance: oneInstance{"web", "edge-1"}, account: "shop/web"},
		{name: "of an instance that names no account", caller: edge, instance: oneInstance{"", "edge-1"}, account: "shop/default"},
		{name: "another host", caller: edge, instance: oneInstance{"web", "edge-2"}},
		{name: "a host with the same prefix in its name", caller: edge, instance: oneInstance{"web", "edge-10"}},
		{name: "any host, of an instance that is bound to none", caller: edge, instance: oneInstance{"web", ""}},
		{name: "the host of no name, of an instance that is bound to none", caller: &user.DefaultInfo{Name: "system:host:", Groups: []string{"system:hosts"}}, instance: oneInstance{"web", ""}},
		{name: "a host, of an instance that is not there", caller: edge, instance: oneInstance{"web", "edge-1"}, of: "web-1"},
		{name: "a caller with the host's name and not its group", caller: &user.DefaultInfo{Name: "system:host:edge-1"}, instance: oneInstance{"web", "edge-1"}},
		{name: "a caller with its group and not its name", caller: &user.DefaultInfo{Name: "edge-1", Groups: []string{"system:hosts"}}, instance: oneInstance{"web", "edge-1"}},
		{name: "the administrator", caller: &user.DefaultInfo{Name: "admin", Groups: []string{"system:masters"}}, instance: oneInstance{"web", "edge-1"}},
		{name: "the account itself", caller: &user.DefaultInfo{Name: "system:serviceaccount:shop:web"}, instance: oneInstance{"web", "edge-1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			source := &tokens{}
			ctx := request.WithUser(request.WithNamespace(t.Context(), "shop"), tc.caller)
			if tc.of == "" {
				tc.of = "web-0"
			}
			obj, err := (&TokenREST{instances: tc.instance, issuer: source}).Create(ctx, tc.of, &authenticationv1.TokenRequest{}, nil, &metav1.CreateOptions{})
			if tc.account == "" {
				if !apierrors.IsForbidden(err) || obj != nil || source.asked != nil {
					t.Fatalf("got %v, %v, and a token was requested: %v", obj, err, source.asked)
				}
				if !strings.HasSuffix(err.Error(), "and "+tc.caller.Name+" is not it") {
					t.Errorf("the answer reveals more than that: %v", err)
				}
				return
			}
			if err != nil || source.account != tc.account {
				t.Fatalf("got %v, of %s, want %s", err, source.account, tc.account)
			}
		})
	}
}

func TestATokenOfAnInstanceIsBoundToIt(t *testing.T) {
	edge := &user.DefaultInfo{Name: "system:host:edge-1", Groups: []string{"system:hosts"}}
	ctx := request.WithUser(request.WithNamespace(t.Context(), "shop"), edge)
	for _, tc := range []struct {
		name string
		ask  authenticationv1.TokenRequest
		dry  []string
		is   func(error) bool // nil: it is issued
	}{
		{name: "a plain request"},
		{name: "by name, namespace and UID", ask: authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Name: "web-0", Namespace: "shop", UID: "uid-0"}}},
		{name: "a dry run", dry: []string{metav1.DryRunAll}},
		{name: "the name of another", ask: authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Name: "web"}}, is: apierrors.IsInvalid},
		{name: "the namespace of another", ask: authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system"}}, is: apierrors.IsInvalid},
		{name: "the UID of another", ask: authenticationv1.TokenRequest{ObjectMeta: metav1.ObjectMeta{UID: "uid-1"}}, is: apierrors.IsConflict},
		{name: "bound to something else", ask: authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Secret"}}}, is: apierrors.IsInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			source, admitted := &tokens{}, 0
			tc.ask.Spec.Audiences, tc.ask.Spec.ExpirationSeconds = []string{"vault"}, ptr.To[int64](600)
			obj, err := (&TokenREST{instances: oneInstance{"web", "edge-1"}, issuer: source}).Create(ctx, "web-0", &tc.ask, func(context.Context, runtime.Object) error {
				admitted++
				return nil
			}, &metav1.CreateOptions{DryRun: tc.dry})
			if tc.is != nil {
				if !tc.is(err) || source.asked != nil {
					t.Errorf("got %v, %v", obj, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := authenticationv1.TokenRequestSpec{
				Audiences: []string{"vault"}, ExpirationSeconds: ptr.To[int64](600),
				BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "fleet.gatehouse.dev/v1alpha1", Kind: "Instance", Name: "web-0", UID: "uid-0"},
			}
			if !reflect.DeepEqual(source.asked.Spec, want) || source.asked.Name != "" || source.dryRun != (tc.dry != nil) || admitted != 1 {
				t.Errorf("requested %v, dry run %v, admitted %d times", source.asked, source.dryRun, admitted)
			}
			given := obj.(*authenticationv1.TokenRequest)
			if given.Name != "web-0" || given.UID != "uid-0" || given.Status.Token != "token" {
				t.Errorf("got %v", given)
			}
		})
	}
}
