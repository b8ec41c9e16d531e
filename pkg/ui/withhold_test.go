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

import "testing"

func TestTheStreamWithholdsWhatNoViewShows(t *testing.T) {
	for _, c := range []struct{ name, in, out string }{
		{"annotations and managed fields", `{"metadata":{"name":"a","annotations":{"k":"secret"},"managedFields":[{"manager":"m"}]}}`, `{"metadata":{"name":"a"}}`},
		{"what containers get", `{"spec":{"containers":[{"args":["secret"],"command":["secret"],"env":[{"name":"K","value":"secret"}],"image":"a:1","name":"a"}],"initContainers":[{"env":[],"name":"b"}]}}`,
			`{"spec":{"containers":[{"image":"a:1","name":"a"}],"initContainers":[{"name":"b"}]}}`},
		{"templates", `{"spec":{"template":{"metadata":{"annotations":{"k":"secret"},"labels":{"app":"web"}},"spec":{"containers":[{"env":[{"value":"secret"}],"name":"a"}]}}}}`,
			`{"spec":{"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"a"}]}}}}`},
		{"labels with such names stay", `{"metadata":{"annotations":{},"labels":{"containers":"a","env":"prod","metadata":"b"}}}`, `{"metadata":{"labels":{"containers":"a","env":"prod","metadata":"b"}}}`},
		{"large numbers stay", `{"metadata":{"annotations":{}},"n":9007199254740993}`, `{"metadata":{},"n":9007199254740993}`},
		{"fields of other types stay", `{"containers":"a","metadata":["annotations"]}`, `{"containers":"a","metadata":["annotations"]}`},
		{"an object without such fields is not changed", `{ "metadata": {"name":"a"} }`, `{ "metadata": {"name":"a"} }`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if out, err := withhold([]byte(c.in)); err != nil || string(out) != c.out {
				t.Errorf("got %s, %v, want %s", out, err, c.out)
			}
		})
	}
	if out, err := withhold([]byte(`{"annotations"`)); err == nil {
		t.Errorf("what cannot be read is %s", out)
	}
}
