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

package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// tokenLifetime is the requested lifetime of tokens, the longest that the server gives.
const tokenLifetime = time.Hour

// Token is a token of a service account.
type Token struct {
	Value   string
	Expires time.Time
}

// Requests returns the Server of a client of the fleet's API group.
func Requests(client rest.Interface) Server { return requests{client} }

type requests struct{ client rest.Interface }

// Configuration implements Server.
func (r requests) Configuration(ctx context.Context, namespace, name string) (*v1alpha1.InstanceConfiguration, error) {
	out := &v1alpha1.InstanceConfiguration{}
	err := r.client.Get().Namespace(namespace).Resource("instances").Name(name).SubResource("configuration").Do(ctx).Into(out)
	return out, err
}

// Token implements Server. TokenRequest is not a kind of the client's scheme, so its JSON is written
// and read here.
func (r requests) Token(ctx context.Context, namespace, name string, uid types.UID) (*Token, error) {
	seconds := int64(tokenLifetime.Seconds())
	body, err := json.Marshal(&authenticationv1.TokenRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid},
		Spec:       authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds},
	})
	if err != nil {
		return nil, err
	}
	data, err := r.client.Post().Namespace(namespace).Resource("instances").Name(name).SubResource("token").
		SetHeader("Content-Type", "application/json").SetHeader("Accept", "application/json").Body(body).DoRaw(ctx)
	if err != nil {
		return nil, err
	}
	given := &authenticationv1.TokenRequest{}
	if err := json.Unmarshal(data, given); err != nil {
		return nil, fmt.Errorf("the response to the request of a token cannot be read: %w", err)
	}
	if given.Status.Token == "" {
		return nil, errors.New("the response to the request of a token has none")
	}
	return &Token{Value: given.Status.Token, Expires: given.Status.ExpirationTimestamp.Time}, nil
}

// answered reports whether an error is the answer of the server. That it is too busy, or has lost its
// storage, is none.
func answered(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && !apierrors.IsServiceUnavailable(err) && !apierrors.IsTooManyRequests(err) &&
		!apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err)
}
