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

package process

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// secretText returns the content of a secret of the damage tests, which they search for in the database.
func secretText(i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("text-%02d-", i), 40))
}

// A disk that flips a bit must not change stored data silently: the damaged object is named,
// all other objects are served, and the damaged object can be deleted.
func TestAFlippedBitIsNamedAndNeverServed(t *testing.T) {
	const secrets, damaged = 8, 3
	server := servertesting.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for i := range secrets {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("s", i)}, Data: map[string][]byte{"a": secretText(i)}}
		if _, err := harness.BuiltinClient(t, server).CoreV1().Secrets("default").Create(ctx, secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(kit.Seed(t), 0))
	path := filepath.Join(server.DataDir, "etcd", "member", "snap", "db")
	database, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range damaged {
		text := secretText(i)
		// Every copy is damaged: bbolt keeps old pages, and the test cannot tell which one is read.
		at, bit := random.IntN(len(text)), random.IntN(8)
		for from := bytes.Index(database, text); from >= 0; from = bytes.Index(database, text) {
			database[from+at] ^= 1 << bit
		}
	}
	if err := os.WriteFile(path, database, 0o600); err != nil {
		t.Fatal(err)
	}

	again := servertesting.StartUnready(t, server.DataDir)
	client := harness.BuiltinClient(t, again).CoreV1().Secrets("default")
	for i := range secrets {
		name := fmt.Sprint("s", i)
		secret, err := client.Get(ctx, name, metav1.GetOptions{})
		switch {
		case i >= damaged && (err != nil || !bytes.Equal(secret.Data["a"], secretText(i))):
			t.Errorf("%s is whole, and answered with %v, %v", name, secret, err)
		case i < damaged && (err == nil || !strings.Contains(err.Error(), "/secrets/default/"+name) || !strings.Contains(err.Error(), "damaged")):
			t.Errorf("%s is damaged, and answered with %v, %v", name, secret, err)
		}
	}
	if _, err := client.List(ctx, metav1.ListOptions{}); err == nil || !strings.Contains(err.Error(), "/registry/secrets/default/s") {
		t.Errorf("a list does not name the damaged one: %v", err)
	}
	// The remedy of docs/damaged-data.md.
	for i := range damaged {
		if err := client.Delete(ctx, fmt.Sprint("s", i), metav1.DeleteOptions{IgnoreStoreReadErrorWithClusterBreakingPotential: ptr.To(true)}); err != nil {
			t.Fatal(err)
		}
	}
	kit.Eventually(t, "the secrets that are left can be listed", func(ctx context.Context) bool {
		list, err := client.List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == secrets-damaged
	})
}
