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

package checkpoint

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

func instance(uid types.UID) *v1alpha1.Instance {
	return &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: uid},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
	}
}

func open(t *testing.T) (*Directory, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "instances")
	d, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return d, path
}

func TestSavedInstancesAreLoadedByALaterProcess(t *testing.T) {
	d, path := open(t)
	for _, uid := range []types.UID{"a", "b", "b"} {
		if err := d.Save(instance(uid)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := d.Remove("a"); err != nil {
			t.Fatal(err)
		}
	}
	later, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := later.Load()
	if err != nil || len(loaded) != 1 || loaded[0].UID != "b" || loaded[0].Spec.Containers[0].Image != "web:1" {
		t.Errorf("loaded %+v, %v", loaded, err)
	}
	info, err := os.Stat(filepath.Join(path, "b.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info, err)
	}
}

func TestAFileThatIsNoInstanceIsNamedAndSkipped(t *testing.T) {
	for _, tc := range []struct{ name, file, content, want string }{
		{"cut off", "c.json", `{"metadata":{"name":"we`, "c.json: unexpected end"},
		{"another instance", "c.json", `{"metadata":{"namespace":"n","name":"web","uid":"x"}}`, "c.json: it is not the file of an instance: remove it"},
		{"an interrupted replacement", ".c.json-1", `{"metadata":{"name":"we`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d, path := open(t)
			if err := d.Save(instance("a")); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path, tc.file), []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			loaded, err := d.Load()
			if len(loaded) != 1 || loaded[0].UID != "a" {
				t.Errorf("loaded %+v", loaded)
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got the error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestAUIDThatLeavesTheDirectoryIsRefused(t *testing.T) {
	d, _ := open(t)
	for _, uid := range []types.UID{"", "../a", "a/b", "..", ".hidden"} {
		if err := d.Save(instance(uid)); err == nil {
			t.Errorf("%q is saved", uid)
		}
		if err := d.Remove(uid); err == nil {
			t.Errorf("%q is removed", uid)
		}
	}
}
