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
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage/value"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
)

// Every value that is stored as protobuf ends with a checksum of the key and the value, and every
// read verifies it: bbolt, below etcd, has checksums of its two meta pages only, and returns a page
// with flipped bits as it is.
//
// The checksum is a field of the protobuf message runtime.Unknown, in which Kubernetes stores each
// object. No version of Kubernetes uses its number, and decoders skip unknown fields: earlier
// versions of this server, and tools that read etcd, can read these values, and this server can
// read theirs. See docs/decisions/0012-checksums.md.
const (
	// checksumField is the number of the field, the last one that takes two bytes.
	checksumField = 2047
	wireBytes     = 2 // length-delimited
)

var (
	// protobufMagic is the prefix of values that Kubernetes stores as protobuf.
	protobufMagic = []byte("k8s\x00")
	// checksumHead is the tag of the field, its length, and a mark that distinguishes it from
	// another use of the same number.
	checksumHead = append(binary.AppendUvarint(nil, checksumField<<3|wireBytes), 8, 'g', 'h', 'c', '1')
	castagnoli   = crc32.MakeTable(crc32.Castagnoli)
)

// checksumSize is the number of bytes that the checksum adds to a value.
var checksumSize = len(checksumHead) + crc32.Size

// WithChecksums returns a getter of storages that add a checksum to each value that they write and
// verify that of each value that they read. Encryption at rest encrypts the checksum with the object.
func WithChecksums(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return checksummed{getter}
}

type checksummed struct{ generic.RESTOptionsGetter }

// GetRESTOptions implements generic.RESTOptionsGetter.
func (c checksummed) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := c.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil || options.StorageConfig == nil {
		return options, err
	}
	config := *options.StorageConfig
	if config.Transformer == nil {
		// The library's default, which refuses encrypted values.
		config.Transformer = identity.NewEncryptCheckTransformer()
	}
	config.Transformer = checksumTransformer{config.Transformer}
	options.StorageConfig = &config
	return options, nil
}

type checksumTransformer struct{ next value.Transformer }

var _ value.Transformer = checksumTransformer{}

// TransformToStorage implements value.Transformer.
func (c checksumTransformer) TransformToStorage(ctx context.Context, data []byte, at value.Context) ([]byte, error) {
	if bytes.HasPrefix(data, protobufMagic) {
		sum := checksumOf(data, at)
		data = append(append(make([]byte, 0, len(data)+checksumSize), data...), checksumHead...)
		data = binary.BigEndian.AppendUint32(data, sum)
	}
	return c.next.TransformToStorage(ctx, data, at)
}

// TransformFromStorage implements value.Transformer. It accepts a value without a checksum, which an
// earlier version has written; the next write adds one.
func (c checksumTransformer) TransformFromStorage(ctx context.Context, data []byte, at value.Context) ([]byte, bool, error) {
	data, stale, err := c.next.TransformFromStorage(ctx, data, at)
	if err != nil {
		return data, stale, err
	}
	content, sum, found := cutChecksum(data)
	if !found {
		return data, stale, nil
	}
	if actual := checksumOf(content, at); actual != sum {
		return nil, false, fmt.Errorf("the stored value is damaged: its checksum is %08x and not %08x, so the disk or the memory has changed it since it was written; restore it from a backup, or delete the object as docs/damaged-data.md says", actual, sum)
	}
	return content, stale, nil
}

// checksumOf returns the checksum of a key and its value: a value under another key is damaged, too.
func checksumOf(content []byte, at value.Context) uint32 {
	return crc32.Update(crc32.Checksum(at.AuthenticatedData(), castagnoli), castagnoli, content)
}

// cutChecksum splits a value into its content and its checksum.
func cutChecksum(data []byte) (content []byte, sum uint32, found bool) {
	end := len(data) - checksumSize
	if end < len(protobufMagic) || !bytes.HasPrefix(data, protobufMagic) || !bytes.HasPrefix(data[end:], checksumHead) {
		return data, 0, false
	}
	return data[:end], binary.BigEndian.Uint32(data[end+len(checksumHead):]), true
}
