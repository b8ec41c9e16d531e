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
	"net/http"

	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

func (h *handler) log(w http.ResponseWriter, r *http.Request) error {
	options, previous, err := logOptions(r.URL.Query(), h.now())
	if err != nil {
		return err
	}
	a, err := h.find(r)
	if err != nil {
		return err
	}
	container, err := a.logged(r.PathValue("container"), previous)
	if err != nil {
		return err
	}
	out := &flushing{w: w}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if options.Follow {
		// The client learns that the request succeeds before the container writes something.
		out.flush()
	}
	err = h.containers.WriteLog(r.Context(), a.instance, container, options, out)
	if err != nil && out.started {
		// The end of the response is not the end of the log: the connection ends without it.
		klog.FromContext(r.Context()).Error(err, "Reading a log failed", "path", r.URL.Path)
		panic(http.ErrAbortHandler)
	}
	return err
}

// logged returns the attempt whose log is read, as a kubelet chooses it: of a container that waits
// for its next attempt, the last one is also the previous one.
func (a *attempts) logged(name string, previous bool) (*runtime.Container, error) {
	restarts := a.status != nil && a.status.State.Waiting != nil
	switch c := a.newest; {
	case c != nil && c.State != runtime.ContainerCreated && !previous:
		return c, nil
	case c != nil && c.State == runtime.ContainerExited && previous && restarts:
		return c, nil
	case a.previous != nil:
		return a.previous, nil
	case previous:
		return nil, refuse(http.StatusBadRequest, "previous terminated container %q of the instance %s not found: it has not been restarted, or its log was removed", name, a.instance.Name)
	}
	return nil, refuse(http.StatusBadRequest, "container %q of the instance %s is waiting to start: %s", name, a.instance.Name, a.waiting())
}

// flushing sends each write at once.
type flushing struct {
	w       http.ResponseWriter
	started bool
}

// Write implements io.Writer.
func (f *flushing) Write(data []byte) (int, error) {
	f.started = true
	n, err := f.w.Write(data)
	if err == nil {
		f.flush()
	}
	return n, err
}

func (f *flushing) flush() {
	f.started = true
	_ = http.NewResponseController(f.w).Flush() // a test's recorder cannot
}
