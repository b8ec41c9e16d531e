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

package serving

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestMetricsAreForAuthorizedUsers(t *testing.T) {
	client := fake.NewClientset()
	client.PrependReactor("create", "tokenreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview)
		if review.Spec.Token == "broken" {
			return true, nil, errors.New("the server is not reachable")
		}
		review.Status.Authenticated = strings.HasPrefix(review.Spec.Token, "of-")
		review.Status.User.Username = review.Spec.Token
		return true, review, nil
	})
	client.PrependReactor("create", "subjectaccessreviews", func(action clienttesting.Action) (bool, runtime.Object, error) {
		review := action.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview)
		attributes := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "of-prometheus" && attributes.Path == "/metrics" && attributes.Verb == "get"
		return true, review, nil
	})
	handler := authorized{client.AuthenticationV1(), client.AuthorizationV1(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })}
	for _, tc := range []struct {
		name          string
		authorization string
		want          int
	}{
		{"no token", "", http.StatusUnauthorized},
		{"an empty token", "Bearer ", http.StatusUnauthorized},
		{"a password", "Basic of-prometheus", http.StatusUnauthorized},
		{"an unknown token", "Bearer unknown", http.StatusUnauthorized},
		{"a user without the right to get the path", "Bearer of-bob", http.StatusForbidden},
		{"a user with the right", "Bearer of-prometheus", http.StatusNoContent},
		{"a review that fails", "Bearer broken", http.StatusInternalServerError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			request, answer := httptest.NewRequest(http.MethodGet, "/metrics", nil), httptest.NewRecorder()
			if tc.authorization != "" {
				request.Header.Set("Authorization", tc.authorization)
			}
			handler.ServeHTTP(answer, request)
			if answer.Code != tc.want {
				t.Errorf("got %d, want %d", answer.Code, tc.want)
			}
		})
	}
}

func TestReadinessWaitsForTheInformersAndLivenessDoesNot(t *testing.T) {
	synced := false
	mux := http.NewServeMux()
	Health{HasSynced: func() bool { return synced }}.install(mux)
	get := func(path string) int {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		return answer.Code
	}
	for _, tc := range []struct {
		path          string
		before, after int
	}{
		{"/healthz", http.StatusOK, http.StatusOK},
		{"/livez", http.StatusOK, http.StatusOK},
		{"/readyz", http.StatusInternalServerError, http.StatusOK},
	} {
		synced = false
		before := get(tc.path)
		synced = true
		if after := get(tc.path); before != tc.before || after != tc.after {
			t.Errorf("%s: got %d before and %d after the sync, want %d and %d", tc.path, before, after, tc.before, tc.after)
		}
	}
}

func TestWrongServingFlagsNameTheCure(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    Options
		want string
	}{
		{"the defaults are right", DefaultOptions(), ""},
		{"a host name", Options{BindAddress: "localhost"}, `--bind-address="localhost" is not an IP address: use 127.0.0.1`},
		{"no port", Options{BindAddress: "::1", Port: 70000}, "--secure-port=70000 is not a port: use a number from 1 to 65535"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if err := errors.Join(tc.o.Validate()...); (err != nil) != (tc.want != "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}
