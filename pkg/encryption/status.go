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
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// verify returns an error if etcd has an object that was not written with the key of the file.
func (s *session) verify(ctx context.Context, notes io.Writer) error {
	want, uniform := s.file.writes()
	if s.store == nil || !uniform {
		return nil
	}
	found, err := s.store.count(ctx)
	if err != nil {
		return err
	}
	if number, resources := found.other(want); number > 0 {
		return fmt.Errorf("etcd still has %d objects that were not written with %s: %s", number, want, strings.Join(resources, ", "))
	}
	fmt.Fprintf(notes, "every object in etcd is written with %s\n", want)
	return nil
}

// readable returns an error if etcd has objects that the keys of the file do not decrypt.
func (s *session) readable(ctx context.Context) error {
	if s.store == nil {
		return nil
	}
	found, err := s.store.count(ctx)
	if err != nil {
		return err
	}
	if lines := found.unreadable(s.file); len(lines) > 0 {
		return fmt.Errorf("%s cannot be rotated: %s", s.file.Path, strings.Join(lines, "; "))
	}
	return nil
}

// Status prints what the file has, which servers have loaded it, and with what objects are stored. It
// prints no key.
func (o *Options) Status(ctx context.Context, path string, out io.Writer) error {
	s, err := o.open(path)
	if err != nil {
		return err
	}
	defer s.close()
	s.file.print(out)
	s.file.warn(out)
	for _, r := range s.replicas {
		loaded := r.url + " has loaded the file"
		if why := r.waiting(ctx, s.file.Hash); why != nil {
			loaded = why.Error()
		}
		fmt.Fprintln(out, "Server: "+loaded)
		if state, err := r.state(ctx); err == nil && state.kmsFailed {
			fmt.Fprintf(out, "Server: %s: a KMS plugin does not respond; see /healthz/kms-providers\n", r.url)
		}
	}
	if s.store == nil {
		fmt.Fprintf(out, "Objects: not counted, because no embedded etcd runs in %s\n", o.DataDir)
		return nil
	}
	found, err := s.store.count(ctx)
	if err != nil {
		return err
	}
	if err := found.print(out); err != nil {
		return err
	}
	if want, uniform := s.file.writes(); uniform {
		number, _ := found.other(want)
		fmt.Fprintf(out, "To be rewritten: %d\n", number)
	}
	for _, line := range found.unreadable(s.file) {
		fmt.Fprintln(out, "Unreadable: "+line)
	}
	return nil
}

// warn prints a warning if other users can read or replace the file.
func (f *File) warn(out io.Writer) {
	for _, err := range []error{files.OpenToAll(f.Path), files.Replaceable(f.Path)} {
		if err != nil {
			fmt.Fprintf(out, "Warning: %v\n", err)
		}
	}
}

// unreadable returns a line for each key with which objects are stored and that the file does not have.
func (c counts) unreadable(f *File) []string {
	has := map[written]bool{{}: true}
	for _, entry := range f.config.Resources {
		for i := range entry.Providers {
			provider := &entry.Providers[i]
			if provider.KMS != nil {
				has[written{"kms", provider.KMS.Name}] = true
			}
			if keys := keysOf(provider); keys != nil {
				for _, key := range *keys {
					has[written{typeOf(provider), key.Name}] = true
				}
			}
		}
	}
	missing := map[string]int{}
	for _, by := range c {
		for w, number := range by {
			if !has[w] {
				missing[w.String()] += number
			}
		}
	}
	var lines []string
	for _, key := range slices.Sorted(maps.Keys(missing)) {
		lines = append(lines, fmt.Sprintf("%d objects are stored with %s, which the file does not have: add it after the first one, from the file as it was when they were written", missing[key], key))
	}
	return lines
}

func (f *File) print(out io.Writer) {
	fmt.Fprintf(out, "File: %s\n", f.Path)
	for _, entry := range f.config.Resources {
		for i := range entry.Providers {
			use := "reads with"
			if i == 0 {
				use = "writes with"
			}
			fmt.Fprintf(out, "  %s %s %s\n", strings.Join(entry.Resources, ","), use, describe(&entry.Providers[i]))
		}
	}
	switch at, err := f.stage(); {
	case err != nil:
	case at == added:
		fmt.Fprintln(out, "Rotation: begun, the new key is only read with")
	case at == promoted:
		fmt.Fprintln(out, "Rotation: begun, the new key is written with, older ones remain")
	default:
		fmt.Fprintln(out, "Rotation: none")
	}
}

func (c counts) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "RESOURCE\tSTORED WITH\tOBJECTS")
	for _, resource := range slices.Sorted(maps.Keys(c)) {
		by := slices.SortedFunc(maps.Keys(c[resource]), func(a, b written) int { return strings.Compare(a.String(), b.String()) })
		for _, w := range by {
			fmt.Fprintf(table, "%s\t%s\t%d\n", resource, w, c[resource][w])
		}
	}
	return table.Flush()
}
