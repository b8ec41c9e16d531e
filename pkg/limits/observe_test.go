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

package limits

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"
)

func TestMetricsAndALogLineShowHowNearALimitIs(t *testing.T) {
	var log bytes.Buffer
	klog.LogToStderr(false)
	klog.SetOutput(&log)
	t.Cleanup(func() { klog.LogToStderr(true) })
	connections, connect := listen(t, 5)
	for range 4 {
		connect()
	}
	watches := &Watches{PerUser: 5, All: 10}
	for _, name := range []string{"busy", "busy", "busy", "busy", "other"} {
		if err := watches.begin(&user.DefaultInfo{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // Observe takes the numbers once before it returns
	Observe(ctx, connections, watches)
	klog.Flush()

	response := httptest.NewRecorder()
	legacyregistry.Handler().ServeHTTP(response, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	for _, line := range []string{
		`gatehouse_connections{authenticated="false"} 4`, `gatehouse_connections{authenticated="true"} 0`,
		"gatehouse_connections_limit 5", "gatehouse_watches 5", "gatehouse_watches_largest_user 4",
	} {
		if !strings.Contains(response.Body.String(), "\n"+line+"\n") {
			t.Errorf("the metrics have no line %q", line)
		}
	}
	for _, words := range []string{`of="connections" is=4 limit=5 cure="raise the limit of open files`, `of="watches of one user" is=4 limit=5 cure="raise --max-watches-per-user`, `busiestUser="busy"`} {
		if !strings.Contains(log.String(), words) {
			t.Errorf("the log does not contain %s:\n%s", words, log.String())
		}
	}
	if strings.Contains(log.String(), `of="watches" `) {
		t.Errorf("half of a limit is near:\n%s", log.String())
	}
}
