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
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/kubernetes"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apiserver/pkg/apis/example"
	examplev1 "k8s.io/apiserver/pkg/apis/example/v1"
	"k8s.io/apiserver/pkg/features"
	"k8s.io/apiserver/pkg/registry/generic"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/feature"
	storagetesting "k8s.io/apiserver/pkg/storage/testing"
	"k8s.io/apiserver/pkg/storage/value"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/tools/cache"
	"k8s.io/component-base/featuregate"
	featuregatetesting "k8s.io/component-base/featuregate/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/space"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// pods is the resource of the suites. Its prefix ends with a slash, as in the library's tests:
// KeySchema expects a key without it to be refused.
const pods = "/pods/"

// protobufCodec stores example pods as the server stores its objects.
var protobufCodec = func() runtime.Codec {
	scheme := exampleScheme()
	pb := protobuf.NewSerializer(scheme, scheme)
	return serializer.NewCodecFactory(scheme).CodecForVersions(pb, pb, schema.GroupVersions{examplev1.SchemeGroupVersion}, nil)
}()

// setup defines how the storage of a suite is built.
type setup struct {
	prefix   string
	codec    runtime.Codec
	gates    map[featuregate.Feature]bool
	keys     func(runtime.Object) (string, error)
	triggers apistorage.IndexerFuncs
	indexers cache.Indexers
	// wait makes Create wait until the watch cache has the object.
	wait bool
}

func gate(name featuregate.Feature, enabled bool) func(*setup) {
	return func(s *setup) { s.gates[name] = enabled }
}

// jsonCodec is for a suite that adds bytes to a stored value that JSON skips.
func jsonCodec(s *setup) {
	s.codec = serializer.NewCodecFactory(exampleScheme()).LegacyCodec(examplev1.SchemeGroupVersion)
}

// noPrefix is for a suite that expects keys in errors as they are without one.
func noPrefix(s *setup) { s.prefix = "" }

func clusterScoped(s *setup) {
	s.keys = func(object runtime.Object) (string, error) { return apistorage.NoNamespaceKeyFunc(pods, object) }
}

var (
	noUnsafeDeletion   = []func(*setup){gate(features.AllowUnsafeMalformedObjectDeletion, false)}
	unsafeDeletion     = []func(*setup){gate(features.AllowUnsafeMalformedObjectDeletion, true)}
	waitingForTheCache = []func(*setup){func(s *setup) { s.wait = true }}
	indexed            = []func(*setup){func(s *setup) {
		s.triggers = apistorage.IndexerFuncs{"spec.nodeName": func(object runtime.Object) string { return object.(*example.Pod).Spec.NodeName }}
		s.indexers = cache.Indexers{
			"f:spec.nodeName":      func(object any) ([]string, error) { return []string{object.(*example.Pod).Spec.NodeName}, nil },
			"f:metadata.namespace": func(object any) ([]string, error) { return []string{object.(*example.Pod).Namespace}, nil },
		}
	}}
)

// subject is the storage that a suite tests: built by InProcess on a separate etcd, with
// checksums and the errors of a full database, as the server builds its storages.
type subject struct {
	apistorage.Interface
	setup       setup
	kind        kind
	client      *clientv3.Client
	transformer *transformer
	// stored is the whole transformer, with checksums.
	stored   value.Transformer
	recorder *storagetesting.KubernetesRecorder
	reads    *atomic.Uint64
}

func newSubject(t *testing.T, kind kind, change []func(*setup)) *subject {
	t.Helper()
	s := &subject{kind: kind, reads: &atomic.Uint64{}, recorder: storagetesting.NewKubernetesRecorder(nothing{}), transformer: newTransformer()}
	s.setup = setup{prefix: storage.Prefix, codec: protobufCodec, gates: map[featuregate.Feature]bool{}, keys: func(object runtime.Object) (string, error) {
		return apistorage.NamespaceKeyFunc(pods, object)
	}}
	for _, change := range change {
		change(&s.setup)
	}
	for name, enabled := range s.setup.gates {
		featuregatetesting.SetFeatureGateDuringTest(t, utilfeature.DefaultFeatureGate, name, enabled)
	}
	freshFeatureChecker(t)
	// A part that several cached objects share must not change: see sharing.
	t.Setenv("KUBE_CACHE_MUTATION_DETECTOR", "true")

	options, server := connected(t)
	s.client = server.NewClient()
	t.Cleanup(func() { _ = s.client.Close() })
	options.EnableWatchCache = kind == cached
	config := options.StorageConfig.ForResource(schema.GroupResource{Resource: "pods"})
	config.Prefix, config.Codec, config.Transformer = s.setup.prefix, s.setup.codec, s.transformer
	// Leases are reused for a minute, and the suites wait for the end of one.
	config.LeaseManagerConfig.ReuseDurationSeconds = 1

	getter, err := storage.InProcess(storage.WithChecksums(generic.RESTOptions{StorageConfig: config}), options, recordingEtcd{server, s})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := storage.WithSpace(getter, space.NewLocal(t.Context(), server, storage.Prefix, nil)).GetRESTOptions(config.GroupResource, newPod())
	if err != nil {
		t.Fatal(err)
	}
	s.stored = rest.StorageConfig.Transformer
	store, destroy, err := rest.Decorator(rest.StorageConfig, pods, s.setup.keys, newPod, newPodList, attributes, s.setup.triggers, &s.setup.indexers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	s.Interface = store
	kit.Eventually(t, "the storage is ready", func(context.Context) bool { return store.ReadinessCheck() == nil })
	kit.Eventually(t, "progress requests are detected", func(context.Context) bool {
		return feature.DefaultFeatureSupportChecker.Supports(apistorage.RequestWatchProgress)
	})
	return s
}

// Create waits for the watch cache if the suite expects a watch to show the object at once.
func (s *subject) Create(ctx context.Context, key string, object, out runtime.Object, ttl uint64) error {
	if err := s.Interface.Create(ctx, key, object, out, ttl); err != nil || !s.setup.wait {
		return err
	}
	for ctx.Err() == nil {
		seen := newPod()
		err := s.Get(ctx, key, apistorage.GetOptions{ResourceVersion: "0"}, seen)
		if err == nil && apiequality.Semantic.DeepEqual(seen, out) || err != nil && !apistorage.IsNotFound(err) {
			return err
		}
	}
	return ctx.Err()
}

// UpdatePrefixTransformer implements storagetesting.InterfaceWithPrefixTransformer.
func (s *subject) UpdatePrefixTransformer(modify storagetesting.PrefixTransformerModifier) func() {
	changed := *s.transformer.prefix
	return s.transformer.replace(modify(&changed))
}

// UpdateTransformer implements storagetesting.InterfaceWithTransformerOverride.
func (s *subject) UpdateTransformer(modify storagetesting.TransformerModifier) func() {
	return s.transformer.replace(modify(s.transformer.prefix))
}

// validateKey is a storagetesting.KeyValidation: a stored object has neither a version nor a link.
func (s *subject) validateKey(ctx context.Context, t *testing.T, key string) {
	t.Helper()
	response, err := s.client.Get(ctx, s.setup.prefix+key)
	if err != nil || len(response.Kvs) != 1 {
		t.Fatalf("%s: got %v (%v)", key, response, err)
	}
	data, _, err := s.stored.TransformFromStorage(ctx, response.Kvs[0].Value, value.DefaultContext(s.setup.prefix+key))
	if err != nil {
		t.Fatal(err)
	}
	object, err := runtime.Decode(protobufCodec, data)
	if err != nil {
		t.Fatal(err)
	}
	if version := object.(*example.Pod).ResourceVersion; version != "" {
		t.Errorf("%s is stored with resourceVersion %q", key, version)
	}
}

// validateCalls is a storagetesting.CallsValidation: pages double, as in the library's own test.
func (s *subject) validateCalls(t *testing.T, pageSize, processed uint64) {
	t.Helper()
	if s.kind == cached {
		return
	}
	if reads := s.transformer.prefix.GetReadsAndReset(); reads != processed {
		t.Errorf("%d values were transformed, want %d", reads, processed)
	}
	want := uint64(1)
	if pageSize != 0 {
		const maxPage = 10000
		for sum, page := uint64(1), pageSize; sum < processed; want++ {
			page = min(2*page, maxPage)
			sum += page
		}
	}
	if reads := s.reads.Swap(0); reads != want {
		t.Errorf("etcd was read %d times, want %d", reads, want)
	}
}

// compact is a storagetesting.Compaction. It waits until the storage has seen the compaction.
func (s *subject) compact(ctx context.Context, t *testing.T, resourceVersion string) {
	t.Helper()
	revision, err := strconv.ParseInt(resourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	// The first call may lose against the record of an earlier compaction, which it returns.
	seen, _, _, err := etcd3.Compact(ctx, s.client, 0, revision)
	if err != nil {
		_, _, _, err = etcd3.Compact(ctx, s.client, seen, revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	if utilfeature.DefaultFeatureGate.Enabled(features.ListFromCacheSnapshot) {
		kit.Eventually(t, "the compaction is seen", func(context.Context) bool { return s.CompactRevision() == revision })
	}
}

// increaseRevision is a storagetesting.IncreaseRVFunc.
func (s *subject) increaseRevision(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	response, err := s.client.Put(ctx, "increaseRV", "ok")
	if err != nil {
		t.Fatal(err)
	}
	return response.Header.Revision
}

func attributes(object runtime.Object) (labels.Set, fields.Set, error) {
	pod := object.(*example.Pod)
	return pod.Labels, fields.Set{
		"metadata.name": pod.Name, "metadata.namespace": pod.Namespace,
		"spec.nodeName": pod.Spec.NodeName, "spec.restartPolicy": string(pod.Spec.RestartPolicy), "status.phase": string(pod.Status.Phase),
	}, nil
}

// recordingEtcd counts what the storages of a suite read.
type recordingEtcd struct {
	*embedded.Server
	subject *subject
}

func (r recordingEtcd) NewClient() *clientv3.Client {
	client := r.Server.NewClient()
	client.KV = recordingKV{client.KV, r.subject}
	return client
}

type recordingKV struct {
	clientv3.KV
	subject *subject
}

func (r recordingKV) Get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	r.subject.reads.Add(1)
	if op := clientv3.OpGet(key, options...); len(op.RangeBytes()) > 0 {
		_, _ = r.subject.recorder.List(ctx, key, kubernetes.ListOptions{Revision: op.Rev(), Limit: op.Limit()})
	}
	return r.KV.Get(ctx, key, options...)
}

// nothing is a client that returns nothing: the recorder only records.
type nothing struct{ kubernetes.Interface }

func (nothing) List(context.Context, string, kubernetes.ListOptions) (kubernetes.ListResponse, error) {
	return kubernetes.ListResponse{}, nil
}

// transformer is a value.Transformer that suites replace or break.
type transformer struct {
	prefix  *storagetesting.PrefixTransformer
	failing atomic.Bool

	mu  sync.RWMutex
	now value.Transformer
}

func newTransformer() *transformer {
	prefix := storagetesting.NewPrefixTransformer([]byte("test!"), false)
	return &transformer{prefix: prefix, now: prefix}
}

func (r *transformer) setFailing(failing bool) { r.failing.Store(failing) }

func (r *transformer) replace(by value.Transformer) func() {
	r.set(by)
	return func() { r.set(r.prefix) }
}

func (r *transformer) set(now value.Transformer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = now
}

func (r *transformer) get() value.Transformer {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.now
}

// TransformFromStorage implements value.Transformer.
func (r *transformer) TransformFromStorage(ctx context.Context, data []byte, at value.Context) ([]byte, bool, error) {
	if r.failing.Load() {
		return nil, false, errCorrupt
	}
	return r.get().TransformFromStorage(ctx, data, at)
}

// TransformToStorage implements value.Transformer.
func (r *transformer) TransformToStorage(ctx context.Context, data []byte, at value.Context) ([]byte, error) {
	return r.get().TransformToStorage(ctx, data, at)
}
