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
	"bytes"
	"context"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// aValue is a stored object and its key.
func aValue(t testing.TB) ([]byte, value.Context) {
	t.Helper()
	secret := &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one", UID: "0c2f", Labels: map[string]string{"app": "web"}},
		Data:       map[string][]byte{"password": bytes.Repeat([]byte("hunter2"), 200)},
	}
	var stored bytes.Buffer
	if err := protobuf.NewSerializer(nil, nil).Encode(secret, &stored); err != nil {
		t.Fatal(err)
	}
	return stored.Bytes(), value.DefaultContext("/registry/secrets/default/one")
}

// decode reads a stored value as a server without checksums does.
func decode(data []byte) (*corev1.Secret, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	_, _, err := protobuf.NewSerializer(scheme, scheme).Decode(data, nil, secret)
	return secret, err
}

func TestNoFlippedBitChangesAValueUnseen(t *testing.T) {
	data, at := aValue(t)
	c := checksumTransformer{identity.NewEncryptCheckTransformer()}
	stored, err := c.TransformToStorage(t.Context(), data, at)
	if err != nil {
		t.Fatal(err)
	}
	unseen := 0
	for bit := range len(stored) * 8 {
		damaged := bytes.Clone(stored)
		damaged[bit/8] ^= 1 << (bit % 8)
		read, _, err := c.TransformFromStorage(t.Context(), damaged, at)
		if err != nil {
			continue
		}
		// A value that passes because the mark itself is damaged must still decode to the same object.
		secret, err := decode(read)
		if err != nil {
			continue
		}
		unseen++
		if want, _ := decode(data); secret.Name != want.Name || !bytes.Equal(secret.Data["password"], want.Data["password"]) || secret.UID != want.UID {
			t.Fatalf("bit %d of %d changes the object unseen", bit, len(stored)*8)
		}
	}
	t.Logf("of %d flipped bits %d leave the object as it was", len(stored)*8, unseen)
}

func TestChecksums(t *testing.T) {
	data, at := aValue(t)
	c := checksumTransformer{identity.NewEncryptCheckTransformer()}
	stored, err := c.TransformToStorage(t.Context(), data, at)
	if err != nil {
		t.Fatal(err)
	}
	if len(stored) != len(data)+checksumSize || !bytes.HasPrefix(stored, data) {
		t.Errorf("%d bytes became %d", len(data), len(stored))
	}
	elsewhere := value.DefaultContext("/registry/secrets/default/two")
	for _, tc := range []struct {
		name    string
		data    []byte
		at      value.Context
		want    []byte
		problem string
	}{
		{"what was written is read", stored, at, data, ""},
		{"a value of a server from before", data, at, data, ""},
		{"JSON has none", []byte(`{"kind":"Secret"}`), at, []byte(`{"kind":"Secret"}`), ""},
		{"nothing", []byte{}, at, []byte{}, ""},
		{"a value at another key", stored, elsewhere, nil, "damaged"},
		{"an encrypted value without its key", []byte("k8s:enc:aesgcm:v1:x"), at, nil, "identity transformer"},
		{"a value that is cut short is no better than one from before", stored[:len(stored)-1], at, stored[:len(stored)-1], ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, stale, err := c.TransformFromStorage(t.Context(), tc.data, tc.at)
			if tc.problem != "" {
				if err == nil || !strings.Contains(err.Error(), tc.problem) {
					t.Errorf("got %q, %v", got, err)
				}
				return
			}
			if err != nil || stale || !bytes.Equal(got, tc.want) {
				t.Errorf("got %q, stale %v, %v", got, stale, err)
			}
		})
	}
	if secret, err := decode(stored); err != nil || string(secret.Data["password"][:7]) != "hunter2" {
		t.Errorf("a server from before reads %v, %v", secret, err)
	}
	if json, err := c.TransformToStorage(t.Context(), []byte(`{}`), at); err != nil || string(json) != `{}` {
		t.Errorf("JSON is stored as %q, %v", json, err)
	}
}

func BenchmarkChecksum(b *testing.B) {
	data, at := aValue(b)
	c := checksumTransformer{identity.NewEncryptCheckTransformer()}
	stored, err := c.TransformToStorage(context.Background(), data, at)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			_, _ = c.TransformToStorage(context.Background(), data, at)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			_, _, _ = c.TransformFromStorage(context.Background(), stored, at)
		}
	})
}
