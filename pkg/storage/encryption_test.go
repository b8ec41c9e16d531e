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

package storage

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/server/options/encryptionconfig"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/component-base/metrics/testutil"
)

const (
	keyOne = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	keyTwo = "QUJDREVGR0hJSkFCQ0RFRkdISUpBQkNERUZHSElKQUI="
)

// transformer returns the library's transformer of secrets for the providers of a configuration.
func transformer(t *testing.T, providers string) value.Transformer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	content := "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n" + providers
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	config, err := encryptionconfig.LoadEncryptionConfig(t.Context(), path, true, "test")
	if err != nil {
		t.Fatal(err)
	}
	return config.Transformers[schema.GroupResource{Resource: "secrets"}]
}

func keysOfProvider(provider string, namesAndKeys ...string) string {
	text := "  - " + provider + ":\n      keys:\n"
	for i := 0; i < len(namesAndKeys); i += 2 {
		text += "      - {name: " + namesAndKeys[i] + ", secret: " + namesAndKeys[i+1] + "}\n"
	}
	return text
}

// TestAValueThatCannotBeDecryptedNamesItsKeyAndTheCure uses the library's transformers, because the
// distinction is by the texts of their errors.
func TestAValueThatCannotBeDecryptedNamesItsKeyAndTheCure(t *testing.T) {
	const plain = "  - identity: {}\n"
	for _, test := range []struct {
		name           string
		written, later string
		want           string
	}{
		{"an older file without the key", keysOfProvider("secretbox", "new", keyTwo, "old", keyOne), keysOfProvider("secretbox", "old", keyOne), `secretbox key "new", which --encryption-provider-config does not have: add that key`},
		{"an older file without a key of AES", keysOfProvider("aescbc", "new", keyTwo), keysOfProvider("aescbc", "old", keyOne), `aescbc key "new", which`},
		{"another provider", keysOfProvider("secretbox", "new", keyTwo), keysOfProvider("aescbc", "new", keyTwo), `secretbox key "new", which`},
		{"only identity", keysOfProvider("secretbox", "new", keyTwo), plain, `secretbox key "new", which`},
		{"no identity", plain, keysOfProvider("secretbox", "new", keyTwo), `without encryption, which --encryption-provider-config does not permit: add the provider "identity: {}"`},
		{"another key of the same name", keysOfProvider("secretbox", "new", keyTwo), keysOfProvider("secretbox", "new", keyOne), `another secretbox key of the name "new", or is damaged`},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := value.DefaultContext("/registry/secrets/a/b")
			stored, err := transformer(t, test.written).TransformToStorage(t.Context(), []byte("content"), at)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := NewEncryption(t.Context(), nil, nil)
			cured := curedTransformer{transformer(t, test.later), schema.GroupResource{Resource: "secrets"}, e}
			_, _, err = cured.TransformFromStorage(t.Context(), stored, at)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "secrets") {
				t.Fatalf("the error is %v, and not %q", err, test.want)
			}
			if e.LastError() == nil {
				t.Error("the error is not kept")
			}
			cancelled, cancel := context.WithCancel(t.Context())
			cancel()
			cured.encryption, _ = NewEncryption(t.Context(), nil, nil)
			if _, _, err := cured.TransformFromStorage(cancelled, stored, at); err == nil || cured.encryption.LastError() != nil {
				t.Errorf("the error of a cancelled request is kept: %v", err)
			}
		})
	}
}

func TestEncryptedValuesAreNamedWithoutAConfiguration(t *testing.T) {
	e, checks := NewEncryption(t.Context(), nil, []healthz.HealthChecker{healthz.PingHealthz})
	if len(checks) != 1 {
		t.Errorf("checks without encryption: %d", len(checks))
	}
	cured := curedTransformer{identity.NewEncryptCheckTransformer(), schema.GroupResource{Resource: "secrets"}, e}
	_, _, err := cured.TransformFromStorage(t.Context(), []byte("k8s:enc:secretbox:v1:mine:xyz"), value.DefaultContext("a"))
	if err == nil || !strings.Contains(err.Error(), `secretbox key "mine"`) {
		t.Errorf("%v", err)
	}
}

func TestAConfigurationWithoutKMSPluginsIsHealthy(t *testing.T) {
	kms := healthz.NamedCheck("kms-providers", func(*http.Request) error { return nil })
	for _, tc := range []struct {
		name   string
		checks []healthz.HealthChecker
		want   float64
	}{
		{"a plugin that is not checked yet", []healthz.HealthChecker{kms}, 0},
		{"no plugin, and no check of one because the file is not reloaded", nil, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e, _ := NewEncryption(t.Context(), &plugin{}, tc.checks)
			if got, err := testutil.GetGaugeMetricValue(kmsHealthy); err != nil || got != tc.want || e.PluginDown() != (tc.want == 0) {
				t.Errorf("the metric is %v (%v), down %v", got, err, e.PluginDown())
			}
		})
	}
}

// plugin is a KMS plugin and the key in memory, either of which may fail.
type plugin struct {
	down, expired atomic.Bool
	encrypted     atomic.Int32
}

func (p *plugin) TransformerForResource(schema.GroupResource) value.Transformer { return p }

func (p *plugin) TransformToStorage(context.Context, []byte, value.Context) ([]byte, error) {
	p.encrypted.Add(1)
	if p.expired.Load() {
		return nil, errors.New("EDEK with keyID hash \"x\" expired")
	}
	return nil, nil
}

func (*plugin) TransformFromStorage(_ context.Context, data []byte, _ value.Context) ([]byte, bool, error) {
	return data, false, nil
}

func TestAServerIsReadyWhileTheKeyInMemoryEncrypts(t *testing.T) {
	p := &plugin{}
	kms := healthz.NamedCheck("kms-providers", func(*http.Request) error {
		if p.down.Load() {
			return errors.New("no plugin")
		}
		return nil
	})
	e, checks := NewEncryption(t.Context(), p, []healthz.HealthChecker{healthz.PingHealthz, kms})
	e.resources = []schema.GroupResource{{Resource: "secrets"}}
	var names []string
	for _, check := range checks {
		names = append(names, check.Name())
	}
	if !slices.Equal(names, []string{"ping", EncryptionCheck}) {
		t.Fatalf("the checks are %v", names)
	}
	ready := func() error { return checks[1].Check((&http.Request{}).WithContext(t.Context())) }
	for _, test := range []struct {
		name          string
		down, expired bool
		ready         bool
	}{
		{"plugin and key work", false, false, true},
		{"the plugin is down and the key works", true, false, true},
		{"the plugin is down and the key has expired", true, true, false},
		{"the plugin is back", false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.down.Store(test.down)
			p.expired.Store(test.expired)
			e.setKMS(e.checkKMS(t.Context()), false)
			before := p.encrypted.Load()
			if err := ready(); (err == nil) != test.ready {
				t.Errorf("ready: %v", err)
			}
			if encrypted := p.encrypted.Load() - before; (encrypted > 0) != test.down {
				t.Errorf("%d probes were encrypted", encrypted)
			}
		})
	}
}
