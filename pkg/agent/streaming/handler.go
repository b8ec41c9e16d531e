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

package streaming

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Instances has the instances that the agent has accepted.
type Instances interface {
	// Instance returns nil if the host has no instance of the name.
	Instance(namespace, name string) *v1alpha1.Instance
}

// Containers is the part of a runtime that the handler calls.
type Containers interface {
	Sandbox(ctx context.Context, uid types.UID) (*runtime.Sandbox, error)
	runtime.Streamer
}

// handler serves the routes of the package.
type handler struct {
	instances  Instances
	containers Containers
	now        func() time.Time
}

// New returns the handler of a host. It reaches the containers of accepted instances and nothing else.
// The texts of its errors are for users.
func New(instances Instances, containers Containers) http.Handler {
	h := &handler{instances: instances, containers: containers, now: time.Now}
	const instance = "/v1/instances/{namespace}/{name}/{uid}"
	mux := http.NewServeMux()
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request) error{
		"GET " + instance + "/{container}/log":     h.log,
		"GET " + instance + "/{container}/exec":    h.exec,
		"POST " + instance + "/{container}/exec":   h.exec,
		"GET " + instance + "/{container}/attach":  h.attach,
		"POST " + instance + "/{container}/attach": h.attach,
		"GET " + instance + "/portforward":         h.portForward,
		"POST " + instance + "/portforward":        h.portForward,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				fail(w, r, err)
			}
		})
	}
	return mux
}

// statusError is an error with its HTTP status.
type statusError struct {
	code int
	text string
}

// Error implements error.
func (e *statusError) Error() string { return e.text }

func refuse(code int, format string, args ...any) error {
	return &statusError{code: code, text: fmt.Sprintf(format, args...)}
}

// fail responds with the text of an error, as a kubelet does: the API server makes a Status of it.
func fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	if status := (*statusError)(nil); errors.As(err, &status) {
		code = status.code
	} else if errors.Is(err, runtime.ErrUnavailable) {
		code = http.StatusServiceUnavailable
	}
	if code >= http.StatusInternalServerError {
		klog.FromContext(r.Context()).Error(err, "Request of the server failed", "path", r.URL.Path)
	}
	http.Error(w, err.Error(), code)
}

// instance returns the instance of a request and its sandbox, which is nil if there is none. An instance of the
// same name with another UID is another instance.
func (h *handler) instance(r *http.Request) (*v1alpha1.Instance, *runtime.Sandbox, error) {
	namespace, name, uid := r.PathValue("namespace"), r.PathValue("name"), types.UID(r.PathValue("uid"))
	instance := h.instances.Instance(namespace, name)
	switch {
	case instance == nil:
		return nil, nil, refuse(http.StatusNotFound, "the host has no instance %s/%s", namespace, name)
	case uid == "" || instance.UID != uid:
		return nil, nil, refuse(http.StatusNotFound, "the instance %s/%s on the host has the UID %s, not %s: it was replaced, repeat the request", namespace, name, instance.UID, uid)
	}
	sandbox, err := h.containers.Sandbox(r.Context(), uid)
	return instance, sandbox, err
}

// attempts has what the runtime has of a container of an instance.
type attempts struct {
	instance *v1alpha1.Instance
	// status is the status as last reported; nil if there is none.
	status *v1alpha1.ContainerStatus
	// newest and previous are nil where there is none.
	newest, previous *runtime.Container
}

// find returns the container of a request.
func (h *handler) find(r *http.Request) (*attempts, error) {
	instance, sandbox, err := h.instance(r)
	if err != nil {
		return nil, err
	}
	name := r.PathValue("container")
	known := false
	for i := range instance.Spec.Containers {
		known = known || instance.Spec.Containers[i].Name == name
	}
	if !known {
		return nil, refuse(http.StatusNotFound, "the instance %s/%s has no container %s", instance.Namespace, instance.Name, name)
	}
	a := &attempts{instance: instance}
	for i := range instance.Status.ContainerStatuses {
		if status := &instance.Status.ContainerStatuses[i]; status.Name == name {
			a.status = status
		}
	}
	if sandbox != nil {
		a.newest, a.previous = sandbox.Newest(name)
	}
	return a, nil
}

// waiting returns the reason for which a container has not started, such as ImagePullBackOff.
func (a *attempts) waiting() string {
	switch {
	case a.status == nil || a.status.State.Waiting == nil || a.status.State.Waiting.Reason == "":
		return "ContainerCreating"
	case a.status.State.Waiting.Message != "":
		return a.status.State.Waiting.Reason + ": " + a.status.State.Waiting.Message
	}
	return a.status.State.Waiting.Reason
}

// running returns the running container of a request.
func (h *handler) running(r *http.Request) (*v1alpha1.Instance, *runtime.Container, error) {
	a, err := h.find(r)
	if err != nil {
		return nil, nil, err
	}
	name := r.PathValue("container")
	switch {
	case a.newest == nil || a.newest.State == runtime.ContainerCreated:
		return nil, nil, refuse(http.StatusBadRequest, "container %q of the instance %s is waiting to start: %s", name, a.instance.Name, a.waiting())
	case a.newest.State == runtime.ContainerExited:
		return nil, nil, refuse(http.StatusBadRequest, "container %q of the instance %s is not running: it ended with the exit code %d (%s)", name, a.instance.Name, a.newest.ExitCode, a.newest.Reason)
	}
	return a.instance, a.newest, nil
}

func (h *handler) exec(w http.ResponseWriter, r *http.Request) error {
	streams, err := streamOptions(r.URL.Query())
	if err != nil {
		return err
	}
	command := r.URL.Query()["command"]
	if len(command) == 0 || command[0] == "" {
		return refuse(http.StatusBadRequest, "command is missing: name the program to execute")
	}
	instance, container, err := h.running(r)
	if err != nil {
		return err
	}
	served, err := h.containers.Exec(r.Context(), instance, container, command, streams)
	return serve(w, r, served, err)
}

func (h *handler) attach(w http.ResponseWriter, r *http.Request) error {
	streams, err := streamOptions(r.URL.Query())
	if err != nil {
		return err
	}
	instance, container, err := h.running(r)
	if err != nil {
		return err
	}
	served, err := h.containers.Attach(r.Context(), instance, container, streams)
	return serve(w, r, served, err)
}

func (h *handler) portForward(w http.ResponseWriter, r *http.Request) error {
	instance, sandbox, err := h.instance(r)
	if err != nil {
		return err
	}
	if sandbox == nil || sandbox.Failed {
		return refuse(http.StatusBadRequest, "the instance %s does not run: nothing listens on its ports", instance.Name)
	}
	served, err := h.containers.PortForward(r.Context(), instance)
	return serve(w, r, served, err)
}

// serve serves a request by the handler of the runtime.
func serve(w http.ResponseWriter, r *http.Request, served http.Handler, err error) error {
	if err != nil {
		return err
	}
	served.ServeHTTP(w, r)
	return nil
}
