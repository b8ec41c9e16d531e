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

package conformance

import (
	"slices"
	"strings"
	"testing"
)

func TestAWrongListOfTestsIsRefusedWithItsLine(t *testing.T) {
	for name, tc := range map[string]struct{ list, says string }{
		"a class that is not declared":   {"run [a] A\npods [a] B\n", "line 2: class pods is not declared"},
		"a class that is declared twice": {"pod: one\npod: two\n", "line 2: class pod is declared twice"},
		"the class run is declared":      {"run: one\n", "line 1: class run is declared twice"},
		"a class without a reason":       {"pod:\n", "line 1: \"pod:\" is neither"},
		"two classes for one test":       {"pod: one\npod [a] A\nrun [a] A\n", "line 3: two classes for \"[a] A\""},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parseClasses(tc.list); err == nil || !strings.HasPrefix(err.Error(), tc.says) {
				t.Errorf("got %v, want %s", err, tc.says)
			}
		})
	}
}

func TestTestsWithoutAClassAndClassesWithoutATestAreReported(t *testing.T) {
	classes, err := parseClasses("# comment\npod: creates pods\n\nrun [a] A\npod [a] B\n")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ tests, says []string }{
		"each test has a class": {[]string{"[a] A", "[a] B"}, nil},
		"a test is new":         {[]string{"[a] A", "[a] B", "[a] C"}, []string{`no class for "[a] C": add`}},
		"a test is gone":        {[]string{"[a] B"}, []string{`there is no test "[a] A": remove`}},
		"a test has a new name": {[]string{"[a] B", "[a] C"}, []string{`no class for "[a] C": add`, `there is no test "[a] A": remove`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := classes.compare(tc.tests)
			if !slices.EqualFunc(got, tc.says, strings.HasPrefix) {
				t.Errorf("got %q, want %q", got, tc.says)
			}
		})
	}
}
