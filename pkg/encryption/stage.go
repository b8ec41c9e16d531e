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

package encryption

import (
	"fmt"
	"slices"
	"time"

	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
)

// stage is the state of a rotation, which the order of the keys has: generated names sort by time.
type stage int

const (
	// idle: the newest generated key is the only one, or there is none.
	idle stage = iota
	// added: the newest key is the last one, so that servers only read with it.
	added
	// promoted: the newest key is the first one, so that servers write with it, and older ones remain.
	promoted
)

// rotatable returns the entry whose keys are rotated.
func (f *File) rotatable() (*apiserverv1.ResourceConfiguration, error) {
	var found []*apiserverv1.ResourceConfiguration
	kms := false
	for i := range f.config.Resources {
		entry := &f.config.Resources[i]
		first := 0
		if plaintextFirst(entry) {
			first = 1
		}
		if keys := keysOf(&entry.Providers[first]); keys != nil && len(*keys) > 0 {
			found = append(found, entry)
		}
		kms = kms || entry.Providers[first].KMS != nil
	}
	switch {
	case len(found) == 0 && kms:
		return nil, fmt.Errorf("%s: a KMS plugin has the key: rotate it there, and then run \"gatehouse encryption rewrite\"", f.Path)
	case len(found) == 0:
		return nil, fmt.Errorf("%s: no entry has keys with which it writes: put a provider with keys first, or write a new file with \"gatehouse encryption init\"", f.Path)
	case len(found) > 1:
		return nil, fmt.Errorf("%s: %d entries write with keys, and a rotation changes one: join them, or rotate by hand as docs/encryption.md says", f.Path, len(found))
	}
	return found[0], nil
}

// plaintextFirst reports whether servers write without encryption and read with keys.
func plaintextFirst(entry *apiserverv1.ResourceConfiguration) bool {
	return len(entry.Providers) > 1 && entry.Providers[0].Identity != nil
}

// stage returns the state of the rotation.
func (f *File) stage() (stage, error) {
	entry, err := f.rotatable()
	if err != nil {
		return idle, err
	}
	if plaintextFirst(entry) {
		return added, nil
	}
	keys := *keysOf(&entry.Providers[0])
	newest := -1
	for i, key := range keys {
		if _, err := time.Parse(nameFormat, key.Name); err == nil && (newest < 0 || key.Name > keys[newest].Name) {
			newest = i
		}
	}
	switch {
	case newest < 0, len(keys) == 1:
		return idle, nil
	case newest == 0:
		return promoted, nil
	case newest == len(keys)-1:
		return added, nil
	}
	return idle, fmt.Errorf("%s: the newest key %s is neither the first nor the last one, so the stage of the rotation is unknown: move it to the end", f.Path, keys[newest].Name)
}

// next changes the keys to those of the next stage.
func (f *File) next(now time.Time) error {
	at, err := f.stage()
	if err != nil {
		return err
	}
	entry, err := f.rotatable()
	if err != nil {
		return err
	}
	if plaintextFirst(entry) {
		entry.Providers = append(slices.Clone(entry.Providers[1:]), entry.Providers[0])
		return nil
	}
	keys := keysOf(&entry.Providers[0])
	switch at {
	case idle:
		key, err := newKey(now, *keys)
		if err != nil {
			return err
		}
		*keys = append(slices.Clone(*keys), key)
	case added:
		last := len(*keys) - 1
		*keys = append([]apiserverv1.Key{(*keys)[last]}, (*keys)[:last]...)
	case promoted:
		*keys = slices.Clone((*keys)[:1])
	}
	return nil
}

// names returns the names of the keys that are rotated, the one that writes first.
func (f *File) names() []string {
	entry, err := f.rotatable()
	if err != nil {
		return nil
	}
	var names []string
	for i := range entry.Providers {
		if keys := keysOf(&entry.Providers[i]); keys != nil {
			for _, key := range *keys {
				names = append(names, key.Name)
			}
			break
		}
	}
	return names
}
