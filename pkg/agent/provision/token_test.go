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
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// tokenOf provides a container that has a token and returns the value; empty if the file is absent.
func tokenOf(t *testing.T, m *Manager) string {
	t.Helper()
	i := newInstance(func(s *v1alpha1.InstanceSpec, _ *v1alpha1.Container) { s.AutomountServiceAccountToken = nil })
	provided, err := m.Provide(t.Context(), i, &i.Spec.Containers[0])
	if err != nil {
		t.Fatal(err)
	}
	mount := provided.Mounts[0]
	if len(provided.Mounts) != 1 || mount.ContainerPath != tokenPath || !mount.ReadOnly {
		t.Fatalf("got %+v", provided.Mounts)
	}
	files := tree(t, mount.HostPath)
	if files["namespace"] != "-rw-r--r-- shop" || files["ca.crt"] != "-rw-r--r-- ca" {
		t.Errorf("got %q", files)
	}
	if files["token"] == "" {
		return ""
	}
	return files["token"][len("-rw-r--r-- "):]
}

func TestATokenIsRenewedAfterMostOfItsLife(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	server, state, run := newServer(clock), t.TempDir(), t.TempDir()
	m := newManager(t, server, clock, state, run)
	if got := tokenOf(t, m); got != "token-1" {
		t.Fatalf("got %q", got)
	}
	clock.Step(47 * time.Minute)
	m.renewDue(t.Context())
	if got := tokenOf(t, m); got != "token-1" {
		t.Errorf("got %q after less than 80 %% of an hour", got)
	}
	clock.Step(2 * time.Minute)
	m.renewDue(t.Context())
	if got := tokenOf(t, m); got != "token-2" {
		t.Errorf("got %q after more than 80 %% of an hour", got)
	}
	// The next process renews the token of a container that runs on.
	next := newManager(t, server, clock, state, run)
	clock.Step(49 * time.Minute)
	next.renewDue(t.Context())
	if got := tree(t, filepath.Join(run, "tokens", "u"))["token"]; got != "-rw-r--r-- token-3" {
		t.Errorf("got %q after a restart of the agent", got)
	}
	if err := next.Release("u"); err != nil {
		t.Fatal(err)
	}
	clock.Step(time.Hour)
	next.renewDue(t.Context())
	if entries, err := os.ReadDir(filepath.Join(run, "tokens")); err != nil || len(entries) > 0 || server.tokens != 3 {
		t.Errorf("after the end of the instance: %v, %v, %d tokens", entries, err, server.tokens)
	}
}

func TestAContainerDoesNotWaitForAToken(t *testing.T) {
	for _, tc := range []struct {
		name  string
		err   error
		after time.Duration
	}{
		{"the server is away", errUnreachable, awayTime},
		{"the server refuses", apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, "web"), refusedPause},
	} {
		t.Run(tc.name, func(t *testing.T) {
			clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
			server := newServer(clock)
			server.err = tc.err
			m := newManager(t, server, clock, t.TempDir(), t.TempDir())
			if got := tokenOf(t, m); got != "" {
				t.Fatalf("got %q", got)
			}
			server.err = nil
			clock.Step(tc.after - time.Second)
			m.renewDue(t.Context())
			if server.tokens != 0 {
				t.Error("the server got another request too early")
			}
			clock.Step(time.Second)
			m.renewDue(t.Context())
			if got := tokenOf(t, m); got != "token-1" || server.tokens != 1 {
				t.Errorf("got %q, the %d. token", got, server.tokens)
			}
		})
	}
}

func TestAnOldTokenStaysUntilThereIsAnother(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	server := newServer(clock)
	m := newManager(t, server, clock, t.TempDir(), t.TempDir())
	tokenOf(t, m)
	server.err = errUnreachable
	clock.Step(50 * time.Minute)
	m.renewDue(t.Context())
	if got := tokenOf(t, m); got != "token-1" {
		t.Errorf("got %q while the server is away", got)
	}
}

func TestAContainerWithItsOwnFilesAtThePlaceGetsNoToken(t *testing.T) {
	clock := clocktesting.NewFakeClock(time.Unix(1000, 0))
	server := newServer(clock)
	m := newManager(t, server, clock, t.TempDir(), t.TempDir())
	i := newInstance(func(s *v1alpha1.InstanceSpec, c *v1alpha1.Container) {
		s.AutomountServiceAccountToken = nil
		s.Volumes = []v1alpha1.Volume{{Name: "own", EmptyDir: &v1alpha1.EmptyDirVolumeSource{}}}
		c.VolumeMounts = []v1alpha1.VolumeMount{{Name: "own", MountPath: tokenPath + "/"}}
	})
	provided, err := m.Provide(t.Context(), i, &i.Spec.Containers[0])
	if err != nil || len(provided.Mounts) != 1 || server.tokens != 0 {
		t.Errorf("got %+v, %v", provided, err)
	}
}

func TestTheLoginsOfARegistryAreThoseOfTheLongestPath(t *testing.T) {
	entries := map[string]entry{
		"https://index.docker.io/v1/": {Auth: "aHVi" + "OnB3"}, // hub:pw
		"registry.example.com":        {Username: "all"},
		"registry.example.com/team":   {Username: "team"},
		"registry.example.com:5000":   {Username: "port"},
		"*.example.org":               {Username: "wild"},
	}
	for image, want := range map[string][]string{
		"web:1":                                {"hub"},
		"team/web":                             {"hub"},
		"docker.io/library/web@sha256:abc":     {"hub"},
		"registry.example.com/web:1":           {"all"},
		"registry.example.com/team/web:1":      {"team", "all"},
		"registry.example.com/teamwork/web:1":  {"all"},
		"registry.example.com:5000/team/web:1": {"port"},
		"eu.example.org/web":                   {"wild"},
		"a.eu.example.org/web":                 nil,
		"example.org/web":                      nil,
		"localhost/web":                        nil,
		"evil-registry.example.com/web":        nil,
	} {
		var got []string
		for _, login := range matching(entries, image) {
			got = append(got, login.Username)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", image, got, want)
		}
	}
}
