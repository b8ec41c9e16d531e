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

package provision

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// fakeServer answers with its configuration and a new token each time, or with its error.
type fakeServer struct {
	config v1alpha1.InstanceConfiguration
	clock  *clocktesting.FakeClock
	err    error
	tokens int
	calls  int
}

func (s *fakeServer) Configuration(context.Context, string, string) (*v1alpha1.InstanceConfiguration, error) {
	s.calls++
	return s.config.DeepCopy(), s.err
}

func (s *fakeServer) Token(context.Context, string, string, types.UID) (*Token, error) {
	s.calls++
	if s.err != nil {
		return nil, s.err
	}
	s.tokens++
	return &Token{Value: "token-" + string(rune('0'+s.tokens)), Expires: s.clock.Now().Add(time.Hour)}, nil
}

var errUnreachable = errors.New("dial tcp: connection refused")

func data(values map[string]string) map[string][]byte {
	out := map[string][]byte{}
	for key, value := range values {
		out[key] = []byte(value)
	}
	return out
}

func newServer(clock *clocktesting.FakeClock) *fakeServer {
	return &fakeServer{clock: clock, config: v1alpha1.InstanceConfiguration{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"},
		ConfigMaps: []v1alpha1.ReferencedData{{Name: "settings", Found: true, Data: data(map[string]string{"LEVEL": "info", "THEME": "dark", "not a name=": "x"})}, {Name: "absent"}},
		Secrets:    []v1alpha1.ReferencedData{{Name: "database", Found: true, Data: data(map[string]string{"password": "p", "zero": "a\x00b"})}},
	}}
}

// newManager returns a manager in the directories.
func newManager(t *testing.T, server Server, clock *clocktesting.FakeClock, state, run string) *Manager {
	t.Helper()
	m, err := New(server, Options{StateDir: state, RunDir: run, ServerHost: "10.0.0.1", ServerPort: "6443", CA: []byte("ca"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	m.mountMemory = func(string, int64) error { return nil }
	return m
}

func newInstance(change func(*v1alpha1.InstanceSpec, *v1alpha1.Container)) *v1alpha1.Instance {
	i := &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "u"},
		Spec:       v1alpha1.InstanceSpec{AutomountServiceAccountToken: ptr.To(false), Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
	}
	change(&i.Spec, &i.Spec.Containers[0])
	return i
}

func key(name, key string) *v1alpha1.KeySelector { return &v1alpha1.KeySelector{Name: name, Key: key} }

func from(selector *v1alpha1.KeySelector, isSecret bool) []v1alpha1.EnvVar {
	source := &v1alpha1.EnvVarSource{ConfigMapKeyRef: selector}
	if isSecret {
		source = &v1alpha1.EnvVarSource{SecretKeyRef: selector}
	}
	return []v1alpha1.EnvVar{{Name: "A", ValueFrom: source}}
}

func TestAContainerGetsTheVariablesOfItsSources(t *testing.T) {
	yes := ptr.To(true)
	for _, tc := range []struct {
		name   string
		change func(*v1alpha1.Container)
		// want are the variables besides those of the API; fails is a part of the error.
		want  []string
		fails string
	}{
		{name: "a value", change: func(c *v1alpha1.Container) { c.Env = []v1alpha1.EnvVar{{Name: "A", Value: "b"}} }, want: []string{"A=b"}},
		{name: "a key of a ConfigMap", change: func(c *v1alpha1.Container) { c.Env = from(key("settings", "LEVEL"), false) }, want: []string{"A=info"}},
		{name: "a key of a Secret", change: func(c *v1alpha1.Container) { c.Env = from(key("database", "password"), true) }, want: []string{"A=p"}},
		{name: "a key that does not exist", change: func(c *v1alpha1.Container) { c.Env = from(key("settings", "none"), false) }, fails: `ConfigMap "settings" in namespace "shop" has no key "none"`},
		{name: "an object that does not exist", change: func(c *v1alpha1.Container) { c.Env = from(key("absent", "LEVEL"), false) }, fails: `ConfigMap "absent" does not exist in namespace "shop"`},
		{name: "an object that the server did not deliver", change: func(c *v1alpha1.Container) { c.Env = from(key("other", "a"), true) }, fails: `Secret "other" does not exist`},
		{name: "an optional object", change: func(c *v1alpha1.Container) {
			c.Env = from(&v1alpha1.KeySelector{Name: "absent", Key: "a", Optional: yes}, false)
		}},
		{name: "an optional key", change: func(c *v1alpha1.Container) {
			c.Env = from(&v1alpha1.KeySelector{Name: "settings", Key: "a", Optional: yes}, false)
		}},
		{name: "a value that no variable can have", change: func(c *v1alpha1.Container) { c.Env = from(key("database", "zero"), true) }, fails: "zero byte"},
		{name: "all keys that are names of variables", change: func(c *v1alpha1.Container) {
			c.EnvFrom = []v1alpha1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &v1alpha1.EnvSource{Name: "settings"}}}
		}, want: []string{"P_LEVEL=info", "P_THEME=dark"}},
		{name: "env replaces envFrom", change: func(c *v1alpha1.Container) {
			c.EnvFrom = []v1alpha1.EnvFromSource{{ConfigMapRef: &v1alpha1.EnvSource{Name: "settings"}}}
			c.Env = []v1alpha1.EnvVar{{Name: "LEVEL", Value: "debug"}}
		}, want: []string{"LEVEL=debug", "THEME=dark"}},
		{name: "an absent object of all keys", change: func(c *v1alpha1.Container) {
			c.EnvFrom = []v1alpha1.EnvFromSource{{SecretRef: &v1alpha1.EnvSource{Name: "none"}}}
		}, fails: `Secret "none" does not exist`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
			m := newManager(t, newServer(clock), clock, t.TempDir(), t.TempDir())
			i := newInstance(func(_ *v1alpha1.InstanceSpec, c *v1alpha1.Container) { tc.change(c) })
			provided, err := m.Provide(t.Context(), i, &i.Spec.Containers[0])
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, variable := range provided.Env {
				if !strings.HasPrefix(variable.Name, "KUBERNETES_") {
					got = append(got, variable.Name+"="+variable.Value)
				}
			}
			if !slices.Equal(got, tc.want) || len(provided.Env) != len(tc.want)+3 || provided.Env[0].Value != "10.0.0.1" {
				t.Errorf("got %v", provided.Env)
			}
		})
	}
}

// tree returns the files below a directory as a container sees them, with modes and content.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			for below, content := range tree(t, path) {
				out[entry.Name()+"/"+below] = content
			}
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[entry.Name()] = info.Mode().String() + " " + string(content)
	}
	return out
}

// provideVolume provides the only volume of an instance, mounted at /data.
func provideVolume(t *testing.T, m *Manager, volume v1alpha1.Volume) (runtime.Mount, error) {
	t.Helper()
	volume.Name = "data"
	i := newInstance(func(s *v1alpha1.InstanceSpec, c *v1alpha1.Container) {
		s.Volumes, c.VolumeMounts = []v1alpha1.Volume{volume}, []v1alpha1.VolumeMount{{Name: "data", MountPath: "/data/"}}
	})
	provided, err := m.Provide(t.Context(), i, &i.Spec.Containers[0])
	if err != nil {
		return runtime.Mount{}, err
	}
	if len(provided.Mounts) != 1 || provided.Mounts[0].ContainerPath != "/data" {
		t.Fatalf("got %+v", provided.Mounts)
	}
	return provided.Mounts[0], nil
}

func TestTheKeysOfAnObjectBecomeFiles(t *testing.T) {
	yes := ptr.To(true)
	for _, tc := range []struct {
		name   string
		source v1alpha1.SecretVolumeSource
		want   map[string]string
		fails  string
	}{
		{name: "all keys", source: v1alpha1.SecretVolumeSource{SecretName: "database"}, want: map[string]string{"password": "-rw-r--r-- p", "zero": "-rw-r--r-- a\x00b"}},
		{
			name: "items, with modes and directories",
			source: v1alpha1.SecretVolumeSource{SecretName: "database", DefaultMode: ptr.To[int32](0o400), Items: []v1alpha1.KeyToPath{
				{Key: "password", Path: "a/b/p"}, {Key: "password", Path: "q", Mode: ptr.To[int32](0o777)},
			}},
			want: map[string]string{"a/b/p": "-r-------- p", "q": "-rwxrwxrwx p"},
		},
		{name: "an item that does not exist", source: v1alpha1.SecretVolumeSource{SecretName: "database", Items: []v1alpha1.KeyToPath{{Key: "none", Path: "a"}}}, fails: `volume "data": Secret "database" has no key "none"`},
		{name: "an optional item", source: v1alpha1.SecretVolumeSource{SecretName: "database", Optional: yes, Items: []v1alpha1.KeyToPath{{Key: "none", Path: "a"}}}, want: map[string]string{}},
		{name: "an object that does not exist", source: v1alpha1.SecretVolumeSource{SecretName: "none"}, fails: `volume "data": Secret "none" does not exist`},
		{name: "an optional object", source: v1alpha1.SecretVolumeSource{SecretName: "none", Optional: yes}, want: map[string]string{}},
		{name: "a path out of the volume", source: v1alpha1.SecretVolumeSource{SecretName: "database", Items: []v1alpha1.KeyToPath{{Key: "password", Path: "../../p"}}}, fails: "is not the name of a file"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
			run := t.TempDir()
			m := newManager(t, newServer(clock), clock, t.TempDir(), run)
			mount, err := provideVolume(t, m, v1alpha1.Volume{Secret: &tc.source})
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, mount.HostPath); !maps.Equal(got, tc.want) {
				t.Errorf("got %q", got)
			}
			if !mount.ReadOnly || !strings.HasPrefix(mount.HostPath, run) {
				t.Errorf("got %+v: the files are in memory and never written by a container", mount)
			}
		})
	}
}

func TestTheFilesOfAMountedVolumeChangeAtOnce(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	server := newServer(clock)
	m := newManager(t, server, clock, t.TempDir(), t.TempDir())
	volume := v1alpha1.Volume{ConfigMap: &v1alpha1.ConfigMapVolumeSource{Name: "settings"}}
	mount, err := provideVolume(t, m, volume)
	if err != nil {
		t.Fatal(err)
	}
	first, err := os.Readlink(filepath.Join(mount.HostPath, dataLink))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provideVolume(t, m, volume); err != nil {
		t.Fatal(err)
	}
	if again, err := os.Readlink(filepath.Join(mount.HostPath, dataLink)); again != first {
		t.Errorf("the same files were written again: %v", err)
	}
	server.config.ConfigMaps[0].Data = data(map[string]string{"LEVEL": "debug", "new": "n"})
	if _, err := provideVolume(t, m, volume); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, mount.HostPath); !maps.Equal(got, map[string]string{"LEVEL": "-rw-r--r-- debug", "new": "-rw-r--r-- n"}) {
		t.Errorf("got %q", got)
	}
	if _, err := os.Stat(filepath.Join(mount.HostPath, first)); !os.IsNotExist(err) {
		t.Errorf("the old files are left: %v", err)
	}
}

func TestWithoutTheServerAContainerStartsWithWhatTheHostHasSaved(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	server, state := newServer(clock), t.TempDir()
	volume := v1alpha1.Volume{Secret: &v1alpha1.SecretVolumeSource{SecretName: "database"}}
	if _, err := provideVolume(t, newManager(t, server, clock, state, t.TempDir()), volume); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(state, "configurations", "u.json")
	if info, err := os.Stat(saved); err != nil || info.Mode() != 0o600 {
		t.Fatalf("the saved data is %v, %v", info, err)
	}
	server.err, server.calls = errUnreachable, 0
	// A reboot has emptied the memory.
	rebooted := newManager(t, server, clock, state, t.TempDir())
	for range 2 {
		mount, err := provideVolume(t, rebooted, volume)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree(t, mount.HostPath); got["password"] != "-rw-r--r-- p" {
			t.Errorf("got %q", got)
		}
	}
	if server.calls != 1 {
		t.Errorf("a server that did not answer got %d requests at once", server.calls)
	}
	if err := rebooted.Release("u"); err != nil {
		t.Fatal(err)
	}
	if _, err := provideVolume(t, rebooted, volume); err == nil || !strings.Contains(err.Error(), "the server does not answer, and the host has saved none") {
		t.Errorf("got %v", err)
	}
}

func TestARefusalOfTheServerIsReported(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	server := newServer(clock)
	m := newManager(t, server, clock, t.TempDir(), t.TempDir())
	volume := v1alpha1.Volume{Secret: &v1alpha1.SecretVolumeSource{SecretName: "database"}}
	if _, err := provideVolume(t, m, volume); err != nil {
		t.Fatal(err)
	}
	server.err = apierrors.NewInternalError(errors.New("the cluster does not allow this server to read secrets"))
	if _, err := provideVolume(t, m, volume); err == nil || !strings.Contains(err.Error(), "the cluster does not allow") {
		t.Errorf("got %v: saved data is only for a server that does not answer", err)
	}
	server.err, server.config.UID = nil, "other"
	if _, err := provideVolume(t, m, volume); err == nil || !strings.Contains(err.Error(), "another instance") {
		t.Errorf("got %v", err)
	}
}

func TestDirectoriesAndPathsOfTheHost(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	state, run, host := t.TempDir(), t.TempDir(), t.TempDir()
	m := newManager(t, newServer(clock), clock, state, run)
	size := int64(-1)
	m.mountMemory = func(_ string, bytes int64) error { size = bytes; return nil }
	mount, err := provideVolume(t, m, v1alpha1.Volume{EmptyDir: &v1alpha1.EmptyDirVolumeSource{}})
	if info, statErr := os.Stat(mount.HostPath); err != nil || statErr != nil || info.Mode().Perm() != 0o777 || !strings.HasPrefix(mount.HostPath, state) || mount.ReadOnly {
		t.Errorf("got %+v, %v, %v", mount, err, statErr)
	}
	mount, err = provideVolume(t, m, v1alpha1.Volume{EmptyDir: &v1alpha1.EmptyDirVolumeSource{Medium: v1alpha1.StorageMediumMemory}})
	if err != nil || size != 0 || !strings.HasPrefix(mount.HostPath, run) {
		t.Errorf("got %+v of %d bytes, %v", mount, size, err)
	}
	for _, tc := range []struct {
		kind  v1alpha1.HostPathType
		path  string
		fails string
	}{
		{"", "none", ""},
		{v1alpha1.HostPathDirectory, "none", "no such file"},
		{v1alpha1.HostPathDirectoryOrCreate, "d/e", ""},
		{v1alpha1.HostPathFile, "d", "it is a directory"},
		{v1alpha1.HostPathFileOrCreate, "f", ""},
		{v1alpha1.HostPathDirectory, "f", "it is a file"},
		{v1alpha1.HostPathSocket, "f", "not what type Socket requires"},
	} {
		source := &v1alpha1.HostPathVolumeSource{Path: filepath.Join(host, tc.path)}
		if tc.kind != "" {
			source.Type = &tc.kind
		}
		mount, err := provideVolume(t, m, v1alpha1.Volume{HostPath: source})
		if tc.fails == "" && (err != nil || mount.HostPath != source.Path) || tc.fails != "" && (err == nil || !strings.Contains(err.Error(), tc.fails)) {
			t.Errorf("%s %s: %+v, %v", tc.kind, tc.path, mount, err)
		}
	}
	if err := m.Release("u"); err != nil {
		t.Fatal(err)
	}
	if left, err := m.Provided(); err != nil || len(left) > 0 {
		t.Errorf("left are %v, %v", left, err)
	}
	if _, err := os.Stat(filepath.Join(host, "f")); err != nil {
		t.Errorf("a file of the host was removed with the instance: %v", err)
	}
	for _, uid := range []types.UID{"", "..", "../x", "a/b"} {
		if m.Release(uid) == nil {
			t.Errorf("%q is taken for a UID", uid)
		}
	}
}
