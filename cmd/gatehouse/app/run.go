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

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/options"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
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

// startup measures the phases of a start, and remembers what is given back after it.
type startup struct {
	observe       Observer
	started, last time.Time
	heap          hugeHeap
}

func (p *startup) done(name string) {
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
	p := &startup{observe: observe, started: now, last: now, heap: askForHugePages()}

	// Before anything is opened: etcd would say the same in other words.
	if _, err := limits.MaxConnections(); err != nil {
		return err
	}
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

	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	if etcd != nil {
		go func() {
			select {
			case err := <-etcd.Err():
				end(err)
			case <-running.Done():
			}
		}()
	}
	err = serveOn(running, end, o, etcd, bundle, p)
	if cause := context.Cause(running); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, unlessStopped(running, err))
	}
	return unlessStopped(ctx, err)
}

// serveOn makes the server and serves until the context ends, which whoever cannot go on does.
func serveOn(ctx context.Context, end context.CancelCauseFunc, o options.CompletedOptions, etcd *embedded.Server, bundle *certificates.Bundle, p *startup) error {
	// Controllers in this process are known by tokens that Mint makes.
	identities := authentication.NewControllers()
	config, err := newConfig(ctx, o, etcd, bundle, identities)
	if err != nil {
		return err
	}
	p.done("configuration")
	server, err := config.Complete().New(ctx)
	if err != nil {
		return err
	}
	p.done("storages and API groups")
	return serve(ctx, end, o, server, bundle, identities, p)
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
func startEtcdAndCertificates(ctx context.Context, o options.CompletedOptions, p *startup) (*embedded.Server, *certificates.Bundle, error) {
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
		etcd, err = embedded.Start(context.WithoutCancel(ctx), embedded.Config{DataDir: o.EtcdDir(), QuotaBackendBytes: o.EtcdQuotaBytes})
		if err == nil {
			storage.Connect(o.Etcd, storage.Connection{Endpoints: etcd.Endpoints()})
			p.done("etcd in this process, certificates")
		}
	} else {
		external := externalEtcd(o)
		if warning := storage.QuorumOf(storage.DistinctEndpoints(external.Endpoints)).Warning(); warning != "" {
			klog.Warning("--etcd-servers: " + warning)
		}
		if err = storage.CheckReachable(ctx, external); err != nil {
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
	return certificates.Options{ExtraSANs: o.SANs(), Changing: o.ChangingSANs(), ServingOnly: o.Aggregated()}
}

// serve runs the server until the context ends or etcd fails.
func serve(ctx context.Context, end context.CancelCauseFunc, o options.CompletedOptions, server *apiserver.Server, bundle *certificates.Bundle, identities *authentication.Controllers, p *startup) error {
	url := options.ClientURL(o.Serving.Listener.Addr())
	ready := Ready{URL: url, SimulatedHosts: o.SimulateHosts}
	writeKubeconfig := func(*certificates.Bundle) error { return nil }
	if !o.Aggregated() {
		ready.Kubeconfig = o.KubeconfigFile()
		writeKubeconfig = func(b *certificates.Bundle) error {
			return certificates.WriteKubeconfig(ready.Kubeconfig, url, b.CA.CertPEM, b.Admin.CertPEM, b.Admin.KeyPEM, "gatehouse")
		}
	}
	prepared := server.Generic.PrepareRun()
	if err := errors.Join(writeKubeconfig(bundle), server.Bootstrapped()); err != nil {
		server.Generic.Destroy()
		return err
	}
	go certificates.NewRenewer(o.CertificateDir(), certificateOptions(o), writeKubeconfig).Run(ctx)
	p.done("health checks, first objects")
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
		// Nobody waits for these, so they are made only now.
		go afterStart(ctx, server, p.heap)
		inside, err := clientsInside(o, server, bundle, identities)
		if err != nil {
			end(err)
			return
		}
		if err := inside.Run(ctx); err != nil {
			end(err)
		}
	}()
	go func() {
		<-ctx.Done()
		<-stopped
		stopServing(context.Cause(ctx))
	}()
	drained := make(chan struct{})
	go hangUp(serving, drained, server.Generic.LoopbackClientConfig)
	err := prepared.RunWithContext(serving)
	close(drained)
	end(nil) // where the server ended by itself, nothing else has told the controllers
	<-stopped
	return err
}

// afterStart has the documents ready when the first client asks for them, and then gives back
// to the kernel what only the start needed.
func afterStart(ctx context.Context, server *apiserver.Server, heap hugeHeap) {
	server.BuildOpenAPI()
	select {
	case <-ctx.Done():
	case <-time.After(settling):
		giveBackStart(heap)
	}
}

// settling is how long the controllers' first look at everything takes, and what a first
// client asks for.
const settling = 5 * time.Second

// hangUp closes the connections that this process has to itself, from when the server is asked
// to stop until it has drained. The library's server tells every HTTP/2 connection to go that it
// has at that moment; one that was just being made never hears of it, and keeps the server
// waiting for a whole minute.
func hangUp(serving context.Context, drained <-chan struct{}, loopback *rest.Config) {
	<-serving.Done()
	transport, err := rest.TransportFor(loopback)
	if err != nil {
		return // nobody could connect with it either
	}
	wait.Until(func() { utilnet.CloseIdleConnectionsFor(transport) }, 50*time.Millisecond, drained)
}

// waitReady asks the server itself until /readyz says yes, but for the check of etcd's space: a
// server whose database is full serves reads and deletes, and needs its controllers for the latter.
func waitReady(ctx context.Context, loopback *rest.Config) error {
	client, err := rest.HTTPClientFor(loopback)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, loopback.Host+"/readyz?exclude="+storage.SpaceCheck, nil)
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
