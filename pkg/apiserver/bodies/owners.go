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

package bodies

import (
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// MaxOwners is how many owner references are decoded. Validation allows fewer; but before it
// runs, k8s.io/apiserver compares each reference with every other of the same uid
// (dedupOwnerReferences in pkg/endpoints/handlers/rest.go).
const MaxOwners = 1000

// WithBoundedOwners returns a serializer with decoders that refuse objects with more than MaxOwners owners
// with a 400. It covers creates, updates, JSON patches and merge patches in every media type.
func WithBoundedOwners(serializer runtime.NegotiatedSerializer) runtime.NegotiatedSerializer {
	return boundedOwners{serializer}
}

type boundedOwners struct{ runtime.NegotiatedSerializer }

// DecoderToVersion wraps the decoder.
func (b boundedOwners) DecoderToVersion(decoder runtime.Decoder, gv runtime.GroupVersioner) runtime.Decoder {
	return ownerCounter{b.NegotiatedSerializer.DecoderToVersion(decoder, gv)}
}

type ownerCounter struct{ runtime.Decoder }

// Decode decodes and counts.
func (c ownerCounter) Decode(data []byte, defaults *schema.GroupVersionKind, into runtime.Object) (runtime.Object, *schema.GroupVersionKind, error) {
	object, kind, err := c.Decoder.Decode(data, defaults, into)
	if object == nil {
		return object, kind, err
	}
	if metadata, accessErr := apimeta.Accessor(object); accessErr == nil {
		if owners := len(metadata.GetOwnerReferences()); owners > MaxOwners {
			return nil, kind, apierrors.NewBadRequest(fmt.Sprintf("metadata.ownerReferences: has %d items, more than %d are not read", owners, MaxOwners))
		}
	}
	return object, kind, err
}
