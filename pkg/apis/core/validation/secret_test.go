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

package validation

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func TestSecrets(t *testing.T) {
	data := func(keys ...string) map[string][]byte {
		m := map[string][]byte{}
		for _, key := range keys {
			m[key] = []byte("{}")
		}
		return m
	}
	for name, test := range map[string]struct {
		secret corev1.Secret
		want   []string
	}{
		"an opaque one holds anything":               {corev1.Secret{Type: corev1.SecretTypeOpaque, Data: data("a")}, nil},
		"a type of somebody's own holds anything":    {corev1.Secret{Type: "example.com/own"}, nil},
		"a key with a slash":                         {corev1.Secret{Data: data("a/b")}, []string{invalid + "data[a/b]"}},
		"exactly as much as fits":                    {corev1.Secret{Data: map[string][]byte{"a": make([]byte, maxDataSize)}}, nil},
		"a byte more than fits":                      {corev1.Secret{Data: map[string][]byte{"a": make([]byte, maxDataSize), "b": {1}}}, []string{tooMuch + "data"}},
		"a token names its account":                  {corev1.Secret{Type: corev1.SecretTypeServiceAccountToken}, []string{required + "metadata.annotations[kubernetes.io/service-account.name]"}},
		"a .dockercfg is there":                      {corev1.Secret{Type: corev1.SecretTypeDockercfg}, []string{required + "data[.dockercfg]"}},
		"a .dockercfg is JSON":                       {corev1.Secret{Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{".dockercfg": []byte("no")}}, []string{invalid + "data[.dockercfg]"}},
		"a .dockerconfigjson is there":               {corev1.Secret{Type: corev1.SecretTypeDockerConfigJson}, []string{required + "data[.dockerconfigjson]"}},
		"a .dockerconfigjson is a JSON object":       {corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{".dockerconfigjson": []byte("[]")}}, []string{invalid + "data[.dockerconfigjson]"}},
		"a good .dockerconfigjson":                   {corev1.Secret{Type: corev1.SecretTypeDockerConfigJson, Data: data(".dockerconfigjson")}, nil},
		"basic authentication has one of two":        {corev1.Secret{Type: corev1.SecretTypeBasicAuth}, []string{required + "data[username]", required + "data[password]"}},
		"basic authentication needs no user":         {corev1.Secret{Type: corev1.SecretTypeBasicAuth, Data: data("password")}, nil},
		"an SSH key is there":                        {corev1.Secret{Type: corev1.SecretTypeSSHAuth}, []string{required + "data[ssh-privatekey]"}},
		"an SSH key is not empty":                    {corev1.Secret{Type: corev1.SecretTypeSSHAuth, Data: map[string][]byte{"ssh-privatekey": {}}}, []string{required + "data[ssh-privatekey]"}},
		"TLS wants both":                             {corev1.Secret{Type: corev1.SecretTypeTLS}, []string{required + "data[tls.crt]", required + "data[tls.key]"}},
		"TLS wants a key beside the certificate":     {corev1.Secret{Type: corev1.SecretTypeTLS, Data: data("tls.crt")}, []string{required + "data[tls.key]"}},
		"TLS takes what is there, whatever it means": {corev1.Secret{Type: corev1.SecretTypeTLS, Data: data("tls.crt", "tls.key")}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.secret.ObjectMeta = named
			errs := ValidateSecret(&test.secret)
			expect(t, errs, test.want...)
		})
	}
	t.Run("an error does not contain the secret", func(t *testing.T) {
		secret := corev1.Secret{ObjectMeta: named, Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{".dockercfg": []byte("hunter2")}}
		if text := ValidateSecret(&secret).ToAggregate().Error(); strings.Contains(text, "hunter2") {
			t.Error(text)
		}
	})
	old := corev1.Secret{ObjectMeta: named, Type: corev1.SecretTypeOpaque, Immutable: ptr.To(true), Data: data("a")}
	for name, test := range map[string]struct {
		change func(*corev1.Secret)
		want   []string
	}{
		"nothing":                          {func(*corev1.Secret) {}, nil},
		"the type never changes":           {func(s *corev1.Secret) { s.Type = "example.com/own" }, []string{invalid + "type"}},
		"data of an immutable one":         {func(s *corev1.Secret) { s.Data = nil }, []string{forbidden + "data"}},
		"an immutable one stays immutable": {func(s *corev1.Secret) { s.Immutable = nil }, []string{forbidden + "immutable"}},
	} {
		t.Run(name, func(t *testing.T) {
			secret := old.DeepCopy()
			test.change(secret)
			expect(t, ValidateSecretUpdate(secret, &old), test.want...)
		})
	}
}

func TestBootstrapTokensThatAuthenticateNothingCauseWarnings(t *testing.T) {
	set := func(key, value string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { s.Data[key] = []byte(value) }
	}
	for name, test := range map[string]struct {
		change func(*corev1.Secret)
		want   string
	}{
		"a token":                   {func(*corev1.Secret) {}, ""},
		"another type":              {func(s *corev1.Secret) { s.Type, s.Namespace = corev1.SecretTypeOpaque, "default" }, ""},
		"an expiration":             {set("expiration", "2027-01-31T12:00:00Z"), ""},
		"an expiration in the past": {set("expiration", "2007-01-31T12:00:00Z"), ""},
		"another namespace":         {func(s *corev1.Secret) { s.Namespace = "default" }, "metadata.namespace: is not kube-system"},
		"another name":              {func(s *corev1.Secret) { s.Name = "bootstrap-token-ghijkl" }, "metadata.name: is not bootstrap-token-"},
		"a long ID":                 {func(s *corev1.Secret) { set("token-id", "abcdefg")(s); s.Name = "bootstrap-token-abcdefg" }, "data[token-id]: is not 6 characters"},
		"a short secret":            {set("token-secret", "short"), "data[token-secret]: is not 16 characters of a-z and 0-9"},
		"no usage":                  {set("usage-bootstrap-authentication", ""), "data[usage-bootstrap-authentication]: is not true"},
		"a time of its own kind":    {set("expiration", "tomorrow"), "data[expiration]: is not a time"},
		"a group of others":         {set("auth-extra-groups", "system:masters"), "data[auth-extra-groups]: has a group that does not begin with system:bootstrappers:"},
	} {
		t.Run(name, func(t *testing.T) {
			secret := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "bootstrap-token-abcdef"}, Type: "bootstrap.kubernetes.io/token",
				Data: map[string][]byte{"token-id": []byte("abcdef"), "token-secret": []byte("0123456789abcdef"), "usage-bootstrap-authentication": []byte("true")},
			}
			test.change(secret)
			expect(t, ValidateSecret(secret))
			got := WarningsForBootstrapToken(secret)
			if test.want == "" && len(got) > 0 || test.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if strings.Contains(strings.Join(got, ""), "0123456789abcdef") {
				t.Errorf("the secret is in a warning: %q", got)
			}
		})
	}
}
