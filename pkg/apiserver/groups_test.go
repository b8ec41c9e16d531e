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

package apiserver

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// fakeProvider builds groups without storages, or fails.
type fakeProvider struct {
	groups []string
	err    error
}

func (p fakeProvider) GroupName() string { return p.groups[0] }

func (p fakeProvider) NewStorage(*runtime.Scheme, base.StorageOptions) (base.GroupStorage, error) {
	storages := base.GroupStorage{}
	for _, group := range p.groups {
		storages[group] = nil
	}
	return storages, p.err
}

func TestGroupsAreBuiltInTheOrderOfTheirNames(t *testing.T) {
	scheme, codecs := NewBuiltinScheme()
	both := fakeProvider{groups: []string{corev1.GroupName, eventsv1.GroupName}}
	for _, test := range []struct {
		name      string
		groups    []string
		providers []base.StorageProvider
		want      string // the error
	}{
		{"one provider of two groups", []string{eventsv1.GroupName, corev1.GroupName}, []base.StorageProvider{both}, ""},
		{"a group without a provider", []string{corev1.GroupName, eventsv1.GroupName, "example.com"}, []base.StorageProvider{both}, "API group example.com: no provider"},
		{"a provider of a group that is not installed", []string{eventsv1.GroupName}, []base.StorageProvider{both}, "API group core: its storages are built"},
		{"a provider that fails", []string{corev1.GroupName}, []base.StorageProvider{fakeProvider{[]string{corev1.GroupName}, errors.New("broken")}}, "API group core: broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			groups, err := buildGroups(base.StorageOptions{}, groupSet{scheme: scheme, codecs: codecs, names: test.groups, providers: test.providers})
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want %q", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, g := range groups {
				if g.name != test.groups[i] {
					t.Errorf("group %d is %q, want %q", i, g.name, test.groups[i])
				}
			}
		})
	}
}

func TestCallerUpdatesWithoutAdmissionAreRefused(t *testing.T) {
	scheme, _ := NewFleetScheme()
	if _, err := NewCallerUpdates(scheme, nil); err == nil {
		t.Error("updates without admission were built")
	}
}

func TestEveryGroupOfTheBuiltinSchemeIsBuiltinAndNoOther(t *testing.T) {
	scheme, _ := NewBuiltinScheme()
	for _, version := range scheme.PrioritizedVersionsAllGroups() {
		if !isBuiltin(version.Group) {
			t.Errorf("%s is served by Kubernetes, but stored as a group of the fleet", version.Group)
		}
	}
	for _, group := range []string{"fleet.gatehouse.dev", "batch.gatehouse.dev", "example.com", "apps"} {
		if isBuiltin(group) {
			t.Errorf("%s is stored as a group of Kubernetes", group)
		}
	}
}
