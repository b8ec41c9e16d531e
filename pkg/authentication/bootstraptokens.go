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
	"crypto/subtle"
	"errors"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	corelisters "k8s.io/client-go/listers/core/v1"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecrets "k8s.io/cluster-bootstrap/util/secrets"
	bootstraptokens "k8s.io/cluster-bootstrap/util/tokens"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

// BootstrapTokenNamespace is the only namespace of bootstrap tokens.
const BootstrapTokenNamespace = metav1.NamespaceSystem

// SecretLookup finds a secret in the storage.
type SecretLookup interface {
	Secret(ctx context.Context, namespace, name string) (metav1.Object, error)
}

// bootstrapTokens authenticates tokens of the form ID.SECRET by the secrets bootstrap-token-ID in
// kube-system, as the user system:bootstrap:ID in the group system:bootstrappers and in those that
// the secret adds, which all begin with system:bootstrappers:. Rights are what roles grant to these.
type bootstrapTokens struct {
	// cached has the secrets of the namespace in memory, so that a client cannot cause reads of etcd
	// by tokens that do not exist. live is read once a cached secret accepts the token, so that a
	// deleted token is refused with the next request.
	cached corelisters.SecretNamespaceLister
	live   SecretLookup
	clock  clock.PassiveClock
}

// AuthenticateToken implements authenticator.Token. A token that is not accepted is no error: another
// authenticator may know it.
func (b bootstrapTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	id, secret, err := bootstraptokens.ParseToken(token)
	if err != nil {
		return nil, false, nil
	}
	name := bootstrapapi.BootstrapTokenSecretPrefix + id
	cached, err := b.cached.Get(name)
	if err != nil {
		return nil, false, ignoreNotFound(err)
	}
	if _, reason := b.check(cached, id, secret); reason != "" {
		klog.FromContext(ctx).V(3).Info("Bootstrap token refused", "secret", klog.KObj(cached), "reason", reason)
		return nil, false, nil
	}
	stored, err := b.live.Secret(ctx, BootstrapTokenNamespace, name)
	if err != nil {
		return nil, false, ignoreNotFound(err)
	}
	current, ok := stored.(*corev1.Secret)
	if !ok {
		return nil, false, errors.New("the secret of a bootstrap token is of another kind")
	}
	groups, reason := b.check(current, id, secret)
	if reason != "" {
		klog.FromContext(ctx).V(3).Info("Bootstrap token refused", "secret", klog.KObj(current), "reason", reason)
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{Name: bootstrapapi.BootstrapUserPrefix + id, Groups: groups}}, true, nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// check returns the groups of a token, or the reason why its secret does not accept it.
func (b bootstrapTokens) check(s *corev1.Secret, id, secret string) (groups []string, reason string) {
	switch {
	case s.DeletionTimestamp != nil:
		return nil, "it is being deleted"
	case s.Type != bootstrapapi.SecretTypeBootstrapToken:
		return nil, "its type is not " + string(bootstrapapi.SecretTypeBootstrapToken)
	case subtle.ConstantTimeCompare(s.Data[bootstrapapi.BootstrapTokenSecretKey], []byte(secret)) != 1:
		return nil, bootstrapapi.BootstrapTokenSecretKey + " is another"
	case string(s.Data[bootstrapapi.BootstrapTokenIDKey]) != id:
		return nil, bootstrapapi.BootstrapTokenIDKey + " is not the end of its name"
	case bootstrapsecrets.HasExpired(s, b.clock.Now()):
		return nil, "it has expired"
	case string(s.Data[bootstrapapi.BootstrapTokenUsageAuthentication]) != "true":
		return nil, bootstrapapi.BootstrapTokenUsageAuthentication + " is not true"
	}
	groups, err := bootstrapsecrets.GetGroups(s)
	if err != nil {
		return nil, err.Error()
	}
	return groups, ""
}
