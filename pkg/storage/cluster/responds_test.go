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

package cluster

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
)

// deaf returns an address that accepts connections and never answers, as that of a stopped process does.
func deaf(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return "https://" + listener.Addr().String()
}

func TestAMemberRunsIfItAnswersAHandshake(t *testing.T) {
	running := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(running.Close)
	ended := httptest.NewTLSServer(http.NotFoundHandler())
	ended.Close()
	for _, c := range []struct {
		name string
		urls []string
		want bool
	}{
		{"a process that runs", []string{running.URL}, true},
		{"a process that has ended", []string{ended.URL}, false},
		{"a process that is stopped, or has ended behind a proxy", []string{deaf(t)}, false},
		{"one of two addresses answers", []string{ended.URL, running.URL}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if got := (&Cluster{}).responds(ctx, &etcdserverpb.Member{PeerURLs: c.urls}); got != c.want {
				t.Errorf("responds = %v, want %v", got, c.want)
			}
		})
	}
}
