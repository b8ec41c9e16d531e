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

package secret

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestASecretThatWaitsForATokenCausesAWarning(t *testing.T) {
	for _, tc := range []struct {
		name   string
		secret corev1.Secret
		told   bool
	}{
		{"a secret that is to be filled", corev1.Secret{Type: corev1.SecretTypeServiceAccountToken}, true},
		{"one that has its token", corev1.Secret{Type: corev1.SecretTypeServiceAccountToken, Data: map[string][]byte{"token": []byte("x")}}, false},
		{"any other secret", corev1.Secret{Type: corev1.SecretTypeOpaque}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			warnings := strategy{}.WarningsOnCreate(t.Context(), &tc.secret)
			if told := len(warnings) == 1 && strings.Contains(warnings[0], "kubectl create token"); told != tc.told || len(warnings) > 1 {
				t.Errorf("got %q", warnings)
			}
		})
	}
}
