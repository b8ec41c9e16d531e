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

package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestCheck(t *testing.T) {
	tests := map[string]struct {
		text string
		want int
	}{
		"a file that exists":                    {text: "[a](other.md) and ![b](sub/picture.png)"},
		"a file that does not":                  {text: "see [a](missing.md)", want: 1},
		"two on one line":                       {text: "[a](missing.md) [b](gone.md)", want: 2},
		"a folder":                              {text: "[a](sub/)"},
		"a heading here":                        {text: "# Two words, `code`\n[a](#two-words-code)"},
		"a heading that is not here":            {text: "# Two words\n[a](#three-words)", want: 1},
		"a heading there":                       {text: "[a](other.md#second-part)"},
		"the second of two equal headings":      {text: "[a](other.md#second-part-1)"},
		"a third of two equal headings":         {text: "[a](other.md#second-part-2)", want: 1},
		"a line of a source file":               {text: "[a](code.go#L10)"},
		"from the root of the project":          {text: "[a](/other.md)"},
		"a definition that leads nowhere":       {text: "[a]: missing.md", want: 1},
		"a link with a title":                   {text: `[a](missing.md "the title")`, want: 1},
		"an address on the web":                 {text: "[a](https://example.com/missing.md) [b](mailto:a@example.com)"},
		"what looks like a link in code":        {text: "`[a](missing.md)`\n```\n[a](missing.md)\n# No heading\n```\n"},
		"a link after a block of code":          {text: "```\n```\n[a](missing.md)", want: 1},
		"a heading that is only in a code span": {text: "```\n# No heading\n```\n[a](#no-heading)", want: 1},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.Mkdir("sub", 0o755); err != nil {
				t.Fatal(err)
			}
			for file, text := range map[string]string{
				"page.md":                           tc.text,
				"other.md":                          "# First\n## Second part\n## Second part\n",
				"code.go":                           "package code\n",
				filepath.Join("sub", "picture.png"): "",
			} {
				if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			got, err := check("page.md")
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != tc.want {
				t.Errorf("problems: %q, want %d", got, tc.want)
			}
		})
	}
}
