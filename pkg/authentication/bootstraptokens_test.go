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
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
)

// storedSecret is a storage with one secret, or with none.
type storedSecret struct {
	secret *corev1.Secret
	err    error
	reads  int
}

func (s *storedSecret) Secret(_ context.Context, namespace, name string) (metav1.Object, error) {
	s.reads++
	if s.err != nil {
		return nil, s.err
	}
	if s.secret == nil || s.secret.Namespace != namespace || s.secret.Name != name {
		return nil, apierrors.NewNotFound(corev1.Resource("secrets"), name)
	}
	return s.secret, nil
}

func TestBootstrapTokens(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	const good = "abcdef.0123456789abcdef"
	set := func(key, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
	}
	without := func(key string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { delete(s.Data, key) }
	}
	for _, tc := range []struct {
		name  string
		token string
		// change is of the cached and the stored secret, later of the stored one only.
		change, later func(*corev1.Secret)
		gone          bool
		broken        error
		groups        []string
		failed        bool
		reads         int
	}{
		{name: "a token", token: good, groups: []string{"system:bootstrappers"}, reads: 1},
		{name: "a token with groups", token: good, change: set("auth-extra-groups", "system:bootstrappers:b,system:bootstrappers:a:x,system:bootstrappers:b"), groups: []string{"system:bootstrappers", "system:bootstrappers:a:x", "system:bootstrappers:b"}, reads: 1},
		{name: "a group of administrators", token: good, change: set("auth-extra-groups", "system:masters")},
		{name: "a group that only contains the prefix", token: good, change: set("auth-extra-groups", "system:bootstrappers:a,x-system:bootstrappers:b")},
		{name: "a group with a newline", token: good, change: set("auth-extra-groups", "system:bootstrappers:a\nsystem:masters")},
		{name: "another secret", token: "abcdef.0123456789abcdee"},
		{name: "another ID", token: "abcdeg.0123456789abcdef"},
		{name: "an ID that is not that of the name", token: good, change: set("token-id", "abcdeg")},
		{name: "no ID", token: good, change: without("token-id")},
		{name: "no secret", token: good, change: without("token-secret")},
		{name: "no data", token: good, change: func(s *corev1.Secret) { s.Data = nil }},
		{name: "what is no bootstrap token", token: "abcdef"},
		{name: "a token in capitals", token: "ABCDEF.0123456789ABCDEF"},
		{name: "a token with a newline", token: good + "\n"},
		{name: "a usage that is missing", token: good, change: without("usage-bootstrap-authentication")},
		{name: "a usage that is not true", token: good, change: set("usage-bootstrap-authentication", "TRUE")},
		{name: "a token for signing only", token: good, change: func(s *corev1.Secret) {
			without("usage-bootstrap-authentication")(s)
			set("usage-bootstrap-signing", "true")(s)
		}},
		{name: "a token that expires later", token: good, change: set("expiration", now.Add(time.Second).Format(time.RFC3339)), groups: []string{"system:bootstrappers"}, reads: 1},
		{name: "a token that expires now", token: good, change: set("expiration", now.Format(time.RFC3339))},
		{name: "an expiration that is no time", token: good, change: set("expiration", "never")},
		{name: "another type", token: good, change: func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }},
		{name: "another namespace", token: good, change: func(s *corev1.Secret) { s.Namespace = "default" }},
		{name: "a secret that is being deleted", token: good, change: func(s *corev1.Secret) { s.DeletionTimestamp = &metav1.Time{Time: now} }},
		{name: "a secret that the cache still has", token: good, gone: true, reads: 1},
		{name: "a token that was changed and that the cache still has", token: good, later: set("token-secret", "fedcba9876543210"), reads: 1},
		{name: "a usage that was taken away and that the cache still has", token: good, later: without("usage-bootstrap-authentication"), reads: 1},
		{name: "a storage that does not answer", token: good, broken: errors.New("broken"), failed: true, reads: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token",
				Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-authentication": []byte("true")},
			}
			if tc.change != nil {
				tc.change(secret)
			}
			index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
			if err := index.Add(secret); err != nil {
				t.Fatal(err)
			}
			live := &storedSecret{secret: secret.DeepCopy(), err: tc.broken}
			if tc.later != nil {
				tc.later(live.secret)
			}
			if tc.gone {
				live.secret = nil
			}
			tokens := bootstrapTokens{cached: corelisters.NewSecretLister(index).Secrets(BootstrapTokenNamespace), live: live, clock: clocktesting.NewFakePassiveClock(now)}
			answer, ok, err := tokens.AuthenticateToken(t.Context(), tc.token)
			if (err != nil) != tc.failed || ok != (tc.groups != nil) {
				t.Fatalf("got %v, %v, %v", answer, ok, err)
			}
			if ok && (answer.User.GetName() != "system:bootstrap:abcdef" || answer.User.GetUID() != "" || !slices.Equal(answer.User.GetGroups(), tc.groups)) {
				t.Errorf("got %v", answer.User)
			}
			if live.reads != tc.reads {
				t.Errorf("%d reads of the storage, want %d", live.reads, tc.reads)
			}
		})
	}
}
