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
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/pflag"
	"go.opentelemetry.io/otel"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/client-go/transport"
	"k8s.io/component-base/tracing"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

const configFlag = "tracing-config-file"

// Options are the flags of tracing.
type Options struct {
	// ConfigFile has a TracingConfiguration of apiserver.config.k8s.io; empty for no tracing.
	ConfigFile string
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, configFlag, o.ConfigFile, "File with the TracingConfiguration (apiserver.config.k8s.io/v1) that names the endpoint of OTLP over gRPC to which spans of requests are exported, and which part of the requests is traced. Where empty, none are. It is read at the start.")
}

// Validate returns an error if the file is invalid.
func (o *Options) Validate() []error {
	if o.ConfigFile == "" {
		return nil
	}
	if errs := files.ValidateFlag(configFlag, o.ConfigFile); len(errs) > 0 {
		return errs
	}
	if _, err := genericoptions.ReadTracingConfiguration(o.ConfigFile); err != nil {
		return []error{flagError(err)}
	}
	return nil
}

func flagError(err error) error { return fmt.Errorf("--%s: %w", configFlag, err) }

// Apply sets the provider of spans of a server, and traces its loopback client, which must be set.
func (o *Options) Apply(generic *genericapiserver.Config) error {
	if o.ConfigFile == "" {
		return nil
	}
	// The library's wrapper hides the loopback transport, whose idle connections are closed during the shutdown.
	wrapped := generic.LoopbackClientConfig.WrapTransport
	library := genericoptions.TracingOptions{ConfigFile: o.ConfigFile}
	if err := library.ApplyTo(nil, generic); err != nil {
		return flagError(err)
	}
	generic.TracerProvider = provider{generic.TracerProvider}
	generic.LoopbackClientConfig.WrapTransport = transport.Wrappers(wrapped, o.Transport(generic))
	// Without these, OpenTelemetry writes to the standard error by itself.
	otel.SetLogger(klog.LoggerWithName(klog.Background(), "otel"))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		klog.ErrorS(err, "Exporting spans failed")
	}))
	return nil
}

// shutdownTimeout bounds the export of the last spans, so that a collector that does not respond delays no shutdown.
const shutdownTimeout = 2 * time.Second

// provider bounds the duration of its shutdown.
type provider struct{ tracing.TracerProvider }

// Shutdown implements tracing.TracerProvider.
func (p provider) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTimeout)
	defer cancel()
	return p.TracerProvider.Shutdown(ctx)
}

// Transport returns a function that traces the requests of a client, and nil without tracing.
func (o *Options) Transport(generic *genericapiserver.Config) transport.WrapperFunc {
	if o.ConfigFile == "" {
		return nil
	}
	trace := tracing.WrapperFor(generic.TracerProvider)
	return func(rt http.RoundTripper) http.RoundTripper { return &traced{trace(rt), rt} }
}

// traced is a transport that traces requests.
type traced struct {
	http.RoundTripper
	inner http.RoundTripper
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *traced) WrappedRoundTripper() http.RoundTripper { return t.inner }
