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

// Package serving serves the health and the metrics of `gatehouse controllers`, as
// kube-controller-manager does: /healthz, /livez and /readyz without authentication, and /metrics to users
// that the API server authenticates and authorizes. Read Options.Serve.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/workqueue" // metrics of the controllers' queues
	"k8s.io/klog/v2"
)

// Options are the addresses of health and metrics.
type Options struct {
	// BindAddress is an IP address.
	BindAddress string
	// Port is a TCP port; 0 serves nothing.
	Port int
}

// DefaultOptions returns a port of the loopback interface, next to those of the components of
// Kubernetes (10248 to 10260).
func DefaultOptions() Options { return Options{BindAddress: "127.0.0.1", Port: 10263} }

// AddFlags adds the flags, which are named as those of kube-controller-manager.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.BindAddress, "bind-address", o.BindAddress, "IP address on which --secure-port is served.")
	fs.IntVar(&o.Port, "secure-port", o.Port, "Port on which /healthz, /livez, /readyz and /metrics are served over HTTPS, with a self-signed certificate. Clients of /metrics need a bearer token whose user may get the path. If 0, nothing is served.")
}

// Validate returns everything that is wrong with the flags.
func (o *Options) Validate() []error {
	var errs []error
	if net.ParseIP(o.BindAddress) == nil {
		errs = append(errs, fmt.Errorf("--bind-address=%q is not an IP address: use 127.0.0.1, or 0.0.0.0 for all interfaces", o.BindAddress))
	}
	if o.Port < 0 || o.Port > 65535 {
		errs = append(errs, fmt.Errorf("--secure-port=%d is not a port: use a number from 1 to 65535, or 0 to serve nothing", o.Port))
	}
	return errs
}

// ValidateHealthAddress validates --health-address, which may be empty.
func ValidateHealthAddress(address string) []error {
	if address == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return []error{fmt.Errorf("--health-address=%q is not of the form ADDR:PORT: write it as 127.0.0.1:8081", address)}
	}
	return nil
}

// Health is the input of the health endpoints.
type Health struct {
	// WatchDog reports whether the lease is renewed in time; nil without leader election.
	WatchDog *leaderelection.HealthzAdaptor
	// HasSynced reports whether the informers have synced.
	HasSynced func() bool
}

func (h Health) install(mux *http.ServeMux) {
	live := []healthz.HealthChecker{healthz.PingHealthz}
	if h.WatchDog != nil {
		live = append(live, h.WatchDog)
	}
	ready := append(live[:len(live):len(live)], healthz.NamedCheck("informer-sync", func(*http.Request) error {
		if !h.HasSynced() {
			return errors.New("the informers have not synced yet")
		}
		return nil
	}))
	healthz.InstallHandler(mux, live...)
	healthz.InstallLivezHandler(mux, live...)
	healthz.InstallReadyzHandler(mux, ready...)
}

// ServeAll serves health over plain HTTP at the given address, and health and metrics by Serve, until
// stop is called.
func (o *Options) ServeAll(ctx context.Context, healthAddress string, health Health, reviewer *rest.Config) (stop func(), err error) {
	stopHealth, err := ServeHealth(ctx, healthAddress, health)
	if err != nil {
		return nil, err
	}
	stopMetrics, err := o.Serve(ctx, health, reviewer)
	if err != nil {
		stopHealth()
		return nil, err
	}
	return func() {
		stopMetrics()
		stopHealth()
	}, nil
}

// ServeHealth serves the health endpoints over plain HTTP until stop is called. It serves nothing
// without an address.
func ServeHealth(ctx context.Context, address string, health Health) (stop func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	mux := http.NewServeMux()
	health.install(mux)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--health-address=%s: %w", address, err)
	}
	return serve(ctx, listener, mux, "health"), nil
}

// Serve serves the health endpoints and /metrics over HTTPS until stop is called. reviewer is the
// user that may create TokenReviews and SubjectAccessReviews about clients of /metrics.
func (o *Options) Serve(ctx context.Context, health Health, reviewer *rest.Config) (stop func(), err error) {
	if o.Port == 0 {
		return func() {}, nil
	}
	client, err := kubernetes.NewForConfig(reviewer)
	if err != nil {
		return nil, err
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.ParseIP(o.BindAddress)}, nil)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("making the serving certificate: %w", err)
	}
	mux := http.NewServeMux()
	health.install(mux)
	mux.Handle("/metrics", authorized{client.AuthenticationV1(), client.AuthorizationV1(), legacyregistry.Handler()})
	address := net.JoinHostPort(o.BindAddress, strconv.Itoa(o.Port))
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--bind-address=%s --secure-port=%d: %w: choose another port, or 0 to serve neither health nor metrics", o.BindAddress, o.Port, err)
	}
	klog.FromContext(ctx).V(1).Info("Serving health and metrics", "address", address)
	return serve(ctx, tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}), mux, "metrics"), nil
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler, name string) (stop func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Server stopped", "server", name)
		}
	}()
	return func() { _ = server.Close() }
}
