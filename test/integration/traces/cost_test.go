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

package traces

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// BenchmarkTraces compares requests with traces and without them, of one client in the process of the server:
//
//	go test ./test/integration/traces -run none -bench Traces -count 5
func BenchmarkTraces(b *testing.B) {
	modes := []diagnostics.Mode{diagnostics.Off, diagnostics.All}
	type side struct {
		client *http.Client
		url    string
	}
	sides := map[diagnostics.Mode]side{}
	for _, mode := range modes {
		server := servertesting.Start(b, func(o *options.Options) { o.Traces.Mode = mode })
		client, err := rest.HTTPClientFor(server.Config)
		if err != nil {
			b.Fatal(err)
		}
		sides[mode] = side{client, server.URL}
	}
	number := 0
	send := func(b *testing.B, s side, method, path, body string, code int) {
		request, err := http.NewRequestWithContext(b.Context(), method, s.url+path, strings.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		request.Header.Set("Content-Type", harness.JSONBody)
		response, err := s.client.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if response.StatusCode != code {
			b.Fatalf("%s %s: %d", method, path, response.StatusCode)
		}
	}
	for _, mode := range modes {
		send(b, sides[mode], http.MethodPost, mapsPath, createMap("there", "x"), http.StatusCreated)
	}
	for _, kind := range []string{"get", "create"} {
		for _, mode := range modes {
			b.Run(kind+"/"+string(mode), func(b *testing.B) {
				for b.Loop() {
					if kind == "get" {
						send(b, sides[mode], http.MethodGet, mapsPath+"/there", "", http.StatusOK)
						continue
					}
					number++
					send(b, sides[mode], http.MethodPost, mapsPath, createMap(fmt.Sprint("map-", number), "x"), http.StatusCreated)
				}
			})
		}
	}
}
