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
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	internalapi "k8s.io/cri-api/pkg/apis"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

const (
	// FirstBackOff and LastBackOff bound the time between tries of a start or a pull that fails.
	FirstBackOff = 10 * time.Second
	LastBackOff  = 5 * time.Minute
	// longRun is the duration of a run after which earlier failures do not count any more.
	longRun = 10 * time.Minute
	// pause is the time after which a failed stop or removal is tried again.
	pause = time.Second
	// parallelPulls is the maximum number of images that are pulled at a time.
	parallelPulls = 3
	// parallelStarts is the maximum number of instances whose containers are created at a time. Each costs a
	// third of a second of CPU time: with more of them all would be late.
	parallelStarts = 8
)

// Options are the settings of the runtime of a host.
type Options struct {
	// HostName separates the containers of this host from others of the same runtime.
	HostName string
	// LogDir is the directory of the logs of containers: <namespace>_<name>_<uid>/<container>/<attempt>.log.
	LogDir string
	// CgroupParent is the parent of the cgroups of containers, in the notation of the runtime's cgroup
	// driver.
	CgroupParent string
	// Provider prepares variables and volumes, and has the credentials of registries. If it is nil,
	// containers get the variables with a value only.
	Provider runtime.Provider
	// RelistInterval is the time between reads of all sandboxes and containers.
	RelistInterval time.Duration
	// Clock is the real one if nil.
	Clock clock.WithDelayedExecution
}

// Runtime implements runtime.Runtime by a CRI service.
type Runtime struct {
	options Options
	cri     internalapi.RuntimeService
	images  internalapi.ImageManagerService
	clock   clock.WithDelayedExecution
	// base is the context of operations in the background: a stop of the agent does not interrupt them.
	base context.Context

	mu sync.Mutex
	// pods are the known sandboxes with their containers and pending operations.
	pods map[types.UID]*pod
	// name is the name of the runtime, for the IDs of containers.
	name string
	// listed is set once all sandboxes are known. down is the error of the last read of all; nil after a
	// success.
	listed bool
	down   error
	// reads numbers the reads, so that an older result does not replace a newer one.
	reads   uint64
	pulls   map[string]*pull
	pulling chan struct{}
	// starting holds a token for each pod in which a goroutine creates a container.
	starting chan struct{}
	changed  func(types.UID)
	// operations counts the operations in the background.
	operations atomic.Int64
}

var _ runtime.Runtime = &Runtime{}

// New creates the runtime of a host. The context provides the logger.
func New(ctx context.Context, service internalapi.RuntimeService, images internalapi.ImageManagerService, options Options) *Runtime {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	if options.RelistInterval == 0 {
		options.RelistInterval = time.Second
	}
	return &Runtime{
		options: options, cri: service, images: images, clock: options.Clock, base: context.WithoutCancel(ctx),
		pods: map[types.UID]*pod{}, pulls: map[string]*pull{}, pulling: make(chan struct{}, parallelPulls), starting: make(chan struct{}, parallelStarts),
	}
}

// Info implements runtime.Runtime.
func (r *Runtime) Info(ctx context.Context) (runtime.Info, error) {
	ctx = quiet(ctx)
	version, err := r.cri.Version(ctx, "")
	if err != nil {
		return runtime.Info{}, unavailable(err)
	}
	r.mu.Lock()
	r.name = version.RuntimeName
	r.mu.Unlock()
	info := runtime.Info{
		Version: version.RuntimeName + "://" + version.RuntimeVersion, Ready: true, Reason: "RuntimeReady",
		Message: "the runtime and its network are ready",
	}
	response, err := r.cri.Status(ctx, false)
	if err != nil {
		return runtime.Info{}, unavailable(err)
	}
	for _, reported := range response.GetStatus().GetConditions() {
		condition := metav1.Condition{Type: reported.Type, Status: metav1.ConditionTrue, Reason: "Ready", Message: reported.Message}
		switch {
		case reported.Type != criv1.RuntimeReady && reported.Type != criv1.NetworkReady:
			continue
		case !reported.Status:
			condition.Status, condition.Reason = metav1.ConditionFalse, reported.Reason
			if condition.Reason == "" {
				condition.Reason = "NotReady"
			}
			info.Ready, info.Reason, info.Message = false, condition.Reason, reported.Message
		}
		info.Conditions = append(info.Conditions, condition)
	}
	return info, nil
}

// Sandbox implements runtime.Runtime.
func (r *Runtime) Sandbox(ctx context.Context, uid types.UID) (*runtime.Sandbox, error) {
	r.mu.Lock()
	first := !r.listed && r.down == nil
	r.mu.Unlock()
	if first {
		if _, err := r.Info(ctx); err != nil {
			return nil, err
		}
		r.relist(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[uid]
	switch {
	case r.down != nil:
		return nil, r.down
	case p == nil:
		return nil, nil
	case p.unknown != nil:
		return nil, p.unknown
	}
	return r.report(p), nil
}

// Sandboxes implements runtime.Runtime.
func (r *Runtime) Sandboxes(ctx context.Context) ([]types.UID, error) {
	r.relist(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return nil, r.down
	}
	var uids []types.UID
	for uid, p := range r.pods {
		if len(p.sandboxes) > 0 && !p.removing {
			uids = append(uids, uid)
		}
	}
	return append(uids, r.leftovers()...), nil
}

// leftovers returns the instances for which something was prepared and that have no sandbox. It is
// called with the lock held.
func (r *Runtime) leftovers() []types.UID {
	if r.options.Provider == nil {
		return nil
	}
	provided, err := r.options.Provider.Provided()
	if err != nil {
		klog.FromContext(r.base).Error(err, "Listing the volumes of instances failed, retrying")
	}
	return slices.DeleteFunc(provided, func(uid types.UID) bool { return r.pods[uid] != nil })
}

// RestartBackOff returns the delay before the next attempt, as a kubelet: none after the first
// failure, then FirstBackOff, doubled with each further one up to LastBackOff. A long run clears it.
func RestartBackOff(_ string, exited *runtime.Container) time.Duration {
	if exited.Failures == 0 || exited.FinishedAt.Sub(exited.StartedAt) >= longRun {
		return 0
	}
	return doubled(exited.Failures - 1)
}

// doubled returns the back-off after a number of earlier failures.
func doubled(failures int32) time.Duration {
	return min(FirstBackOff<<min(failures, 10), LastBackOff)
}

// background runs an operation in a goroutine. It is called with the lock held.
func (r *Runtime) background(operation func(ctx context.Context)) {
	r.operations.Add(1)
	go func() {
		defer r.operations.Add(-1)
		operation(quiet(r.base))
	}()
}

// Pending returns the number of operations in the background, without those that wait for another
// try.
func (r *Runtime) Pending() int { return int(r.operations.Load()) }

// after runs f with the lock held when the time is over.
func (r *Runtime) after(d time.Duration, f func()) {
	r.clock.AfterFunc(d, func() {
		r.operations.Add(1)
		go func() { // a fake clock holds its lock here
			defer r.operations.Add(-1)
			r.mu.Lock()
			defer r.mu.Unlock()
			f()
		}()
	})
}

// announce is called with the lock held; the function that Watch got only marks the instance.
func (r *Runtime) announce(uid types.UID) {
	if r.changed != nil {
		r.changed(uid)
	}
}

// logFailure logs an error of an operation that is tried again.
func (r *Runtime) logFailure(err error, message string, uid types.UID) {
	klog.FromContext(r.base).Error(err, message, "uid", uid)
}

// quiet returns a context without a logger: the client logs every failure, also those that are tried again or
// expected.
func quiet(ctx context.Context) context.Context { return klog.NewContext(ctx, klog.Logger{}) }

// unavailable wraps an error of a runtime that does not answer.
func unavailable(err error) error {
	return fmt.Errorf("%w: %s", runtime.ErrUnavailable, text(err))
}

// text returns the message of an error of gRPC without its code.
func text(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// gone reports whether an error says that the object does not exist.
func gone(err error) bool { return status.Code(err) == codes.NotFound }

var errStopping = errors.New("the instance is being stopped")
