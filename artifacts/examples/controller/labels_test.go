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
	"regexp"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func TestWhichLabelsAreMissing(t *testing.T) {
	for _, tc := range []struct {
		name   string
		labels map[string]string
		info   v1alpha1.HostInfo
		want   string
	}{
		{"a host that reported nothing gets none", nil, v1alpha1.HostInfo{}, ``},
		{"what is reported is labelled", nil, v1alpha1.HostInfo{OperatingSystem: "linux", Architecture: "arm64"},
			`{"metadata":{"uid":"7","labels":{"labeler.example.com/architecture":"arm64","labeler.example.com/os":"linux"}}}`},
		{"in small letters", nil, v1alpha1.HostInfo{OperatingSystem: "Linux"}, `{"metadata":{"uid":"7","labels":{"labeler.example.com/os":"linux"}}}`},
		{"a host that has its labels is left alone", map[string]string{osLabel: "linux", architectureLabel: "arm64"}, v1alpha1.HostInfo{OperatingSystem: "linux", Architecture: "arm64"}, ``},
		{"only what differs is written", map[string]string{osLabel: "linux", architectureLabel: "amd64"}, v1alpha1.HostInfo{OperatingSystem: "linux", Architecture: "arm64"},
			`{"metadata":{"uid":"7","labels":{"labeler.example.com/architecture":"arm64"}}}`},
		{"what is reported no longer is taken away", map[string]string{osLabel: "linux"}, v1alpha1.HostInfo{}, `{"metadata":{"uid":"7","labels":{"labeler.example.com/os":null}}}`},
		{"a value that is not a valid label is omitted", map[string]string{osLabel: "linux"}, v1alpha1.HostInfo{OperatingSystem: "my own/os"}, `{"metadata":{"uid":"7","labels":{"labeler.example.com/os":null}}}`},
		{"others' labels are left alone", map[string]string{"site": "lab"}, v1alpha1.HostInfo{}, ``},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := missing(&v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{UID: "7", Labels: tc.labels}, Status: v1alpha1.HostStatus{Info: tc.info}})
			if err != nil || string(got) != tc.want {
				t.Errorf("got %s, %v", got, err)
			}
		})
	}
}

// TestThePageAndTheCodeAgree compares docs/controllers.md with the functions that it refers to.
func TestThePageAndTheCodeAgree(t *testing.T) {
	page, err := os.ReadFile("../../../docs/controllers.md")
	if err != nil {
		t.Fatal(err)
	}
	links := regexp.MustCompile("\\[`(\\w+)`\\]\\(\\.\\./artifacts/examples/controller/(\\w+\\.go)\\)").FindAllStringSubmatch(string(page), -1)
	if len(links) < 4 {
		t.Fatalf("the page has only %d links to functions", len(links))
	}
	for _, link := range links {
		code, err := os.ReadFile(link[2])
		if err != nil {
			t.Error(err)
			continue
		}
		if !regexp.MustCompile(`(?m)^func (\(\w+ \*?\w+\) )?` + link[1] + `\(`).Match(code) {
			t.Errorf("the page sends its reader to %s in %s, which has no such function", link[1], link[2])
		}
	}
	if !strings.Contains(string(page), "../artifacts/examples/controller/rbac.yaml") {
		t.Error("the page does not contain the rights of the controller")
	}
}
