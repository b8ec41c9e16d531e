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
	"context"
	"net/http"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/klog/v2"
)

// reviewTimeout bounds both reviews of one request, as in kube-controller-manager.
const reviewTimeout = 10 * time.Second

// authorized calls next for requests with a bearer token if its user may get the path. The API
// server reviews each of them: metrics are read a few times a minute.
type authorized struct {
	tokens authenticationclient.TokenReviewsGetter
	access authorizationclient.SubjectAccessReviewsGetter
	next   http.Handler
}

// ServeHTTP implements http.Handler.
func (a authorized) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), reviewTimeout)
	defer cancel()
	user, code, err := a.authenticate(ctx, r)
	if code == http.StatusOK {
		code, err = a.authorize(ctx, user, r.URL.Path)
	}
	if err != nil {
		klog.FromContext(ctx).Error(err, "Reviewing a request failed", "path", r.URL.Path)
	}
	if code != http.StatusOK {
		http.Error(w, http.StatusText(code), code)
		return
	}
	a.next.ServeHTTP(w, r)
}

func (a authorized) authenticate(ctx context.Context, r *http.Request) (user authenticationv1.UserInfo, code int, err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return user, http.StatusUnauthorized, nil
	}
	review, err := a.tokens.TokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return user, http.StatusInternalServerError, err
	case !review.Status.Authenticated:
		return user, http.StatusUnauthorized, nil
	}
	return review.Status.User, http.StatusOK, nil
}

func (a authorized) authorize(ctx context.Context, user authenticationv1.UserInfo, path string) (code int, err error) {
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review, err := a.access.SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
	}}, metav1.CreateOptions{})
	switch {
	case err != nil:
		return http.StatusInternalServerError, err
	case !review.Status.Allowed:
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
