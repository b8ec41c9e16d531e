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

package tokencleaner

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestExpiredTokensAreDeleted(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	at := func(when time.Time) string { return when.Format(time.RFC3339) }
	conflict := apierrors.NewConflict(corev1.Resource("secrets"), "a", errors.New("changed"))
	for _, tc := range []struct {
		name       string
		kind       corev1.SecretType
		expiration string
		// refused is the error of the deletion.
		refused error
		deleted bool
		failed  bool
	}{
		{name: "a token that has expired", expiration: at(now.Add(-time.Second)), deleted: true},
		{name: "a token that expires now", expiration: at(now), deleted: true},
		{name: "a token that expires later", expiration: at(now.Add(time.Hour))},
		{name: "a token that does not expire"},
		{name: "an expiration that is no time", expiration: "tomorrow", deleted: true},
		{name: "another type of secret", kind: corev1.SecretTypeOpaque, expiration: at(now.Add(-time.Hour))},
		{name: "a token that is gone already", expiration: at(now), refused: apierrors.NewNotFound(corev1.Resource("secrets"), "a"), deleted: true},
		{name: "a token that was prolonged meanwhile", expiration: at(now), refused: conflict, deleted: true},
		{name: "a deletion that fails is retried", expiration: at(now), refused: apierrors.NewInternalError(errors.New("broken")), deleted: true, failed: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: "bootstrap-token-abcdef", UID: "u", ResourceVersion: "7"}, Type: "bootstrap.kubernetes.io/token"}
			if tc.kind != "" {
				secret.Type = tc.kind
			}
			if tc.expiration != "" {
				secret.Data = map[string][]byte{"expiration": []byte(tc.expiration)}
			}
			client := fake.NewClientset()
			var deletions []metav1.DeleteOptions
			client.PrependReactor("delete", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
				deletions = append(deletions, action.(clienttesting.DeleteActionImpl).DeleteOptions)
				return true, nil, tc.refused
			})
			c, err := newController(client, clocktesting.NewFakePassiveClock(now))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.tokens.GetStore().Add(secret); err != nil {
				t.Fatal(err)
			}
			if err := c.sync(t.Context(), secret.Name); (err != nil) != tc.failed {
				t.Errorf("got %v", err)
			}
			if len(deletions) > 0 != tc.deleted {
				t.Fatalf("deletions %v, want one: %v", deletions, tc.deleted)
			}
			for _, options := range deletions {
				if p := options.Preconditions; p == nil || p.UID == nil || *p.UID != types.UID("u") || p.ResourceVersion == nil || *p.ResourceVersion != "7" {
					t.Errorf("the deletion has the preconditions %v", p)
				}
			}
		})
	}
}
