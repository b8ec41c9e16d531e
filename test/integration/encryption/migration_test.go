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
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/authentication/revocation"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// encryptAll writes a configuration that encrypts all kinds with the first of the keys and reads the others.
func encryptAll(t *testing.T, path string, keys ...string) {
	t.Helper()
	list := ""
	for _, key := range keys {
		secret := map[string]string{"one": oneKey, "another": anotherKey}[key]
		list += fmt.Sprintf("      - {name: %s, secret: %s}\n", key, secret)
	}
	write(t, path, "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ['*.*']\n  providers:\n  - secretbox:\n      keys:\n"+list)
}

// storedWith returns the number of objects below a prefix that are stored with a key, and of all.
func storedWith(ctx context.Context, t *testing.T, client *clientv3.Client, prefix, key string) (with, all int) {
	t.Helper()
	answer, err := client.Get(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range answer.Kvs {
		if bytes.HasPrefix(stored.Value, []byte("k8s:enc:secretbox:v1:"+key+":")) {
			with++
		}
	}
	return with, len(answer.Kvs)
}

func migrate(t *testing.T, config *rest.Config, name, group, resource string) {
	t.Helper()
	wanted := &storagemigrationv1.StorageVersionMigration{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       storagemigrationv1.StorageVersionMigrationSpec{Resource: metav1.GroupResource{Group: group, Resource: resource}},
	}
	if _, err := kubernetes.NewForConfigOrDie(config).StoragemigrationV1().StorageVersionMigrations().Create(t.Context(), wanted, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// awaitEnd waits until a migration has ended and no longer runs, and returns it. It ends with the condition.
func awaitEnd(t *testing.T, config *rest.Config, name string, end storagemigrationv1.MigrationConditionType) (ended *storagemigrationv1.StorageVersionMigration) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config).StoragemigrationV1().StorageVersionMigrations()
	kit.EventuallyState(t, fmt.Sprintf("the migration %s ends", name), func(ctx context.Context) (bool, string) {
		got, err := client.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err.Error()
		}
		ended = got
		over := slices.ContainsFunc([]storagemigrationv1.MigrationConditionType{storagemigrationv1.MigrationSucceeded, storagemigrationv1.MigrationFailed}, func(kind storagemigrationv1.MigrationConditionType) bool {
			return meta.IsStatusConditionTrue(got.Status.Conditions, string(kind))
		})
		return over && meta.IsStatusConditionFalse(got.Status.Conditions, string(storagemigrationv1.MigrationRunning)), fmt.Sprintf("%+v", got.Status)
	})
	if !meta.IsStatusConditionTrue(ended.Status.Conditions, string(end)) {
		t.Errorf("the migration %s is not %s: %+v", name, end, ended.Status)
	}
	return ended
}

// seedGuarded creates objects whose changes need a right that the controller does not have.
func seedGuarded(t *testing.T, config *rest.Config) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config)
	revocations := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: revocation.ConfigMap}, Data: map[string]string{}}
	if _, err := client.CoreV1().ConfigMaps(revocation.Namespace).Create(t.Context(), revocations, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	bundle := &certificatesv1.ClusterTrustBundle{
		ObjectMeta: metav1.ObjectMeta{Name: "example.com:signer:a"},
		Spec:       certificatesv1.ClusterTrustBundleSpec{SignerName: "example.com/signer", TrustBundle: string(config.CAData)},
	}
	if _, err := client.CertificatesV1().ClusterTrustBundles().Create(t.Context(), bundle, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestAMigrationRewritesAllObjectsAfterAChangeOfTheKeyAndGoesOnAfterARestart stops the server while the
// controller works.
func TestAMigrationRewritesAllObjectsAfterAChangeOfTheKeyAndGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	const number = 1200
	const configMaps = "/registry/configmaps/"
	dir, file := binary.DataDir(t), filepath.Join(t.TempDir(), "config.yaml")
	encryptAll(t, file, "one")
	server := binary.Start(t, dir, flag+file)
	seed(t, server.Config, number)
	seedGuarded(t, server.Config)
	server.Stop(t)
	encryptAll(t, file, "another", "one")
	server = binary.Start(t, dir, flag+file)
	client := harness.EtcdClient(t, dir)
	old, all := storedWith(t.Context(), t, client, configMaps, "one")
	if old < number {
		t.Fatalf("%d of %d config maps have the first key", old, all)
	}
	migrate(t, server.Config, "maps", "", "configmaps")
	kit.EventuallyState(t, "the migration has begun", func(ctx context.Context) (bool, string) {
		rewritten, all := storedWith(ctx, t, client, configMaps, "another")
		return rewritten > 100, fmt.Sprintf("%d of %d", rewritten, all)
	})
	server.Stop(t)
	server = binary.Start(t, dir, flag+file)
	client = harness.EtcdClient(t, dir)
	if left, all := storedWith(t.Context(), t, client, configMaps, "one"); left == 0 {
		t.Logf("the migration of %d objects ended before the restart", all)
	}
	done := awaitEnd(t, server.Config, "maps", storagemigrationv1.MigrationSucceeded)
	if left, all := storedWith(t.Context(), t, client, configMaps, "one"); left > 0 || all < number {
		t.Errorf("%d of %d config maps have the old key: %+v", left, all, done.Status)
	}

	// Objects for which the controller has no rights but to store them are rewritten, too: the ConfigMap of
	// revocations above, roles, and trust bundles of a signer.
	for _, other := range []struct{ name, group, resource, prefix string }{
		{"roles", "rbac.authorization.k8s.io", "clusterroles", "/registry/clusterroles/"},
		{"bundles", "certificates.k8s.io", "clustertrustbundles", "/registry/clustertrustbundles/"},
	} {
		migrate(t, server.Config, other.name, other.group, other.resource)
		awaitEnd(t, server.Config, other.name, storagemigrationv1.MigrationSucceeded)
		if left, all := storedWith(t.Context(), t, client, other.prefix, "one"); left > 0 || all == 0 {
			t.Errorf("%d of %d %s have the old key", left, all, other.resource)
		}
	}

	// A second migration finds the right bytes, and writes nothing.
	before, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().ConfigMaps("default").Get(t.Context(), "seed-0000", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	migrate(t, server.Config, "again", "", "configmaps")
	awaitEnd(t, server.Config, "again", storagemigrationv1.MigrationSucceeded)
	after, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().ConfigMaps("default").Get(t.Context(), "seed-0000", metav1.GetOptions{})
	if err != nil || after.ResourceVersion != before.ResourceVersion {
		t.Errorf("a second migration changed the version from %s to %s: %v", before.ResourceVersion, after.ResourceVersion, err)
	}

	// Reviews are not stored, so they cannot be migrated.
	migrate(t, server.Config, "reviews", "authentication.k8s.io", "tokenreviews")
	awaitEnd(t, server.Config, "reviews", storagemigrationv1.MigrationFailed)
}
