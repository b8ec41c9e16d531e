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

package ui

import (
	"io/fs"
	"regexp"
	"testing"
)

// mostBytes bounds the page: all its files, as they are embedded and as a browser reads them.
const mostBytes = 60_000

func TestThePageIsSmallAndRefersToNoOtherSite(t *testing.T) {
	size := 0
	// Names of XML namespaces are no addresses.
	other := regexp.MustCompile(`(?i)https?://(www\.w3\.org/2000/svg)?`)
	inline := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|style="|<[a-z][^>]* on[a-z]+=`)
	err := fs.WalkDir(Assets(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(Assets(), name)
		size += len(content)
		for _, match := range other.FindAllStringSubmatch(string(content), -1) {
			if match[1] == "" {
				t.Errorf("%s refers to another site: %q", name, match[0])
			}
		}
		if found := inline.FindString(string(content)); found != "" {
			t.Errorf("%s has %q, which the content security policy refuses", name, found)
		}
		return err
	})
	if err != nil || size > mostBytes {
		t.Errorf("the page has %d bytes, of %d: %v", size, mostBytes, err)
	}
	t.Logf("%d bytes", size)
}
