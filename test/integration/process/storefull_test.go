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
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/security"
)

// smallQuota is slightly more than the minimum of --etcd-quota-bytes.
const smallQuota = 20 << 20

func configMaps(config *rest.Config) typedcorev1.ConfigMapInterface {
	return kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("default")
}

// fillStore creates config maps, the first with this number, until one is refused. It returns the
// number of the one that was refused, and the refusal.
func fillStore(t *testing.T, config *rest.Config, first int) (int, *apierrors.StatusError) {
	t.Helper()
	for i := first; i < first+1000; i++ {
		_, err := configMaps(config).Create(t.Context(), ballast(fmt.Sprintf("ballast-%d", i)), metav1.CreateOptions{})
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
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"a": strings.Repeat("x", 50_000)}}
}

// fillForGood fills the store with objects: as long as the server can make space, it does. It returns the number of
// objects.
func fillForGood(t *testing.T, server *binary.Server) (count int) {
	t.Helper()
	for {
		count, _ = fillStore(t, server.Config, count)
		stays := false
		kit.Eventually(t, "the server has made space, or reports that it cannot", func(context.Context) bool {
			code, _ := probe(t, server.Config, "/readyz")
			stays = strings.Contains(server.Stderr(), "Database stays full")
			return stays || code == http.StatusOK
		})
		if stays {
			return count
		}
	}
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

// wantNotReady checks that the space, and nothing else, makes the server not ready, and that reads continue.
func wantNotReady(t *testing.T, config *rest.Config) {
	t.Helper()
	if code, body := probe(t, config, "/readyz"); code != http.StatusInternalServerError || !strings.Contains(body, "[-]storage-space failed") || strings.Count(body, "[-]") != 1 {
		t.Errorf("/readyz answers %d, want 500 because of storage-space alone:\n%s", code, body)
	}
	if _, body := probe(t, config, "/readyz/storage-space"); !strings.Contains(body, "(the disk is not full)") {
		t.Errorf("/readyz/storage-space answers %s", body)
	}
	if code, body := probe(t, config, "/livez"); code != http.StatusOK {
		t.Errorf("/livez answers %d: a restart by the kubelet cures nothing:\n%s", code, body)
	}
	if _, err := configMaps(config).Get(t.Context(), "ballast-0", metav1.GetOptions{}); err != nil {
		t.Errorf("a get: %v", err)
	}
	if list, err := configMaps(config).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) < 10 {
		t.Errorf("a list: %v", err)
	}
	_, err := kubernetes.NewForConfigOrDie(config).CoreV1().Events("default").Create(t.Context(), &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "full"}, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}, metav1.CreateOptions{})
	if apierrors.ReasonForError(err) != "InsufficientStorage" {
		t.Errorf("an event, which has a lease, is answered with %v, want reason InsufficientStorage", err)
	}
}

func wantReady(t *testing.T, config *rest.Config) {
	t.Helper()
	kit.EventuallyState(t, "the server is ready", func(context.Context) (bool, string) {
		code, body := probe(t, config, "/readyz")
		return code == http.StatusOK, body
	})
	if _, err := configMaps(config).Create(t.Context(), ballast("another"), metav1.CreateOptions{}); err != nil {
		t.Errorf("a create in a store with space: %v", err)
	}
}

// refuseUpdates makes one object larger and smaller until etcd refuses updates, too.
func refuseUpdates(t *testing.T, config *rest.Config) {
	t.Helper()
	for i := range 1000 {
		_, err := patch(t, config, "ballast-0", fmt.Sprintf(`{"data":{"b":"%s"}}`, strings.Repeat(strconv.Itoa(i%10), 50_000)))
		if apierrors.ReasonForError(err) == "InsufficientStorage" {
			if !strings.Contains(err.Error(), "nothing can be created or changed: the database has reached its quota") {
				t.Errorf("an update is refused with %v", err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the store takes every update")
}

func patch(t *testing.T, config *rest.Config, name, change string) (*corev1.ConfigMap, error) {
	t.Helper()
	return configMaps(config).Patch(t.Context(), name, types.MergePatchType, []byte(change), metav1.PatchOptions{})
}

func wantInsufficientStorage(t *testing.T, refusal *apierrors.StatusError, parts ...string) {
	t.Helper()
	status := refusal.Status()
	if status.Code != http.StatusInsufficientStorage || status.Reason != "InsufficientStorage" {
		t.Errorf("a create is refused with %d %s, want 507 InsufficientStorage", status.Code, status.Reason)
	}
	for _, part := range parts {
		if !strings.Contains(status.Message, part) {
			t.Errorf("a create is refused with %q, which lacks %q", status.Message, part)
		}
	}
}

// run runs a command of the program.
func run(t *testing.T, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), binary.Path(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, output)
	}
	return string(output)
}

func TestAFullStoreIsToldServesReadsAndDeletesAndMakesSpaceAfterThem(t *testing.T) {
	server := binary.Start(t, binary.DataDir(t), fmt.Sprintf("--etcd-quota-bytes=%d", smallQuota))
	deletes := deletes{server.Config}
	deletes.prepare(t, "early")
	deletes.prepare(t, "late")
	count := fillForGood(t, server)
	_, refusal := fillStore(t, server.Config, count) // with a count of the resources
	wantInsufficientStorage(t, refusal, "nothing can be created: the database has reached its quota of 20.0 MiB (the disk is not full); most of it is configmaps 1",
		"delete objects", "gatehouse storage top", "--etcd-quota-bytes")
	wantNotReady(t, server.Config)
	deletes.wantDone(t, "early")

	watching, err := configMaps(server.Config).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Stop()
	refuseUpdates(t, server.Config)
	wantNotReady(t, server.Config)
	deletes.wantRefused(t, "late")
	status, top := run(t, "storage", "status", "--data-dir", server.DataDir), run(t, "storage", "top", "--data-dir", server.DataDir)
	if !strings.Contains(status, "the quota is full (the disk is not): writes are refused") || !strings.HasPrefix(strings.Split(top, "\n")[1], "configmaps ") {
		t.Errorf("the commands print\n%s\n%s", status, top)
	}
	if log := server.Stderr(); !strings.Contains(log, "its database has reached its quota") || strings.Contains(log, "free space on") {
		t.Errorf("the log does not distinguish a full quota from a full disk:\n%s", log)
	}
	for i := 1; i < count; i += 2 {
		if err := configMaps(server.Config).Delete(t.Context(), fmt.Sprintf("ballast-%d", i), metav1.DeleteOptions{}); err != nil {
			t.Errorf("a delete in a full store: %v", err)
		}
	}
	for event := range watching.ResultChan() {
		if event.Type == watch.Deleted && event.Object.(*corev1.ConfigMap).Name == "ballast-1" {
			break
		}
	}
	wantReady(t, server.Config)
	for i := range count {
		_, err := configMaps(server.Config).Get(t.Context(), fmt.Sprintf("ballast-%d", i), metav1.GetOptions{})
		if i%2 == 0 && err != nil || i%2 == 1 && !apierrors.IsNotFound(err) {
			t.Errorf("an acknowledged write of ballast-%d is lost: %v", i, err)
		}
	}
	deletes.wantDone(t, "late")
}

func TestAFullStoreHasSpaceAfterARestartWithALargerQuota(t *testing.T) {
	dir := binary.DataDir(t)
	server := binary.Start(t, dir, fmt.Sprintf("--etcd-quota-bytes=%d", smallQuota))
	fillForGood(t, server)
	refuseUpdates(t, server.Config)
	server.Stop(t)
	server = binary.Start(t, dir, fmt.Sprintf("--etcd-quota-bytes=%d", 2*smallQuota))
	wantReady(t, server.Config)
}

func TestAFullExternalStoreIsToldAndCuredByTheCommands(t *testing.T) {
	etcd, err := embedded.Start(t.Context(), embedded.Config{DataDir: binary.DataDir(t), QuotaBackendBytes: smallQuota})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	server := servertesting.Start(t, func(o *options.Options) { o.Etcd.StorageConfig.Transport.ServerList = etcd.Endpoints() })
	count := 0
	for size, quota := etcd.Size(); size < quota/100*91; size, _ = etcd.Size() {
		if _, err := configMaps(server.Config).Create(t.Context(), ballast(fmt.Sprintf("ballast-%d", count)), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		count++
	}
	kit.Eventually(t, "an event is written", func(ctx context.Context) bool {
		events, err := kubernetes.NewForConfigOrDie(server.Config).CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=StorageNearlyFull"})
		return err == nil && len(events.Items) == 1 && strings.Contains(events.Items[0].Message, "of its quota of 20.0 MiB")
	})
	count, _ = fillStore(t, server.Config, count)
	kit.Eventually(t, "the answer names the resources", func(context.Context) bool {
		_, refusal := fillStore(t, server.Config, count)
		return strings.Contains(refusal.Error(), "most of it is configmaps 1")
	})
	_, refusal := fillStore(t, server.Config, count)
	wantInsufficientStorage(t, refusal, "nothing can be created or changed", "(the disk is not full)", "gatehouse storage defrag", "--quota-backend-bytes")
	wantNotReady(t, server.Config)
	if err := configMaps(server.Config).DeleteCollection(t.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		t.Fatalf("deletes in a full store: %v", err)
	}
	to := "--etcd-servers=" + etcd.Endpoints()[0]
	run(t, "storage", "compact", to)
	if output := run(t, "storage", "defrag", to); !strings.Contains(output, "the alarm of the full database is removed") {
		t.Errorf("the command prints\n%s", output)
	}
	wantReady(t, server.Config)
}

// The server needs 144 MiB for its first start. The file system is filled from outside, as by another process.
func TestAFullDiskIsToldAndIsNotMistakenForTheQuota(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may mount the small file system of this test")
	}
	dir := binary.DataDir(t)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size=192m"); err != nil {
		t.Skipf("the small file system of this test cannot be mounted: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	server := binary.Start(t, filepath.Join(dir, "data"))
	if _, err := configMaps(server.Config).Create(t.Context(), ballast("ballast-0"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	filler := filepath.Join(dir, "filler")
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filler, make([]byte, int64(disk.Bavail)*disk.Bsize-12<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "a create is refused", func(ctx context.Context) bool {
		_, err := configMaps(server.Config).Create(ctx, ballast("refused"), metav1.CreateOptions{})
		var refusal *apierrors.StatusError
		if !errors.As(err, &refusal) {
			_ = configMaps(server.Config).Delete(ctx, "refused", metav1.DeleteOptions{})
			return false
		}
		wantInsufficientStorage(t, refusal, "nothing can be created: the disk of the server's data directory is full", "(the quota of the database is not the reason)")
		return true
	})
	if _, body := probe(t, server.Config, "/readyz"); !strings.Contains(body, "[-]storage-disk failed") || strings.Count(body, "[-]") != 1 {
		t.Errorf("/readyz answers\n%s", body)
	}
	if _, body := probe(t, server.Config, "/readyz/storage-disk"); !strings.Contains(body, "the disk of the server's data directory is full") {
		t.Errorf("/readyz/storage-disk answers %s", body)
	}
	if code, body := probe(t, server.Config, "/livez"); code != http.StatusOK {
		t.Errorf("/livez answers %d:\n%s", code, body)
	}
	if _, err := patch(t, server.Config, "ballast-0", `{"data":{"b":"c"}}`); err != nil {
		t.Errorf("a small update: %v", err)
	}
	if err := configMaps(server.Config).Delete(t.Context(), "ballast-0", metav1.DeleteOptions{}); err != nil {
		t.Errorf("a delete: %v", err)
	}
	kit.Eventually(t, "the log names the disk", func(context.Context) bool {
		return strings.Contains(server.Stderr(), "Disk of the data directory is nearly full, so creates are refused. The quota of the database is not the reason")
	})
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	wantReady(t, server.Config)
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
