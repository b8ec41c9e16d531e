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

// Package runtime is the interface between the agent of a host and its container runtime.
// Package simulated implements it; its methods map to those of CRI (k8s.io/cri-client).
//
// The agent decides what runs, a Runtime carries it out. A sandbox holds the containers of one
// Instance and is identified by the UID of the Instance; a container is identified by sandbox,
// name and attempt. Read Runtime.
package runtime

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Runtime runs the containers of one host. Its methods are idempotent, may be called
// concurrently, and return without waiting for the container: long operations (a pull, a start,
// a stop with its grace period) continue in the background. Sandbox shows their progress, and
// Watch announces it.
type Runtime interface {
	// Info returns the version and the health of the runtime. CRI: Version and Status.
	Info(ctx context.Context) (Info, error)

	// Sandbox returns the state of a sandbox; nil if there is none.
	// CRI: PodSandboxStatus, ListContainers and ContainerStatus.
	Sandbox(ctx context.Context, uid types.UID) (*Sandbox, error)

	// Sandboxes returns the UIDs of all sandboxes, also those that outlived an earlier process
	// of the agent. CRI: ListPodSandbox.
	Sandboxes(ctx context.Context) ([]types.UID, error)

	// RunSandbox creates the sandbox of an instance, with its network. It does not change a running
	// sandbox. CRI: RunPodSandbox, with an attempt above the highest that the runtime has.
	RunSandbox(ctx context.Context, instance *v1alpha1.Instance) error

	// PullImage returns nil if the image of a container is present, as its policy requires for this
	// attempt; ErrPulling while it is being pulled; otherwise the error of the last pull. The runtime
	// limits the rate of its attempts and announces the end of each, so every synchronization may
	// call this. CRI: ImageStatus and PullImage.
	PullImage(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container, attempt int32) error

	// StartContainer starts an attempt of a container in the sandbox of an instance. An earlier
	// container of the same name and attempt that has not started is replaced. It returns a
	// WaitingError while the runtime waits after a failed try. CRI: CreateContainer and StartContainer.
	StartContainer(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container, attempt int32) error

	// StopContainer ends a container: its program is signalled to exit, and killed after the grace
	// period. CRI: StopContainer.
	StopContainer(ctx context.Context, uid types.UID, name string, grace time.Duration) error

	// StopSandbox ends all containers of a sandbox in the same way, and no container starts in it
	// any more. A later call can shorten the grace period. CRI: StopContainer of each and
	// StopPodSandbox.
	StopSandbox(ctx context.Context, uid types.UID, grace time.Duration) error

	// RemoveSandbox stops what still runs, with the grace period of StopSandbox or else that of the
	// instance, and removes the sandbox, its containers and their logs. CRI: RemovePodSandbox.
	RemoveSandbox(ctx context.Context, uid types.UID) error

	// Watch calls changed with the UID of each sandbox that may have changed its state, or with an empty
	// one if all may have, until the context ends. Calls are hints: they may be early, repeated or missing. changed does not
	// block. CRI: GetContainerEvents, or a comparison of lists (PLEG).
	Watch(ctx context.Context, changed func(uid types.UID))
}

// Adopter is implemented by runtimes with sandboxes that do not outlive the process. A CRI runtime
// does not need it.
type Adopter interface {
	// Adopt restores the sandbox of an instance from the status that the agent last reported.
	Adopt(ctx context.Context, instance *v1alpha1.Instance) error
}

// Executor is implemented by runtimes with real containers. Without it, containers are ready as soon
// as they run.
type Executor interface {
	// ExecSync runs a command in a running container to its end. An error is one of the runtime;
	// context.DeadlineExceeded if the command did not end in time. CRI: ExecSync.
	ExecSync(ctx context.Context, uid types.UID, container string, command []string, timeout time.Duration) (exitCode int32, output string, err error)
}

// Provider prepares what containers use of the host and of the server: variables and volumes. Runtimes
// with real containers call it before they create one.
type Provider interface {
	// Provide returns what a container gets besides its image. It is called before each attempt. The
	// text of an error is reported as the reason why the container waits.
	Provide(ctx context.Context, instance *v1alpha1.Instance, container *v1alpha1.Container) (*Provision, error)
	// Logins returns the credentials of an instance for the registry of an image, in the order in which
	// they are tried; none if it has none.
	Logins(ctx context.Context, instance *v1alpha1.Instance, image string) ([]Login, error)
	// Provided returns the instances for which something was prepared, also by an earlier process of
	// the agent.
	Provided() ([]types.UID, error)
	// Release removes what was prepared for an instance. None of its containers runs any more.
	Release(uid types.UID) error
}

// Provision is what a container gets besides its image.
type Provision struct {
	// Env has each variable once, with its value.
	Env    []v1alpha1.EnvVar
	Mounts []Mount
}

// Mount is a file or directory of the host in a container.
type Mount struct {
	HostPath, ContainerPath string
	ReadOnly                bool
}

// Login is a credential for a registry.
type Login struct{ Server, Username, Password, IdentityToken string }

var (
	// ErrPulling is returned by PullImage while an image is being pulled.
	ErrPulling = errors.New("the image is being pulled")
	// ErrUnavailable is in the errors of a runtime that does not answer. Watch announces all sandboxes
	// when it answers again.
	ErrUnavailable = errors.New("the container runtime does not answer")
)

// WaitingError is the reason for which a container does not start yet. The runtime announces the
// time of the next try.
type WaitingError struct {
	// Reason is a CamelCase word for the status of the container, such as ImagePullBackOff.
	Reason string
	Err    error
}

// Error implements error.
func (e *WaitingError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *WaitingError) Unwrap() error { return e.Err }

// Info describes a runtime.
type Info struct {
	// Version is the name and version of the runtime, as in HostInfo: containerd://2.2.0.
	Version string
	// Ready reports whether the runtime can run containers; Reason and Message explain it, as in
	// the condition Ready of a Host.
	Ready           bool
	Reason, Message string
	// Conditions are further conditions of the Host, such as NetworkReady, without their times.
	Conditions []metav1.Condition
}

// Sandbox is the state of the sandbox of one instance.
type Sandbox struct {
	// IP is the address of the sandbox in the network of the host; empty if it has none.
	IP string
	// Stopping reports whether StopSandbox was called.
	Stopping bool
	// Failed reports whether the sandbox ended by itself, such as by a reboot: its containers must
	// end, and the next one starts in a sandbox that the runtime creates.
	Failed bool
	// Containers has the newest attempt of each container that was started, and the attempt
	// before it if the runtime still has it, in no particular order.
	Containers []Container
}

// ContainerState is the state of a container in its lifecycle, as in CRI.
type ContainerState int

const (
	// ContainerCreated has not started yet.
	ContainerCreated ContainerState = iota
	// ContainerRunning runs.
	ContainerRunning
	// ContainerExited has ended; it does not start again.
	ContainerExited
)

// Container is the state of one attempt of a container.
type Container struct {
	Name    string
	Attempt int32
	// Failures is the number of consecutive attempts before this one that ended soon.
	Failures int32
	// ID identifies the container at the runtime: containerd://8fc2...
	ID string
	// Image is the image as the specification named it, ImageID its digest.
	Image, ImageID string
	State          ContainerState
	// StartedAt and FinishedAt are set from ContainerRunning and ContainerExited on.
	StartedAt, FinishedAt time.Time
	// ExitCode, Reason (such as Completed, Error, OOMKilled) and Message describe the end of an exited
	// container. A program that a signal ended has 128 and the number of the signal.
	ExitCode        int32
	Reason, Message string
	// LogPath is the file with the output of the container, in CRI's format; empty if there is none.
	LogPath string
}

// Newest returns the newest attempt of a container and the attempt before it; nil where there is
// none.
func (s *Sandbox) Newest(name string) (newest, previous *Container) {
	for i := range s.Containers {
		switch c := &s.Containers[i]; {
		case c.Name != name:
		case newest == nil || c.Attempt > newest.Attempt:
			newest, previous = c, newest
		case previous == nil || c.Attempt > previous.Attempt:
			previous = c
		}
	}
	return newest, previous
}

// Exited reports whether no container of the sandbox runs or is about to.
func (s *Sandbox) Exited() bool {
	for i := range s.Containers {
		if s.Containers[i].State != ContainerExited {
			return false
		}
	}
	return true
}
