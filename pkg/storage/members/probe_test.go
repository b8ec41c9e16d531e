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

package members

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestErrorsAreThoseOfTheConnection(t *testing.T) {
	late, cancel := context.WithTimeoutCause(t.Context(), 0, errTimeout)
	defer cancel()
	for _, row := range []struct {
		name string
		ctx  context.Context
		err  error
		want string
	}{
		{"a member that does not listen", t.Context(), status.Error(codes.Unavailable, `connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:2379: connect: connection refused"`), "dial tcp 127.0.0.1:2379: connect: connection refused"},
		{"a stopped member", late, status.Error(codes.DeadlineExceeded, "context deadline exceeded"), "no response within 1s"},
		{"a member that has been stopped for long", t.Context(), status.Error(codes.Unavailable, `connection error: desc = "error reading server preface: raw-read tcp 127.0.0.1:1->127.0.0.1:2: use of closed network connection"`), "it accepts connections and does not respond"},
		{"its connection", t.Context(), status.Error(codes.Unavailable, "keepalive ping failed to receive ACK within timeout"), "it accepts connections and does not respond"},
		{"the metrics", t.Context(), &url.Error{Op: "Get", URL: "https://etcd:2379/metrics", Err: errors.New("no route to host")}, "no route to host"},
		{"another error", t.Context(), errors.New("etcdserver: stopped"), "etcdserver: stopped"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := readable(row.ctx, row.err).Error(); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}
