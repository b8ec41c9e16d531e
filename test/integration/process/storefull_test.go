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
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// smallQuota is slightly more than the minimum of --etcd-quota-bytes.
const smallQuota = 20 << 20

// fillStore creates config maps, the first with this number, until one is refused. It returns the
// number of the one that was refused, and the refusal.
func fillStore(t *testing.T, config *rest.Config, first int) (int, *apierrors.StatusError) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config)
	for i := first; i < first+1000; i++ {
		_, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), ballast(fmt.Sprintf("ballast-%d", i)), metav1.CreateOptions{})
		// etcd applies the write that exceeds its quota, and returns that there is no space:
		// a retry finds the object.
		if err == nil || apierrors.IsAlreadyExists(err) {
			continue
		}
		var refusal *apierrors.StatusError
		if !errors.As(err, &refusal) {
			t.Fatalf("a create failed with %v, want an answer of the server", err)
		}
		return i, refusal
	}
	t.Fatal("the store takes everything")
	return 0, nil
}

func ballast(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"a": strings.Repeat("x", 500_000)}}
}

// probe sends a request to a health endpoint and returns the code and the list of checks.
func probe(t *testing.T, config *rest.Config, path string) (int, string) {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Get(config.Host + path + "?verbose") // the server outlives the question
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func wantFullStore(t *testing.T, config *rest.Config) {
	t.Helper()
	client := kubernetes.NewForConfigOrDie(config)
	if code, body := probe(t, config, "/readyz"); code != http.StatusInternalServerError || !strings.Contains(body, "[-]etcd-space failed") || strings.Count(body, "[-]") != 1 {
		t.Errorf("/readyz answers %d, want 500 because of etcd-space alone:\n%s", code, body)
	}
	if code, body := probe(t, config, "/livez"); code != http.StatusOK {
		t.Errorf("/livez answers %d: a restart by the kubelet cures nothing:\n%s", code, body)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "ballast-0", metav1.GetOptions{}); err != nil {
		t.Errorf("reading from a full store: %v", err)
	}
	_, err := client.CoreV1().Events("default").Create(t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "full"}, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}, metav1.CreateOptions{})
	if apierrors.ReasonForError(err) != "InsufficientStorage" {
		t.Errorf("an event, which has a lease, is answered with %v, want reason InsufficientStorage", err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Patch(t.Context(), "ballast-0", "application/merge-patch+json", []byte(`{"data":{"b":"c"}}`), metav1.PatchOptions{}); apierrors.ReasonForError(err) != "InsufficientStorage" {
		t.Errorf("a patch is answered with %v, want reason InsufficientStorage", err)
	}
}

func wantInsufficientStorage(t *testing.T, refusal *apierrors.StatusError, cure string) {
	t.Helper()
	status := refusal.Status()
	if status.Code != http.StatusInsufficientStorage || status.Reason != "InsufficientStorage" || !strings.Contains(status.Message, cure) {
		t.Errorf("a create is refused with %d %s %q, want 507 InsufficientStorage and the cure %q", status.Code, status.Reason, status.Message, cure)
	}
}

func TestAFullStoreIsToldServesReadsAndDeletesAndIsCuredByARestart(t *testing.T) {
	dir := binary.DataDir(t)
	quota := fmt.Sprintf("--etcd-quota-bytes=%d", smallQuota)
	server := binary.Start(t, dir, quota)
	count, refusal := fillStore(t, server.Config, 0)
	wantInsufficientStorage(t, refusal, "restart it with a larger --etcd-quota-bytes")
	wantFullStore(t, server.Config)
	if log := server.Stderr(); !strings.Contains(log, "its database has reached its quota") || strings.Contains(log, "free space on its disk") {
		t.Errorf("the log does not distinguish a full quota from a full disk:\n%s", log)
	}
	server.Stop(t)

	// A restart reclaims wasted space of the file, so several are needed until objects fill it.
	server = binary.Start(t, dir, quota)
	for rounds := 0; ; rounds++ {
		if code, _ := probe(t, server.Config, "/readyz"); code != http.StatusOK {
			break
		}
		if rounds == 10 {
			t.Fatal("restarts free space forever")
		}
		count, _ = fillStore(t, server.Config, count)
		server.Stop(t)
		server = binary.Start(t, dir, quota)
	}
	wantFullStore(t, server.Config)
	client := kubernetes.NewForConfigOrDie(server.Config)
	for i := range count {
		name := fmt.Sprintf("ballast-%d", i)
		if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), name, metav1.GetOptions{}); err != nil {
			t.Errorf("an acknowledged create is lost: %v", err)
		}
		if i%2 == 0 {
			continue
		}
		if err := client.CoreV1().ConfigMaps("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("a delete in a full store: %v", err)
		}
	}
	server.Stop(t)

	server = binary.Start(t, dir, quota)
	client = kubernetes.NewForConfigOrDie(server.Config)
	if code, body := probe(t, server.Config, "/readyz"); code != http.StatusOK {
		t.Errorf("after deletes and a restart /readyz answers %d:\n%s", code, body)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), ballast("another"), metav1.CreateOptions{}); err != nil {
		t.Errorf("after deletes and a restart: %v", err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "ballast-1", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("an acknowledged delete came back: %v", err)
	}
}

func TestAFullExternalStoreIsToldAndCuredByItsOwner(t *testing.T) {
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: binary.DataDir(t), QuotaBackendBytes: smallQuota})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	server := servertesting.Start(t, func(o *options.Options) { o.Etcd.StorageConfig.Transport.ServerList = etcd.Endpoints() })
	_, refusal := fillStore(t, server.Config, 0)
	wantInsufficientStorage(t, refusal, "etcdctl alarm disarm")
	wantFullStore(t, server.Config)

	client := kubernetes.NewForConfigOrDie(server.Config)
	if err := client.CoreV1().ConfigMaps("default").DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatalf("deletes in a full store: %v", err)
	}
	if err := etcd.Reclaim(t.Context()); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(binary.Patience)
	for code := 0; code != http.StatusOK; {
		var body string
		if code, body = probe(t, server.Config, "/readyz"); time.Now().After(deadline) {
			t.Fatalf("/readyz still answers %d:\n%s", code, body)
		}
	}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), ballast("another"), metav1.CreateOptions{}); err != nil {
		t.Errorf("after the alarm was disarmed: %v", err)
	}
}

// For the server the embedded etcd of this test is an external one, with a separate request limit. An
// app of 2.9 MB exceeds what the library's client sends.
func TestAnObjectThatAnExternalEtcdDoesNotTakeIsTooLargeAndNoFailureOfTheServer(t *testing.T) {
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: binary.DataDir(t), MaxRequestBytes: 512 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	server := servertesting.Start(t, func(o *options.Options) { o.Etcd.StorageConfig.Transport.ServerList = etcd.Endpoints() })
	security.LargeObjects(t, server.Config, "default", 400<<10, 700<<10, 1200<<10, 2_900_000)
}
