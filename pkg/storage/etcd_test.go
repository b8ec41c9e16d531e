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

package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/feature"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// patience bounds every wait for a condition; only a failing test waits that long.
const patience = 60 * time.Second

func TestTheDefaultsAreProtobufBelowRegistryWithAllCachesOn(t *testing.T) {
	options := storage.NewOptions()
	if options.DefaultStorageMediaType != "application/vnd.kubernetes.protobuf" {
		t.Errorf("the media type is %s", options.DefaultStorageMediaType)
	}
	if options.StorageConfig.Prefix != "/registry" {
		t.Errorf("the prefix is %s", options.StorageConfig.Prefix)
	}
	if !options.EnableWatchCache || !options.EnableGarbageCollection || options.SkipHealthEndpoints {
		t.Errorf("watch cache %v, garbage collection %v, skip health endpoints %v",
			options.EnableWatchCache, options.EnableGarbageCollection, options.SkipHealthEndpoints)
	}
	if len(options.Validate()) == 0 {
		t.Error("options without an endpoint are valid")
	}
}

func TestConnectSetsTheEndpointsAndTheFiles(t *testing.T) {
	to := storage.Connection{
		Endpoints: []string{"https://a:2379", "https://b:2379", "https://c:2379"},
		CAFile:    "ca", CertFile: "cert", KeyFile: "key",
	}
	options := storage.NewOptions()
	storage.Connect(options, to)
	got := options.StorageConfig.Transport
	if fmt.Sprint(got.ServerList) != fmt.Sprint(to.Endpoints) || got.TrustedCAFile != "ca" || got.CertFile != "cert" || got.KeyFile != "key" {
		t.Errorf("got %+v", got)
	}
	if errs := options.Validate(); len(errs) > 0 {
		t.Errorf("not valid: %v", errs)
	}
	to.Endpoints[0] = "changed"
	if got.ServerList[0] == "changed" {
		t.Error("the options share the caller's slice")
	}
}

// The rest runs the library's own clients against the embedded etcd: all their requests
// must work over the unix socket.

func TestTheHealthChecksWork(t *testing.T) {
	options, _ := connected(t)
	for name, create := range map[string]func(storagebackend.Config, <-chan struct{}) (func() error, error){
		"health": factory.CreateHealthCheck, "readiness": factory.CreateReadyCheck,
	} {
		check, err := create(options.StorageConfig, t.Context().Done())
		if err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, name+" check passes", func(context.Context) bool { return check() == nil })
	}
}

func TestTheSizeOfTheDatabaseCanBeMonitored(t *testing.T) {
	options, _ := connected(t)
	monitor, err := factory.CreateMonitor(options.StorageConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	metrics, err := monitor.Monitor(t.Context())
	if err != nil || metrics.Size <= 0 {
		t.Errorf("got a size of %d (%v)", metrics.Size, err)
	}
}

func TestTheLibraryCompactsTheHistory(t *testing.T) { bothWays(t, compactsTheHistory) }

func compactsTheHistory(t *testing.T, way way) {
	options, server := connected(t)
	options.StorageConfig.CompactionInterval = 10 * time.Millisecond
	store := way(t, options, server, nil)
	create(t, store, "first")

	client, err := clientv3.New(clientv3.Config{Endpoints: server.Endpoints(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	kit.Eventually(t, "the first revision is gone", func(context.Context) bool {
		put(t, client)
		_, err := client.Get(t.Context(), "any", clientv3.WithRev(1))
		return errors.Is(err, rpctypes.ErrCompacted)
	})
}

func TestProgressRequestsAreDetectedAndAnswered(t *testing.T) { bothWays(t, answersProgressRequests) }

func answersProgressRequests(t *testing.T, way way) {
	options, server := connected(t)
	store := way(t, options, server, nil)
	kit.Eventually(t, "the feature is detected", func(context.Context) bool {
		return feature.DefaultFeatureSupportChecker.Supports(apistorage.RequestWatchProgress)
	})
	created := create(t, store, "first")

	watcher, err := store.Watch(t.Context(), "/pods/", apistorage.ListOptions{
		ResourceVersion: created.ResourceVersion, Recursive: true, ProgressNotify: true, Predicate: everything(),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer watcher.Stop()
	// etcd reports progress only after a write since the watch began.
	create(t, store, "second")
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		for event := range watcher.ResultChan() {
			if event.Type == watch.Bookmark {
				return
			}
		}
	}()
	kit.Eventually(t, "a progress request is answered", func(context.Context) bool {
		if err := store.RequestWatchProgress(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-seen:
			return true
		default:
			return false
		}
	})
}

func TestListsAreConsistentAndWatchesStreamThemThroughTheCache(t *testing.T) {
	bothWays(t, listsConsistently)
}

func listsConsistently(t *testing.T, way way) {
	options, server := connected(t)
	store := way(t, options, server, func(object runtime.Object) (string, error) {
		return "/pods/" + object.(*example.Pod).Namespace + "/" + object.(*example.Pod).Name, nil
	})
	kit.Eventually(t, "the cache is ready", func(context.Context) bool { return store.ReadinessCheck() == nil })

	// A list without a version must show every write that came before it.
	for i := range 20 {
		create(t, store, fmt.Sprintf("pod-%d", i))
		list := &example.PodList{}
		err := store.GetList(t.Context(), "/pods/", apistorage.ListOptions{Recursive: true, Predicate: everything()}, list)
		if err != nil || len(list.Items) != i+1 {
			t.Fatalf("after %d creates a list has %d items (%v)", i+1, len(list.Items), err)
		}
	}

	yes, predicate := true, everything()
	predicate.AllowWatchBookmarks = true
	watcher, err := store.Watch(t.Context(), "/pods/", apistorage.ListOptions{
		Recursive: true, Predicate: predicate, SendInitialEvents: &yes,
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatalf("a watch that sends initial events is refused: %v", err)
	}
	defer watcher.Stop()
	added, deadline := 0, time.After(patience)
	for {
		select {
		case event := <-watcher.ResultChan():
			switch event.Type {
			case watch.Added:
				added++
				continue
			case watch.Bookmark:
				if added != 20 {
					t.Errorf("%d initial events before the bookmark, want 20", added)
				}
				return
			}
			t.Fatalf("unexpected event %v", event)
		case <-deadline:
			t.Fatalf("no bookmark after %d initial events", added)
		}
	}
}

// way creates a storage of pods, with a watch cache if there is a function for its keys.
type way func(t *testing.T, options *genericoptions.EtcdOptions, server *embedded.Server, keys func(runtime.Object) (string, error)) apistorage.Interface

// bothWays runs a test on the library's own clients and on those in the process. The features of etcd
// that one has detected must not help the other.
func bothWays(t *testing.T, test func(*testing.T, way)) {
	for name, way := range map[string]way{"over its socket": overSocket, "in the process": inProcess} {
		t.Run(name, func(t *testing.T) {
			freshFeatureChecker(t)
			test(t, way)
		})
	}
}

// freshFeatureChecker forgets which features of etcd other tests have detected.
func freshFeatureChecker(t *testing.T) {
	before := feature.DefaultFeatureSupportChecker
	feature.DefaultFeatureSupportChecker = feature.NewDefaultFeatureSupportChecker()
	t.Cleanup(func() { feature.DefaultFeatureSupportChecker = before })
}

func overSocket(t *testing.T, options *genericoptions.EtcdOptions, _ *embedded.Server, keys func(runtime.Object) (string, error)) apistorage.Interface {
	t.Helper()
	if keys == nil {
		return newRawStore(t, options)
	}
	return decorated(t, options, genericregistry.StorageWithCacher(), keys)
}

func inProcess(t *testing.T, options *genericoptions.EtcdOptions, server *embedded.Server, keys func(runtime.Object) (string, error)) apistorage.Interface {
	t.Helper()
	cached := *options
	cached.EnableWatchCache = keys != nil
	getter, err := storage.InProcess(generic.RESTOptions{}, &cached, server)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := getter.GetRESTOptions(schema.GroupResource{Resource: "pods"}, newPod())
	if err != nil {
		t.Fatal(err)
	}
	return decorated(t, options, rest.Decorator, keys)
}

func decorated(t *testing.T, options *genericoptions.EtcdOptions, decorator generic.StorageDecorator, keys func(runtime.Object) (string, error)) apistorage.Interface {
	t.Helper()
	store, destroy, err := decorator(options.StorageConfig.ForResource(schema.GroupResource{Resource: "pods"}), "/pods",
		keys, newPod, newPodList, apistorage.DefaultNamespaceScopedAttr, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	return store
}

// connected returns options that point at an embedded etcd of this test.
func connected(t *testing.T) (*genericoptions.EtcdOptions, *embedded.Server) {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Config{DataDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	options := storage.NewOptions()
	storage.Connect(options, storage.Connection{Endpoints: server.Endpoints()})
	if errs := options.Validate(); len(errs) > 0 {
		t.Fatalf("not valid: %v", errs)
	}
	options.StorageConfig.Codec = serializer.NewCodecFactory(exampleScheme()).LegacyCodec(examplev1.SchemeGroupVersion)
	return options, server
}

// exampleScheme returns a scheme with the library's example pods.
func exampleScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(example.AddToScheme(scheme))
	utilruntime.Must(examplev1.AddToScheme(scheme))
	return scheme
}

func newRawStore(t *testing.T, options *genericoptions.EtcdOptions) apistorage.Interface {
	t.Helper()
	store, destroy, err := factory.Create(*options.StorageConfig.ForResource(schema.GroupResource{Resource: "pods"}), newPod, newPodList, "/pods")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	return store
}

func create(t *testing.T, store apistorage.Interface, name string) *example.Pod {
	t.Helper()
	pod := &example.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}}
	created := &example.Pod{}
	if err := store.Create(t.Context(), "/pods/default/"+name, pod, created, 0); err != nil {
		t.Fatal(err)
	}
	return created
}

func put(t *testing.T, client *clientv3.Client) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := client.Put(ctx, "any", "value"); err != nil {
		t.Fatal(err)
	}
}

func newPod() runtime.Object     { return &example.Pod{} }
func newPodList() runtime.Object { return &example.PodList{} }

func everything() apistorage.SelectionPredicate {
	return apistorage.SelectionPredicate{
		Label: labels.Everything(), Field: fields.Everything(), GetAttrs: apistorage.DefaultNamespaceScopedAttr,
	}
}
