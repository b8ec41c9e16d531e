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

package encryption

import (
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/cluster"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// A joiner has no flag of the encryption: the configuration comes with its invitation, and is used at every later
// start. Else it could not read what is stored, or would store plaintext.
func TestAMemberThatJoinsReadsAndWritesEncryptedSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "encryption.yaml")
	mustRun(t, "init", path)
	first := binary.Start(t, binary.DataDir(t), binary.Named("a", flag+path)...)
	createSecret(t, first.Config, "before", "of-the-first")
	joiner := first.Invite(t, "b")
	joiner.WaitReady(t)
	wantSecret(t, joiner.Config, "before", "of-the-first")
	createSecret(t, joiner.Config, "after", "of-the-joiner")
	wantSecret(t, first.Config, "after", "of-the-joiner")
	wantEncrypted(t, joiner, "before", "after")

	address := joiner.Address(t)
	joiner.Stop(t)
	again := binary.Launch(t, joiner.DataDir, nil, "--listen", address)
	again.WaitReady(t)
	wantSecret(t, again.Config, "before", "of-the-first")
	createSecret(t, again.Config, "restarted", "of-the-joiner")
	wantEncrypted(t, again, "restarted")
	if names, own := keyNames(t, path), keyNames(t, filepath.Join(joiner.DataDir, cluster.EncryptionName)); strings.Join(own, " ") != strings.Join(names, " ") {
		t.Errorf("the joiner has the keys %v, and the first server %v", own, names)
	}
}

// wantEncrypted reads Secrets from the member of etcd of a server.
func wantEncrypted(t *testing.T, server *binary.Server, names ...string) {
	t.Helper()
	endpoint, err := storage.LocalEndpoint(server.DataDir)
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Context: t.Context()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, name := range names {
		stored, err := client.Get(t.Context(), storage.Prefix+"/secrets/default/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if len(stored.Kvs) != 1 || !strings.HasPrefix(string(stored.Kvs[0].Value), "k8s:enc:") {
			t.Errorf("the secret %s is stored as %q", name, stored.Kvs)
		}
	}
}
