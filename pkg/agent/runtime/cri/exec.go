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
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	client "k8s.io/cri-client/pkg"
	"k8s.io/utils/exec"

	"github.com/gatehouse-dev/gatehouse/pkg/agent/runtime"
)

var _ runtime.Executor = &Runtime{}

// ExecSync implements runtime.Executor.
func (r *Runtime) ExecSync(ctx context.Context, uid types.UID, name string, command []string, timeout time.Duration) (code int32, output string, err error) {
	id := r.running(uid, name)
	if id == "" {
		return 0, "", fmt.Errorf("container %s does not run", name)
	}
	stdout, stderr, err := r.cri.ExecSync(quiet(ctx), id, command, timeout)
	output = string(stdout) + string(stderr)
	var exited exec.ExitError
	switch {
	case err == nil:
		return 0, output, nil
	case errors.As(err, &exited):
		return int32(exited.ExitStatus()), output, nil
	case errors.Is(err, client.ErrCommandTimedOut), status.Code(err) == codes.DeadlineExceeded, errors.Is(err, context.DeadlineExceeded):
		return 0, output, context.DeadlineExceeded
	}
	return 0, output, unavailable(err)
}

// running returns the ID of the running container of a name; empty if none runs.
func (r *Runtime) running(uid types.UID, name string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pods[uid]; p != nil {
		for id, c := range p.containers {
			if c.Name == name && c.state == criv1.ContainerState_CONTAINER_RUNNING {
				return id
			}
		}
	}
	return ""
}
