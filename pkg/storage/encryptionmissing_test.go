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
	"context"
	"errors"
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apistorage "k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/value"
)

// oneObject is a storage of one object, which is read as it is now.
type oneObject struct {
	apistorage.Interface
	cured value.Transformer
	data  []byte // nil if it does not exist
	err   error
}

func (o *oneObject) Get(ctx context.Context, key string, _ apistorage.GetOptions, _ runtime.Object) error {
	if o.err != nil {
		return o.err
	}
	if key != "/secrets/a/b" || o.data == nil {
		return apistorage.NewKeyNotFoundError(key, 0)
	}
	_, _, err := o.cured.TransformFromStorage(ctx, o.data, value.DefaultContext(Prefix+key))
	return err
}

func TestAServerThatLacksTheKeyOfAnObjectIsNotReadyUntilTheObjectCanBeReadOrIsGone(t *testing.T) {
	resource, at := schema.GroupResource{Resource: "secrets"}, value.DefaultContext(Prefix+"/secrets/a/b")
	stored := func(providers string) []byte {
		data, err := transformer(t, providers).TransformToStorage(t.Context(), []byte("content"), at)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	older, newer := keysOfProvider("secretbox", "older", keyOne), keysOfProvider("secretbox", "newer", keyTwo)
	for _, test := range []struct {
		name    string
		read    []byte // what the failed read has read
		now     []byte
		reading error
		later   string // the providers at the check
		ready   bool
	}{
		{"the file lacks the key of an object", stored(older), stored(older), nil, newer, false},
		{"the file has the key again", stored(older), stored(older), nil, newer + older, true},
		{"the object is deleted", stored(older), nil, nil, newer, true},
		{"only a former version was written with the key", stored(older), stored(newer), nil, newer, true},
		{"the object cannot be read again", stored(older), nil, errors.New("etcd is down"), newer, false},
		{"an object is damaged", stored(keysOfProvider("secretbox", "newer", keyOne)), stored(keysOfProvider("secretbox", "newer", keyOne)), nil, newer, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, checks := NewEncryption(t.Context(), &plugin{}, nil)
			before := curedTransformer{transformer(t, newer), resource, e}
			store := &oneObject{cured: curedTransformer{transformer(t, test.later), resource, e}, data: test.now, err: test.reading}
			e.readers[resource] = reader{store, func() runtime.Object { return &corev1.Secret{} }, Prefix}
			if _, _, err := before.TransformFromStorage(t.Context(), test.read, at); err == nil {
				t.Fatal("the value can be read")
			}
			for range 2 {
				if err := checks[0].Check((&http.Request{}).WithContext(t.Context())); (err == nil) != test.ready {
					t.Errorf("ready: %v", err)
				}
			}
		})
	}
}
