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

package authentication

import (
	"context"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"
)

func TestARequestToTheClusterHasNoBoundObject(t *testing.T) {
	for _, tc := range []struct {
		name            string
		seconds, wanted int64
		dryRun          bool
		fails           error
		want            string
	}{
		{name: "ten minutes", seconds: 600, wanted: 600},
		{name: "a day is an hour, since the cluster cannot end it with the instance", seconds: 86400, wanted: 3600},
		{name: "a dry run gives out nothing", seconds: 600, wanted: 600, dryRun: true},
		{name: "a 403 for the server is not one for the caller", seconds: 600, wanted: 600, fails: apierrors.NewForbidden(corev1.Resource("serviceaccounts/token"), "web", nil), want: "allow its service account create on serviceaccounts/token"},
		{name: "a 401 for the server is not one for the caller", seconds: 600, wanted: 600, fails: apierrors.NewUnauthorized("Unauthorized"), want: "the cluster does not authenticate this server"},
		{name: "an account that is not there", seconds: 600, wanted: 600, fails: apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "web"), want: `serviceaccounts "web" not found`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := fake.NewClientset()
			var asked *authenticationv1.TokenRequest
			client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
				create := action.(clienttesting.CreateActionImpl)
				if action.GetSubresource() != "token" || action.GetNamespace() != "shop" || create.Name != "web" {
					t.Errorf("requested %v", action)
				}
				if len(create.CreateOptions.DryRun) > 0 != tc.dryRun {
					t.Errorf("dry run %v", create.CreateOptions.DryRun)
				}
				asked = create.Object.(*authenticationv1.TokenRequest)
				answer := asked.DeepCopy()
				answer.Status.Token = "token"
				return true, answer, tc.fails
			})
			request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
				ExpirationSeconds: ptr.To(tc.seconds), Audiences: []string{"vault"},
				BoundObjectRef: &authenticationv1.BoundObjectReference{Kind: "Instance", Name: "web-0"},
			}}
			given, err := ClusterTokens{Client: client}.RequestToken(t.Context(), "shop", "web", request, func(context.Context, runtime.Object) error { return nil }, tc.dryRun)
			if asked == nil || asked.Spec.BoundObjectRef != nil || *asked.Spec.ExpirationSeconds != tc.wanted || asked.Spec.Audiences[0] != "vault" {
				t.Errorf("requested %v", asked)
			}
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
					t.Errorf("got %v, want %q", err, tc.want)
				}
				return
			}
			if err != nil || (given.Status.Token == "") != tc.dryRun {
				t.Errorf("got %v, %v", given, err)
			}
		})
	}
}
