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

package helm

import (
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const chart = "testdata/chart"

func TestHelmWaitsUntilAnAppIsHealthyOrCannotBecomeSo(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		values string
		quota  bool
		// available is the number of available instances when Helm has ended.
		available int64
		// fails is a part of the error of `helm install --wait`; "" if the App becomes healthy.
		fails   string
		timeout string
		kstatus status.Status
	}{
		"healthy":        {values: "replicas=2,minReadySeconds=1", available: 2, timeout: "90s", kstatus: status.CurrentStatus},
		"scaled to zero": {values: "replicas=0", timeout: "90s", kstatus: status.CurrentStatus},
		"slow, because instances must be ready for an hour": {
			values: "minReadySeconds=3600,progressDeadlineSeconds=7200", timeout: "5s", fails: "status: InProgress", kstatus: status.InProgressStatus,
		},
		"slow, because no host has room": {values: "cpu=4k", timeout: "5s", fails: "status: InProgress", kstatus: status.InProgressStatus},
		// Helm stops waiting as soon as the state is final, long before its timeout.
		"broken by its image": {
			values: "image=web:bad,progressDeadlineSeconds=5", timeout: "10m", fails: "status: Failed", kstatus: status.FailedStatus,
		},
		"refused by the quota": {values: "replicas=1", quota: true, timeout: "10m", fails: "status: Failed", kstatus: status.FailedStatus},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := s.namespace(t)
			if c.quota {
				s.noRoom(t, namespace)
			}
			output, err := s.helm(t, namespace, "install", "web", chart, "--set", c.values, "--wait", "--timeout", c.timeout)
			state := "1 deployed"
			if c.fails != "" {
				state = "1 failed"
			}
			switch {
			case c.fails == "" && err != nil:
				t.Errorf("helm install --wait: %v\n%s", err, output)
			case c.fails != "" && (err == nil || !strings.Contains(output, c.fails)):
				t.Errorf("helm install --wait: %v, want an error with %q\n%s", err, c.fails, output)
			}
			if got := s.revisions(t, namespace, "web"); !slices.Equal(got, []string{state}) {
				t.Errorf("the release is %q, want %q", got, state)
			}
			app := s.app(t, namespace, "web")
			if got := kstatus(t, app); got != c.kstatus {
				t.Errorf("kstatus: %s, want %s", got, c.kstatus)
			}
			if got, _, _ := unstructured.NestedInt64(app.Object, "status", "availableReplicas"); got != c.available {
				t.Errorf("%d instances are available, want %d", got, c.available)
			}
		})
	}
}

func TestHelmUpgradesRollsBackAndUninstalls(t *testing.T) {
	s := start(t)
	namespace := s.namespace(t)
	wait := []string{"--wait", "--timeout", "90s"}
	helm := func(args ...string) string { t.Helper(); return s.mustHelm(t, namespace, append(args, wait...)...) }
	// check compares the image and the revisions after Helm has ended.
	check := func(wantImage string, wantRevisions ...string) {
		t.Helper()
		app := s.app(t, namespace, "web")
		if got := image(t, app); got != wantImage {
			t.Errorf("the image is %s, want %s", got, wantImage)
		}
		if got := kstatus(t, app); got != status.CurrentStatus {
			t.Errorf("kstatus: %s, want Current", got)
		}
		if got := s.revisions(t, namespace, "web"); !slices.Equal(got, wantRevisions) {
			t.Errorf("revisions %q, want %q", got, wantRevisions)
		}
	}

	helm("install", "web", chart)
	check("registry.example.com/web:1.0", "1 deployed")
	helm("upgrade", "web", chart, "--set", "image=registry.example.com/web:2.0,replicas=3")
	check("registry.example.com/web:2.0", "1 superseded", "2 deployed")

	output, err := s.helm(t, namespace, "upgrade", "web", chart, "--set", "image=web:bad,replicas=3,progressDeadlineSeconds=5",
		"--rollback-on-failure", "--timeout", "10m")
	if err == nil || !strings.Contains(output, "Failed") {
		t.Errorf("the upgrade to a broken image: %v\n%s", err, output)
	}
	check("registry.example.com/web:2.0", "1 superseded", "2 superseded", "3 failed", "4 deployed")

	helm("rollback", "web", "1")
	check("registry.example.com/web:1.0", "1 superseded", "2 superseded", "3 failed", "4 superseded", "5 deployed")
	helm("uninstall", "web")
	if app := s.app(t, namespace, "web"); app != nil {
		t.Errorf("after helm uninstall --wait the App is still there: %v", app.Object["metadata"])
	}
}

func TestHelmRollsBackWhatCannotBecomeHealthyAndNothingElse(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		values string
		// quota refuses every further instance, from the upgrade on.
		quota bool
		// fails is a part of Helm's error; "" if the upgrade succeeds.
		fails string
		image string
		want  []string
	}{
		"slow and in time": {
			values: "image=web:2.0,minReadySeconds=5", image: "web:2.0", want: []string{"1 superseded", "2 deployed"},
		},
		"scaled to zero": {
			values: "image=web:2.0,replicas=0", image: "web:2.0", want: []string{"1 superseded", "2 deployed"},
		},
		"refused by the quota": {
			values: "image=web:2.0", quota: true, fails: "status: Failed",
			image: "web:1.0", want: []string{"1 superseded", "2 failed", "3 deployed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := s.namespace(t)
			s.mustHelm(t, namespace, "install", "web", chart, "--set", "image=web:1.0", "--wait", "--timeout", "90s")
			if c.quota {
				s.noRoom(t, namespace)
			}
			output, err := s.helm(t, namespace, "upgrade", "web", chart, "--set", c.values, "--rollback-on-failure", "--timeout", "10m")
			if (err != nil) != (c.fails != "") || !strings.Contains(output, c.fails) {
				t.Errorf("helm upgrade: %v, want an error with %q\n%s", err, c.fails, output)
			}
			app := s.app(t, namespace, "web")
			if got := image(t, app); got != c.image {
				t.Errorf("the image is %s, want %s", got, c.image)
			}
			if got := kstatus(t, app); got != status.CurrentStatus {
				t.Errorf("kstatus: %s, want Current", got)
			}
			if got := s.revisions(t, namespace, "web"); !slices.Equal(got, c.want) {
				t.Errorf("revisions %q, want %q", got, c.want)
			}
		})
	}
}

func TestHelmRemovesWhatItCouldNotInstall(t *testing.T) {
	s := start(t)
	for name, c := range map[string]struct {
		values string
		quota  bool
	}{
		"broken by its image":  {values: "image=web:bad,progressDeadlineSeconds=5"},
		"refused by the quota": {values: "replicas=1", quota: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := s.namespace(t)
			if c.quota {
				s.noRoom(t, namespace)
			}
			output, err := s.helm(t, namespace, "install", "web", chart, "--set", c.values, "--rollback-on-failure", "--timeout", "10m")
			if err == nil {
				t.Errorf("Helm installed the App\n%s", output)
			}
			if app := s.app(t, namespace, "web"); app != nil && app.GetDeletionTimestamp() == nil {
				t.Errorf("the App is still there\n%s", output)
			}
			if list := s.mustHelm(t, namespace, "list", "--short"); strings.TrimSpace(list) != "" {
				t.Errorf("Helm still lists %q", list)
			}
		})
	}
}
