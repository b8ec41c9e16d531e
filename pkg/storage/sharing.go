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
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"os"
	"reflect"
	"strconv"
	"sync"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// sharedParts bounds the parts that a generation remembers. A fleet of a thousand releases has a few for each.
	sharedParts = 8192
	// largestPart bounds a part, in bytes of its strings and elements. Larger ones seldom repeat.
	largestPart = 4096
)

// sharing makes equal parts of the objects of a resource the same memory: slices, maps and strings of a content that
// another object has had lately. Instances of one release have the same containers, labels and owners, and most
// objects the same managedFields.
//
// The objects must belong to the caller, who may not change them afterwards: those of a watch cache, of which every
// reader that wants to change one makes a copy. Parts are remembered in two generations. One that is found in the older is
// moved to the younger, and when the younger is full, it becomes the older, so what repeats stays and all else is
// forgotten.
type sharing struct {
	seed maphash.Seed
	// detect makes a changed part panic, as the library's detector for informers does.
	detect bool

	mu         sync.Mutex
	young, old map[partKey]reflect.Value
}

// partKey identifies a part. Equal keys are compared by content.
type partKey struct {
	of   reflect.Type
	hash uint64
}

func newSharing() *sharing {
	// The variable is that of the library's own detector, for tests.
	detect, _ := strconv.ParseBool(os.Getenv("KUBE_CACHE_MUTATION_DETECTOR"))
	return &sharing{seed: maphash.MakeSeed(), detect: detect}
}

// object shares the parts of an object.
func (s *sharing) object(obj runtime.Object) {
	if value := reflect.ValueOf(obj); value.Kind() == reflect.Pointer && !value.IsNil() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.walk(value.Elem())
	}
}

// list shares the parts of the items of a list.
func (s *sharing) list(list runtime.Object) {
	items, err := apimeta.GetItemsPtr(list)
	if err != nil {
		return
	}
	value := reflect.ValueOf(items).Elem()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range value.Len() {
		s.walk(value.Index(i))
	}
}

var (
	objectMeta    = reflect.TypeFor[metav1.ObjectMeta]()
	pointerToTime = reflect.TypeFor[*metav1.Time]()
	location      = reflect.TypeFor[*time.Location]()
	// repeated are the fields of metadata that objects may have in common.
	repeated = []string{"Namespace", "Labels", "Annotations", "OwnerReferences", "Finalizers", "ManagedFields"}
)

// walk replaces what is in a value by equal parts that are remembered.
func (s *sharing) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.Len() > 0 {
			s.part(v)
		}
	case reflect.Map:
		// Maps of bytes are the data of secrets, which are not remembered.
		if v.Len() > 0 && v.Type().Elem().Kind() != reflect.Slice {
			s.part(v)
		}
	case reflect.Slice:
		if v.Len() == 0 || v.Type().Elem().Kind() == reflect.Uint8 || s.part(v) {
			return
		}
		for i := range v.Len() {
			s.walk(v.Index(i))
		}
	case reflect.Pointer:
		// Times seldom repeat, and a pointer to a scalar is not worth it.
		if !v.IsNil() && v.Type().Elem().Kind() == reflect.Struct && v.Type() != pointerToTime && !s.part(v) {
			s.walk(v.Elem())
		}
	case reflect.Struct:
		if v.Type() == objectMeta {
			for _, name := range repeated {
				s.walk(v.FieldByName(name))
			}
			return
		}
		for i := range v.NumField() {
			if field := v.Field(i); field.CanSet() {
				s.walk(field)
			}
		}
	}
}

// part replaces a value by an equal one that is remembered, and returns true if there is one.
func (s *sharing) part(v reflect.Value) bool {
	hash, ok := s.hash(v)
	if !ok {
		return false
	}
	key := partKey{v.Type(), hash}
	known, seen := s.young[key]
	if !seen {
		if known, seen = s.old[key]; seen {
			s.remember(key, known)
		}
	}
	switch {
	case !seen:
		// What is seen for the first time is not kept: most of it does not come again.
		s.remember(key, reflect.Value{})
		return false
	case !known.IsValid():
		s.remember(key, heldBy(v))
		return false
	}
	if s.detect {
		s.check(key, known)
	}
	if !reflect.DeepEqual(known.Interface(), v.Interface()) {
		return false
	}
	v.Set(known)
	return true
}

// heldBy returns a value that has the content of v, and does not keep the object of which v is a field.
func heldBy(v reflect.Value) reflect.Value {
	held := reflect.New(v.Type()).Elem()
	held.Set(v)
	return held
}

func (s *sharing) remember(key partKey, value reflect.Value) {
	if _, known := s.young[key]; !known && len(s.young) >= sharedParts || s.young == nil {
		s.old, s.young = s.young, map[partKey]reflect.Value{}
	}
	s.young[key] = value
}

// check panics if a part has changed since it was remembered.
func (s *sharing) check(key partKey, value reflect.Value) {
	if hash, ok := s.hash(value); !ok || hash != key.hash {
		panic(fmt.Sprintf("an object of a watch cache was changed: several objects share this %v, which is now %#v", key.of, value.Interface()))
	}
}

// hash returns a hash of the content, and false if the value is too large or of a kind that is not shared.
func (s *sharing) hash(v reflect.Value) (uint64, bool) {
	h := hasher{left: largestPart}
	h.SetSeed(s.seed)
	h.add(v)
	return h.Sum64(), h.left >= 0
}

// hasher hashes a value. Equal values have equal hashes; reflect.DeepEqual decides about all others.
type hasher struct {
	maphash.Hash
	// left is negative if the value is not to be shared.
	left int
}

func (h *hasher) add(v reflect.Value) {
	if h.left -= 8; h.left < 0 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		h.left -= v.Len()
		h.number(uint64(v.Len()))
		_, _ = h.WriteString(v.String())
	case reflect.Bool:
		h.number(map[bool]uint64{true: 1}[v.Bool()])
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		h.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		h.number(v.Uint())
	case reflect.Slice:
		h.slice(v)
	case reflect.Map:
		h.entries(v)
	case reflect.Pointer:
		// A location is equal whenever the rest of its time is, in what is stored.
		if v.Type() == location {
			return
		}
		if v.IsNil() {
			h.number(0)
			return
		}
		h.number(1)
		h.add(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			h.add(v.Field(i))
		}
	default:
		h.left = -1
	}
}

func (h *hasher) slice(v reflect.Value) {
	h.number(uint64(v.Len()))
	if v.Type().Elem().Kind() == reflect.Uint8 {
		h.left -= v.Len()
		_, _ = h.Write(v.Bytes())
		return
	}
	for i := range v.Len() {
		h.add(v.Index(i))
	}
}

// entries adds the entries of a map, in any order.
func (h *hasher) entries(v reflect.Value) {
	var sum uint64
	for entry := v.MapRange(); entry.Next(); {
		each := hasher{left: h.left}
		each.SetSeed(h.Seed())
		each.add(entry.Key())
		each.add(entry.Value())
		sum += each.Sum64()
		h.left = each.left
	}
	h.number(uint64(v.Len()))
	h.number(sum)
}

func (h *hasher) number(n uint64) {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], n)
	_, _ = h.Write(bytes[:])
}
