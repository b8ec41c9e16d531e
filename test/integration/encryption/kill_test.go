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

package encryption

import (
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/binary"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	seeded = 600 // more than a page
	kills  = 5
	// longest is more than the time of a rewrite with its purge on an idle machine, and of a rotation without one.
	longest = 20 * time.Second
)

// TestRewritesAndRotationsThatAreKilledAtRandomEndWithTheNext kills the commands at random times, while a client
// writes and reads, and no request of it may fail.
func TestRewritesAndRotationsThatAreKilledAtRandomEndWithTheNext(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(kit.Seed(t), 1))
	dir := binary.DataDir(t)
	server := binary.Start(t, dir)
	seed(t, server.Config, seeded)
	createSecret(t, server.Config, "before", "visible-text")
	server.Stop(t)
	keys := filepath.Join(t.TempDir(), "keys")
	file := filepath.Join(keys, "config.yaml")
	mustRun(t, "init", file)
	server = binary.Start(t, dir, flag+file)
	stop := traffic(t, server.Config)
	status := []string{"status", file, "--data-dir", dir}
	for _, command := range [][]string{
		{"rewrite", file, "--data-dir", dir, "--qps", "300", "--purge"},
		{"rotate", file, "--data-dir", dir, "--qps", "300"},
	} {
		for range kills {
			killedAfter(t, time.Duration(random.Int64N(int64(longest))), command...)
			if output := mustRun(t, status...); strings.Contains(output, "Unreadable:") {
				t.Errorf("an object cannot be read: %s", output)
			}
		}
		if command[0] == "rotate" {
			command = append(command, "--resume")
		}
		mustRun(t, command...)
		if output := mustRun(t, status...); !strings.Contains(output, "To be rewritten: 0\n") || !strings.Contains(output, "Rotation: none\n") {
			t.Errorf("the status after %s: %s", command[0], output)
		}
	}
	stop()
	if names := keyNames(t, file); len(names) != 1 {
		t.Errorf("the file has the keys %v", names)
	}
	if left, err := filepath.Glob(filepath.Join(keys, ".*")); err != nil || len(left) > 0 {
		t.Errorf("copies of the file are left: %v (%v)", left, err)
	}
	if found := filesWith(t, dir, "visible-text"); len(found) > 0 {
		t.Errorf("plaintext is in %v", found)
	}
	server.Kill()
	server.Wait(t)
	server = binary.Start(t, dir, flag+file)
	wantSecret(t, server.Config, "before", "visible-text")
	wantSeeded(t, server.Config)
}

func wantSeeded(t *testing.T, config *rest.Config) {
	t.Helper()
	list, err := kubernetes.NewForConfigOrDie(config).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, item := range list.Items {
		if strings.HasPrefix(item.Name, "seed-") && item.Data["a"] == "b" {
			found++
		}
	}
	if found != seeded {
		t.Errorf("%d of %d objects are there", found, seeded)
	}
}

// TestResumeEndsARotationThatWasKilledAfterItsLastChangeOfTheFile plays the one stage that the order of the keys
// does not show: the first file of several servers, promoted, with objects in plaintext.
func TestResumeEndsARotationThatWasKilledAfterItsLastChangeOfTheFile(t *testing.T) {
	t.Parallel()
	dir := binary.DataDir(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	mustRun(t, "init", "--plaintext-first", file)
	binary.Start(t, dir, flag+file)
	args := []string{"rotate", file, "--data-dir", dir}
	killedAt(t, "has loaded another content", args...)
	if output := mustRun(t, "status", file, "--data-dir", dir); strings.Contains(output, "To be rewritten: 0\n") || !strings.Contains(output, "Rotation: none\n") {
		t.Fatalf("the command was not killed at that stage: %s", output)
	}
	mustRun(t, append(args, "--resume")...)
	if output := mustRun(t, "status", file, "--data-dir", dir); !strings.Contains(output, "To be rewritten: 0\n") || len(keyNames(t, file)) != 1 {
		t.Errorf("the status after --resume: %s", output)
	}
}
