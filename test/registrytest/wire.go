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

package registrytest

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

// protobufMagic is the prefix of everything that Kubernetes encodes in protobuf.
var protobufMagic = []byte("k8s\x00")

// checkStored reads the sample from etcd directly. The key and the encoding of an object
// can never change once data is stored.
func (c *contract) checkStored(t *testing.T, r Resource, store *base.Store) {
	answer, err := c.etcd.Client.Get(t.Context(), r.Key)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Kvs) != 1 {
		t.Fatalf("etcd has no key %s; it has %v", r.Key, c.keys(t))
	}
	raw := answer.Kvs[0].Value
	if !bytes.HasPrefix(raw, protobufMagic) {
		t.Fatalf("%s is not stored in protobuf: it begins %q", r.Key, raw[:min(len(raw), 20)])
	}
	var unknown runtime.Unknown
	if err := unknown.Unmarshal(raw[len(protobufMagic):]); err != nil {
		t.Fatal(err)
	}
	newest := c.Scheme.PrioritizedVersionsForGroup(c.Name)[0]
	if want := newest.WithKind(r.Kind); unknown.GroupVersionKind() != want {
		t.Errorf("%s is stored as %v, want %v", r.Key, unknown.GroupVersionKind(), want)
	}
	below := store.Storage.Storage
	if wrapped, ok := below.(interface{ Unwrap() apistorage.Interface }); ok {
		below = wrapped.Unwrap()
	}
	if _, cached := below.(*cacher.CacheDelegator); !cached {
		t.Errorf("reads are answered by %T and not by a watch cache", below)
	}

	stored, err := runtime.Decode(c.Codecs.UniversalDecoder(), raw)
	if err != nil {
		t.Fatal(err)
	}
	accessor(stored).SetResourceVersion("")
	for version, options := range map[string]*metav1.GetOptions{"etcd": {}, "the watch cache": {ResourceVersion: "0"}} {
		got, err := store.Get(c.context(r, "", "get"), accessor(r.Sample()).GetName(), options)
		if err != nil {
			t.Fatal(err)
		}
		accessor(got).SetResourceVersion("")
		if !apiequality.Semantic.DeepEqual(got, stored) {
			t.Errorf("the response of %s differs from the stored object:\n%s", version, cmp.Diff(stored, got))
		}
	}
}

// checkWire sends random objects of every kind of the resource through every version.
func (c *contract) checkWire(t *testing.T, r Resource) {
	kinds := []string{r.Kind, r.Kind + "List"}
	fixtures := []string{r.Kind}
	for _, s := range r.Subresources {
		if s.Kind != r.Kind && !s.Foreign {
			kinds = append(kinds, s.Kind)
			fixtures = append(fixtures, s.Kind)
		}
		if s.Options != "" {
			kinds = append(kinds, s.Options)
			fixtures = append(fixtures, s.Options)
		}
	}
	if c.Builtin {
		for _, kind := range kinds {
			c.roundTrip(t, kind)
		}
		return
	}
	for _, kind := range kinds {
		hub := schema.GroupVersionKind{Group: c.Name, Version: runtime.APIVersionInternal, Kind: kind}
		roundtrip.RoundTripSpecificKind(t, hub, c.Scheme, c.Codecs, c.filler, nil)
	}
	for version := range c.versions {
		for _, kind := range fixtures {
			for _, format := range []string{"json", "yaml", "pb"} {
				name := filepath.Join(c.Fixtures, c.Name+"."+version+"."+kind+"."+format)
				if info, err := os.Stat(name); err != nil || info.Size() == 0 {
					t.Errorf("%s has no wire fixture %s: run UPDATE_COMPATIBILITY_FIXTURE_DATA=true go test in the group's package below pkg/apis, and add the new files", kind, name)
				}
			}
		}
	}
}

// roundTrip encodes and decodes random objects of a kind with the wire type as its hub, because
// the library's own test needs a conversion. Defaulting and normalization
// must have the same result the second time.
func (c *contract) roundTrip(t *testing.T, kind string) {
	version := c.Scheme.PrioritizedVersionsForGroup(c.Name)[0]
	for _, info := range c.Codecs.SupportedMediaTypes() {
		if info.MediaType == runtime.ContentTypeCBOR {
			continue // not enabled in any server
		}
		encoder := c.Codecs.EncoderForVersion(info.Serializer, version)
		decoder := c.Codecs.DecoderToVersion(info.Serializer, schema.GroupVersion{Group: c.Name, Version: runtime.APIVersionInternal})
		for range fills {
			obj, err := c.Scheme.New(version.WithKind(kind))
			if err != nil {
				t.Fatal(err)
			}
			c.filler.Fill(obj)
			c.Scheme.Default(obj)
			obj.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			before := obj.DeepCopyObject()
			data, err := runtime.Encode(encoder, obj)
			if err != nil {
				t.Fatalf("%s as %s: %v", kind, info.MediaType, err)
			}
			after, err := runtime.Decode(decoder, data)
			if err != nil {
				t.Fatalf("%s as %s: %v", kind, info.MediaType, err)
			}
			after.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			if !apiequality.Semantic.DeepEqual(before, after) {
				t.Errorf("%s as %s does not come back as it was (-before +after):\n%s", kind, info.MediaType, cmp.Diff(before, after))
			}
		}
	}
}

func (c *contract) keys(t *testing.T) []string {
	t.Helper()
	answer, err := c.etcd.Client.Get(t.Context(), "", clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, kv := range answer.Kvs {
		keys = append(keys, string(kv.Key))
	}
	return keys
}

// checkKeys searches for keys outside of the directories of the samples.
func (c *contract) checkKeys(t *testing.T) {
	for _, key := range c.keys(t) {
		known := false
		for _, r := range c.Resources {
			directory := storage.Prefix + "/" + c.Name + "/" + r.Name + "/"
			if c.Builtin {
				directory = storage.Prefix + "/" + r.Name + "/"
			}
			known = known || strings.HasPrefix(key, directory)
			if !strings.HasPrefix(r.Key, directory) {
				t.Errorf("%s has the key %s outside of %s", r.Name, r.Key, directory)
			}
		}
		if !known {
			t.Errorf("etcd has a key %s of no resource", key)
		}
	}
}
