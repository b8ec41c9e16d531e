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

package tracing

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/tracing"
)

func TestAWrongFileNamesTheFlag(t *testing.T) {
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\n"
	for _, tc := range []struct {
		name, content string
		says          string // empty: it is valid
	}{
		{"a valid file", head + "endpoint: 127.0.0.1:4317\nsamplingRatePerMillion: 100\n", ""},
		{"the earlier version", strings.Replace(head, "/v1", "/v1beta1", 1), ""},
		{"an unknown field", head + "endpint: 127.0.0.1:4317\n", `--tracing-config-file: unable to decode tracing configuration data: strict decoding error: unknown field "endpint"`},
		{"another kind", strings.Replace(head, "Tracing", "Egress", 1), "--tracing-config-file: unable to decode"},
		{"a rate above all", head + "samplingRatePerMillion: 1000001\n", "--tracing-config-file: failed to validate tracing configuration: samplingRatePerMillion: Invalid value: 1000001"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tracing.yaml")
			if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			o := &Options{ConfigFile: file}
			errs := o.Validate()
			if len(errs) == 0 {
				if err := o.Apply(&genericapiserver.Config{LoopbackClientConfig: &rest.Config{}, TracerProvider: tracing.NewNoopTracerProvider()}); err != nil {
					errs = append(errs, err)
				}
			}
			if (len(errs) == 0) != (tc.says == "") || len(errs) > 0 && !strings.HasPrefix(errs[0].Error(), tc.says) {
				t.Errorf("got %v, want %q", errs, tc.says)
			}
		})
	}
}

// idle counts how often its idle connections are closed.
type idle struct{ closed int }

func (*idle) RoundTrip(*http.Request) (*http.Response, error) { return nil, http.ErrNotSupported }

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestIdleConnectionsOfATracedClientAreClosed(t *testing.T) {
	o := &Options{ConfigFile: "given"}
	inner := &idle{}
	utilnet.CloseIdleConnectionsFor(o.Transport(&genericapiserver.Config{TracerProvider: tracing.NewNoopTracerProvider()})(inner))
	if inner.closed != 1 {
		t.Errorf("they were closed %d times", inner.closed)
	}
}

// waiting is a provider whose collector does not respond.
type waiting struct{ tracing.TracerProvider }

func (waiting) Shutdown(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestACollectorThatDoesNotRespondDelaysNoShutdown(t *testing.T) {
	if err := (provider{waiting{}}).Shutdown(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestWithoutAFileNothingIsTraced(t *testing.T) {
	generic := &genericapiserver.Config{LoopbackClientConfig: &rest.Config{}}
	o := &Options{}
	if err := o.Apply(generic); err != nil || generic.TracerProvider != nil || generic.LoopbackClientConfig.WrapTransport != nil || o.Transport(generic) != nil {
		t.Errorf("%v: %+v", err, generic)
	}
}
