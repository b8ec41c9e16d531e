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
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// ReadStored decrypts the stored value of a key and verifies its checksum, as a server does when it reads the object.
// transformers may be nil: then encrypted values are errors. An error names the key of encryption that is missing.
func ReadStored(ctx context.Context, transformers value.ResourceTransformers, resource schema.GroupResource, key string, data []byte) ([]byte, error) {
	// The library's default, which refuses encrypted values.
	next := identity.NewEncryptCheckTransformer()
	if transformers != nil {
		next = transformers.TransformerForResource(resource)
	}
	plain, _, err := checksumTransformer{explained{next}}.TransformFromStorage(ctx, data, value.DefaultContext(key))
	return plain, err
}

// explained adds the cure to the errors of reading with a transformer.
type explained struct{ value.Transformer }

// TransformFromStorage implements value.Transformer.
func (t explained) TransformFromStorage(ctx context.Context, data []byte, at value.Context) ([]byte, bool, error) {
	out, stale, err := t.Transformer.TransformFromStorage(ctx, data, at)
	if err != nil {
		err = fmt.Errorf("it cannot be decrypted: %s: %w", explain(data, err), err)
	}
	return out, stale, err
}
