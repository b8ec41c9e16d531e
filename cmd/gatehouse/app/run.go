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

package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
)

// Observer is told how a start goes. Its functions may be nil.
type Observer struct {
	// Phase is called after each phase with the time that it took.
	Phase func(name string, took time.Duration)
	// Ready is called once, when /readyz says yes.
	Ready func(Ready)
}

// Ready describes a server that is ready.
type Ready struct {
	// URL is how clients on this machine reach it.
	URL string
	// Kubeconfig is the path of the administrator's kubeconfig; none in the aggregated mode.
	Kubeconfig string
	// SimulatedHosts is how many hosts there are on which nothing really runs.
	SimulatedHosts int
	// Took is the time since Run was called.
	Took time.Duration
}

// phases measures the start.
type phases struct {
	observe       Observer
	started, last time.Time
}

func (p *phases) done(name string) {
	now := time.Now()
	if p.observe.Phase != nil {
		p.observe.Phase(name, now.Sub(p.last))
	}
	p.last = now
}

// Run serves until the context ends, and returns nil when it stopped in order.
//
//	start: lock on the data directory -> etcd, with the certificates made meanwhile ->
//	       configuration -> storages and API groups -> serving -> ready -> controllers and
//	       simulated hosts
//	stop:  controllers and simulated hosts -> requests and watches drained -> etcd closed -> lock released
//
// What is started first is stopped last: the API needs etcd to the end, and nobody may
// take the directory before etcd has left it.
func Run(ctx context.Context, o options.CompletedOptions, observe Observer) (err error) {
	now := time.Now()
	p := &phases{observe: observe, started: now, last: now}

	lock, err := embedded.AcquireLock(o.LockFile())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	etcd, bundle, err := startEtcdAndCertificates(ctx, o, p)
	if etcd != nil {
		defer func() { err = errors.Join(err, etcd.Close()) }()
	}
	if err != nil {
		return unlessStopped(ctx, err)
	}

	// Controllers in this process are known by tokens that Mint makes.
	identities := authentication.NewControllers()
	config, err := newConfig(ctx, o, bundle, identities)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	p.done("configuration")
	server, err := config.Complete().New()
	if err != nil {
		return err
	}
	p.done("storages and API groups")

	return unlessStopped(ctx, serve(ctx, o, server, bundle, etcd, identities, p))
}

// unlessStopped drops the error of a start that was asked to stop, which is no failure.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// startEtcdAndCertificates does both at the same time: one waits for disk, the other for
// the processor. The returned etcd is nil where an external one is used.
func startEtcdAndCertificates(ctx context.Context, o options.CompletedOptions, p *phases) (*embedded.Server, *certificates.Bundle, error) {
	type result struct {
		bundle *certificates.Bundle
		err    error
	}
	made := make(chan result, 1)
	go func() {
		bundle, err := certificates.Ensure(o.CertificateDir(), certificateOptions(o))
		made <- result{bundle, err}
	}()

	var etcd *embedded.Server
	var err error
	if o.EmbeddedEtcd() {
		// etcd gets a context of its own: it must outlive the server, which ends with ctx.
		etcd, err = embedded.Start(context.WithoutCancel(ctx), embedded.Config{DataDir: o.EtcdDir()})
		if err == nil {
			storage.Connect(o.Etcd, storage.Connection{Endpoints: etcd.Endpoints()})
			p.done("etcd in this process, certificates")
		}
	} else {
		transport := o.Etcd.StorageConfig.Transport
		if warning := storage.QuorumOf(storage.DistinctEndpoints(transport.ServerList)).Warning(); warning != "" {
			klog.Warning("--etcd-servers: " + warning)
		}
		if err = storage.CheckReachable(ctx, storage.Connection{
			Endpoints: transport.ServerList,
			CAFile:    transport.TrustedCAFile, CertFile: transport.CertFile, KeyFile: transport.KeyFile,
		}); err != nil {
			err = fmt.Errorf("--etcd-servers: no etcd takes a connection: %w", err)
		}
	}
	certs := <-made
	if err = errors.Join(err, certs.err); err != nil {
		return etcd, nil, err
	}
	if !o.EmbeddedEtcd() {
		p.done("certificates")
	}
	for _, warning := range certs.bundle.Warnings {
		klog.Warning(warning)
	}
	return etcd, certs.bundle, nil
}

func certificateOptions(o options.CompletedOptions) certificates.Options {
	return certificates.Options{ExtraSANs: o.SANs(), ServingOnly: o.Aggregated()}
}

// serve runs the server until the context ends or etcd fails.
func serve(ctx context.Context, o options.CompletedOptions, server *apiserver.Server, bundle *certificates.Bundle, etcd *embedded.Server, identities *authentication.Controllers, p *phases) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	url := options.ClientURL(o.Serving.Listener.Addr())
	ready := Ready{URL: url, SimulatedHosts: o.SimulateHosts}
	writeKubeconfig := func(*certificates.Bundle) error { return nil }
	if !o.Aggregated() {
		ready.Kubeconfig = o.KubeconfigFile()
		writeKubeconfig = func(b *certificates.Bundle) error {
			return certificates.WriteKubeconfig(ready.Kubeconfig, url, b.CA.CertPEM, b.Admin.CertPEM, b.Admin.KeyPEM, "gatehouse")
		}
	}
	if err := writeKubeconfig(bundle); err != nil {
		return err
	}
	go certificates.NewRenewer(o.CertificateDir(), certificateOptions(o), writeKubeconfig).Run(ctx)

	if etcd != nil {
		go func() {
			select {
			case err := <-etcd.Err():
				cancel(err)
			case <-ctx.Done():
			}
		}()
	}
	// Objects that must exist first wait for disk, OpenAPI for the processor.
	bootstrapped := make(chan error, 1)
	go func() { bootstrapped <- server.Bootstrap(ctx) }()
	controllers, err := standaloneControllers(o, server, identities)
	if err == nil && o.SimulateHosts > 0 {
		var hosts controller
		hosts, err = simulatedHosts(o, server, bundle.CA)
		controllers = append(controllers, hosts)
	}
	prepared := server.Generic.PrepareRun()
	if err := errors.Join(err, <-bootstrapped); err != nil {
		server.Generic.Destroy()
		if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
			return cause // etcd ended, and what waited for it only says that it was cancelled
		}
		return err
	}
	p.done("OpenAPI and health checks")
	// The server outlives its controllers, so that what they do last is heard.
	serving, stopServing := context.WithCancelCause(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := waitReady(ctx, server.Generic.LoopbackClientConfig); err != nil {
			return // the context ended; Run says why
		}
		p.done("serving, watch caches filled")
		if p.observe.Ready != nil {
			ready.Took = time.Since(p.started)
			p.observe.Ready(ready)
		}
		controllers.Run(ctx)
	}()
	go func() {
		<-ctx.Done()
		<-stopped
		stopServing(context.Cause(ctx))
	}()
	err = prepared.RunWithContext(serving)
	cause := context.Cause(ctx)
	cancel(nil) // where the server ended by itself, nothing else has told the controllers
	<-stopped
	if cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
}

// ownClient has connections of its own, with one request at a time on each, and done closes
// them. The shared ones carry HTTP/2: where a stop came while such a connection was being made,
// the library's server never took it for idle, and drained for its whole sixty seconds.
func ownClient(config *rest.Config) (client *http.Client, done func(), err error) {
	trust, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, nil, err
	}
	trust.NextProtos = []string{"http/1.1"}
	transport := &http.Transport{TLSClientConfig: trust}
	as, err := rest.HTTPWrappersForConfig(config, transport)
	return &http.Client{Transport: as}, transport.CloseIdleConnections, err
}

// waitReady asks the server itself until /readyz says yes.
func waitReady(ctx context.Context, loopback *rest.Config) error {
	client, done, err := ownClient(loopback)
	if err != nil {
		return err
	}
	defer done()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, loopback.Host+"/readyz", nil)
		if err != nil {
			return err
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
