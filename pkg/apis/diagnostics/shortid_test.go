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

package diagnostics

import "testing"

func TestMessagesNameATraceByTheBeginningOfAUUID(t *testing.T) {
	for name, want := range map[string]string{
		"af39d46e-35a4-4c13-8ed1-79719df0c145":   "af39d46e",
		"af39d46e-35a4-4c13-8ed1-79719df0c145-2": "af39d46e-35a4-4c13-8ed1-79719df0c145-2",
		"af39d46e-35a4-4c13-8ed1-79719df0c14x":   "af39d46e-35a4-4c13-8ed1-79719df0c14x",
		"af39d46e035a4-4c13-8ed1-79719df0c145":   "af39d46e035a4-4c13-8ed1-79719df0c145",
		"chosen":                                 "chosen",
		"":                                       "",
	} {
		if got := ShortID(name); got != want {
			t.Errorf("%q is named %q, not %q", name, got, want)
		}
	}
}
