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

package cri

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	critesting "k8s.io/cri-api/pkg/apis/testing"
	"k8s.io/klog/v2"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// newRuntime returns a runtime on the official fakes, with a clock that the test sets.
func newRuntime(t *testing.T) (*Runtime, *critesting.FakeRuntimeService, *critesting.FakeImageService, *clocktesting.FakeClock) {
	t.Helper()
	service, images, clock := critesting.NewFakeRuntimeService(), critesting.NewFakeImageService(), clocktesting.NewFakeClock(time.Unix(1000, 0))
	ctx := klog.NewContext(t.Context(), klog.Logger{})
	return New(ctx, service, images, Options{HostName: "edge-1", LogDir: t.TempDir(), Clock: clock}), service, images, clock
}

// settle waits until no operation is left.
func settle(t *testing.T, r *Runtime) {
	t.Helper()
	kit.Eventually(t, "no operation is left", func(context.Context) bool { return r.Pending() == 0 })
}

func reasonOf(err error) string {
	var waiting *runtime.WaitingError
	switch {
	case err == nil:
		return "present"
	case errors.Is(err, runtime.ErrPulling):
		return "pulling"
	case errors.As(err, &waiting):
		return waiting.Reason
	}
	return err.Error()
}

func TestAnImageIsPulledByItsPolicy(t *testing.T) {
	unreachable, missing := errors.New("dial tcp: connection refused"), status.Error(codes.NotFound, "no such image")
	for _, tc := range []struct {
		name    string
		policy  v1alpha1.PullPolicy
		present bool
		errs    []error
		// want are the results of calls, each after the operations of the one before, and with the time of the
		// backoff between them.
		want []string
		// pulls is the number of pulls.
		pulls int
	}{
		{"present", v1alpha1.PullIfNotPresent, true, nil, []string{"present"}, 0},
		{"absent", v1alpha1.PullIfNotPresent, false, nil, []string{"pulling", "present", "present"}, 1},
		{"absent from the registry", v1alpha1.PullIfNotPresent, false, []error{missing, missing}, []string{"pulling", "ErrImagePull", "ErrImagePull", "ImagePullBackOff", "present"}, 3},
		{"never, present", v1alpha1.PullNever, true, nil, []string{"present"}, 0},
		{"never, absent", v1alpha1.PullNever, false, nil, []string{"ErrImageNeverPull"}, 0},
		{"always, present", v1alpha1.PullAlways, true, nil, []string{"pulling", "present", "present"}, 1},
		{"always, without the registry", v1alpha1.PullAlways, true, []error{unreachable}, []string{"pulling", "present"}, 1},
		{"always, refused by the registry", v1alpha1.PullAlways, true, []error{missing}, []string{"pulling", "ErrImagePull"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _, images, clock := newRuntime(t)
			if tc.present {
				images.SetFakeImages([]string{"web:1"})
			}
			for _, err := range tc.errs {
				images.InjectError("PullImage", err)
			}
			var announced []types.UID
			r.changed = func(uid types.UID) { announced = append(announced, uid) }
			i := instance(func(i *v1alpha1.Instance) { i.Spec.Containers[0].ImagePullPolicy = tc.policy })
			var got []string
			for range tc.want {
				got = append(got, reasonOf(r.PullImage(t.Context(), i, &i.Spec.Containers[0], 0)))
				settle(t, r)
				if len(got) > 1 {
					clock.Step(LastBackOff)
					settle(t, r)
				}
			}
			pulls := 0
			for _, call := range images.Called {
				if call == "PullImage" {
					pulls++
				}
			}
			if !slices.Equal(got, tc.want) || pulls != tc.pulls {
				t.Errorf("got %q and %d pulls, want %q and %d", got, pulls, tc.want, tc.pulls)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if pulls > 0 && len(announced) == 0 {
				t.Error("the end of the pull is not announced")
			}
		})
	}
}

func TestAnotherAttemptOfAContainerPullsAnImageOfThePolicyAlwaysAgain(t *testing.T) {
	r, _, images, _ := newRuntime(t)
	i := instance(func(i *v1alpha1.Instance) { i.Spec.Containers[0].ImagePullPolicy = v1alpha1.PullAlways })
	for attempt := range int32(2) {
		for _, want := range []string{"pulling", "present"} {
			if got := reasonOf(r.PullImage(t.Context(), i, &i.Spec.Containers[0], attempt)); got != want {
				t.Errorf("attempt %d: %s, want %s", attempt, got, want)
			}
			settle(t, r)
		}
	}
	if len(images.Called) != 2 {
		t.Errorf("calls: %v", images.Called)
	}
}

func TestALogIsRotatedAndTheOldestFilesAreRemoved(t *testing.T) {
	r, service, _, clock := newRuntime(t)
	path := filepath.Join(r.options.LogDir, "0.log")
	for range maxLogFiles + 2 {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.rotateLog(t.Context(), "c", path); err != nil {
			t.Fatal(err)
		}
		clock.Step(time.Minute)
	}
	if old := RotatedLogs(path); len(old) != maxLogFiles-1 || !slices.IsSorted(old) {
		t.Errorf("the files are %v", old)
	}
	if err := os.WriteFile(path, []byte("still written to"), 0o600); err != nil {
		t.Fatal(err)
	}
	service.InjectError("ReopenContainerLog", errors.New("no"))
	if err := r.rotateLog(t.Context(), "c", path); err == nil {
		t.Error("the failure is not returned")
	}
	if data, err := os.ReadFile(path); err != nil || string(data) != "still written to" {
		t.Errorf("the log is %q, %v", data, err)
	}
	removeLogs(path)
	if entries, err := os.ReadDir(r.options.LogDir); err != nil || len(entries) != 0 {
		t.Errorf("%v are left, %v", entries, err)
	}
}

func TestASandboxThatCannotBeCreatedIsTriedAgainAfterABackOff(t *testing.T) {
	r, service, _, clock := newRuntime(t)
	service.InjectError("RunPodSandbox", errors.New("no address is left"))
	i := instance()
	start := func() string {
		t.Helper()
		err := r.StartContainer(t.Context(), i, &i.Spec.Containers[0], 0)
		settle(t, r)
		return reasonOf(err)
	}
	for n, want := range []string{"present", "CreateSandboxError", "CreateSandboxError"} {
		if got := start(); got != want {
			t.Errorf("try %d: %q, want %q", n, got, want)
		}
	}
	clock.Step(FirstBackOff)
	settle(t, r)
	if got := start(); got != "present" {
		t.Errorf("after the backoff: %q", got)
	}
	sandbox, err := r.Sandbox(t.Context(), "u")
	if err != nil || sandbox == nil || len(sandbox.Containers) != 1 || sandbox.Containers[0].State != runtime.ContainerRunning {
		t.Errorf("%+v, %v", sandbox, err)
	}
}
