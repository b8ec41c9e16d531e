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

package space

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	// pageBytes is the size of keys and values that a page of a count aims at.
	pageBytes = 4 << 20
	// firstPage, minPage and maxPage are numbers of keys. A page of the largest objects, 3 MB, after one of small
	// ones has at most 300 MB.
	firstPage, minPage, maxPage = 32, 4, 100

	// OtherKeys stands for the keys of etcd that are not objects.
	OtherKeys = "(other keys)"

	// keyOverhead is an estimate of what etcd stores of a key besides key and value: versions, lease, and the
	// page of the database.
	keyOverhead = 128
)

// Usage is what the current versions of all keys take, in bytes.
type Usage struct {
	// Resources has the largest first.
	Resources      []ResourceUsage
	Objects, Bytes int64
}

// ResourceUsage is what the objects of a resource take: the bytes of keys and values.
type ResourceUsage struct {
	// Resource has the form apps.fleet.gatehouse.dev, or is OtherKeys.
	Resource       string
	Objects, Bytes int64
	// Largest is the key of the largest object.
	Largest      string
	LargestBytes int64
}

// Usage reads all keys in pages, without the quorum: it works while members are missing. Objects that change during
// the count may be counted before or after the change.
func (e *Etcd) Usage(ctx context.Context, prefix string) (*Usage, error) {
	client, err := e.any(ctx)
	if err != nil {
		return nil, err
	}
	u, found, limit := &Usage{}, map[string]*ResourceUsage{}, int64(firstPage)
	for key := "\x00"; ; {
		page, err := client.Get(ctx, key, clientv3.WithFromKey(), clientv3.WithLimit(limit), clientv3.WithSerializable())
		if err != nil {
			return nil, fmt.Errorf("reading the keys of etcd: %w", err)
		}
		bytes := u.add(found, prefix, page.Kvs)
		if !page.More {
			break
		}
		limit = nextPage(limit, bytes)
		key = string(page.Kvs[len(page.Kvs)-1].Key) + "\x00"
	}
	for _, r := range found {
		u.Resources = append(u.Resources, *r)
	}
	slices.SortFunc(u.Resources, func(a, b ResourceUsage) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Resource, b.Resource))
	})
	return u, nil
}

// add counts a page and returns its bytes.
func (u *Usage) add(found map[string]*ResourceUsage, prefix string, page []*mvccpb.KeyValue) int64 {
	before := u.Bytes
	for _, kv := range page {
		key, bytes := string(kv.Key), int64(len(kv.Key)+len(kv.Value))
		resource := OtherKeys
		if strings.HasPrefix(key, prefix+"/") {
			resource = storage.ResourceOf(prefix, key)
		}
		r := found[resource]
		if r == nil {
			r = &ResourceUsage{Resource: resource}
			found[resource] = r
		}
		r.Objects, r.Bytes = r.Objects+1, r.Bytes+bytes
		u.Objects, u.Bytes = u.Objects+1, u.Bytes+bytes
		if bytes > r.LargestBytes {
			r.Largest, r.LargestBytes = key, bytes
		}
	}
	return u.Bytes - before
}

// nextPage returns the number of keys of the next page, by the size of the last one. It at most doubles, so that
// large objects after small ones do not all arrive in one page.
func nextPage(last, bytes int64) int64 {
	average := max(1, bytes/max(1, last))
	return min(max(pageBytes/average, minPage), 2*last, maxPage)
}

// needed estimates the size of a database that has only the current versions, after a defragmentation.
func (u *Usage) needed() int64 { return u.Bytes + u.Bytes/20 + u.Objects*keyOverhead }

// Largest returns the three resources that take most, for a message, or an empty string if there are no keys.
func (u *Usage) Largest() string {
	if u == nil || u.Bytes == 0 {
		return ""
	}
	var parts []string
	for _, r := range u.Resources[:min(3, len(u.Resources))] {
		parts = append(parts, fmt.Sprintf("%s %s (%d %%)", r.Resource, Bytes(r.Bytes), r.Bytes*100/u.Bytes))
	}
	return strings.Join(parts, ", ")
}

// Bytes writes a size, in the units of kubectl: 19.5 MiB.
func Bytes(n int64) string {
	size, unit := float64(n), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if size < 1024 {
			break
		}
		size, unit = size/1024, larger
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
