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

package backup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

const testObjects = 20

// source is an etcd with objects, and a data directory with keys.
type source struct {
	*Maker
	etcd   *embedded.Server
	client *clientv3.Client
	dir    string
	secret age.Identity
}

func load(ctx context.Context, encryptionConfig string) (Decoder, error) {
	return apiserver.LoadStoredObjects(ctx, encryptionConfig)
}

// newSource starts an etcd with some config maps. Its etcd and its directory end with the test.
func newSource(t testing.TB) *source {
	t.Helper()
	dataDir := t.TempDir()
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: filepath.Join(dataDir, "etcd")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	pki := filepath.Join(dataDir, pkiDir)
	if err := os.Mkdir(pki, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"ca.crt": 0o644, "ca.key": 0o600, "ca.key.next": 0o600,
		"peer-ca.crt": 0o644, "peer-ca.key": 0o600, "peer.crt": 0o644, "peer.key": 0o600, "joining.key": 0o600} {
		if err := os.WriteFile(filepath.Join(pki, name), []byte("content of "+name), mode); err != nil {
			t.Fatal(err)
		}
	}
	s := &source{etcd: etcd, client: etcd.NewClient(), dir: dataDir}
	t.Cleanup(func() { _ = s.client.Close() })
	s.secret = newRecipient(t, dataDir)
	dir := DefaultDir(dataDir)
	s.Maker = &Maker{
		Etcd: storage.Connection{Endpoints: etcd.Endpoints()}, DataDir: dataDir, Work: dir, Target: target.Directory(dir), Load: load, Version: "v0.0.0-test",
	}
	for i := range testObjects {
		s.put(t, fmt.Sprintf("m%d", i))
	}
	return s
}

func newRecipient(t testing.TB, dataDir string) age.Identity {
	t.Helper()
	secret, public, err := NewRecoveryKey()
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveRecipient(dataDir, public, false); err != nil {
		t.Fatal(err)
	}
	key, err := ParseRecoveryKey([]byte("# a comment\n" + secret + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// put stores a config map as a server without encryption does.
func (s *source) put(t testing.TB, name string) {
	t.Helper()
	s.putRaw(t, "/registry/configmaps/default/"+name, encoded(t, name, "b"))
}

func encoded(t testing.TB, name, text string) []byte {
	t.Helper()
	_, codecs := apiserver.NewBuiltinScheme()
	info, _ := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), storage.MediaType)
	object := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)}, Data: map[string]string{"a": text}}
	object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
	data, err := runtime.Encode(info.Serializer, object)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (s *source) putRaw(t testing.TB, key string, value []byte) {
	t.Helper()
	if _, err := s.client.Put(t.Context(), key, string(value)); err != nil {
		t.Fatal(err)
	}
}

// make makes a backup and returns the path of its file.
func (s *source) make(t testing.TB) (*Made, string) {
	t.Helper()
	made, err := s.Make(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return made, filepath.Join(s.Work, made.Name.String())
}

// entries are the names of a directory.
func entries(t testing.TB, dir string) []string {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range found {
		names = append(names, entry.Name())
	}
	return names
}

func at(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return t
}
