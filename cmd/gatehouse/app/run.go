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
	"time"

	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
	"github.com/gatehouse-dev/gatehouse/pkg/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/files"
	"github.com/gatehouse-dev/gatehouse/pkg/limits"
	"github.com/gatehouse-dev/gatehouse/pkg/server"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/pkg/serving"
	"github.com/gatehouse-dev/gatehouse/pkg/startheap"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/pkg/systemd"
)

// Observer observes the start. Its functions may be nil.
type Observer struct {
	// Phase is called after each phase with its duration.
	Phase func(name string, took time.Duration)
	// Ready is called once, when /readyz passes.
	Ready func(Ready)
}

// Ready has the properties of a server that is ready.
type Ready struct {
	// URL is the address for clients on this machine.
	URL string
	// Kubeconfig is the path of the administrator's kubeconfig; empty in the aggregated mode.
	Kubeconfig string
	// SimulatedHosts is the number of simulated hosts.
	SimulatedHosts int
	// Took is the time since the call of Run.
	Took time.Duration
}

// startup measures the phases of a start, holds the memory to release after it, and reports to the service manager.
type startup struct {
	observe       Observer
	started, last time.Time
	heap          startheap.Heap
	manager       systemd.Manager
	// change may change the configuration, for tests.
	change func(*apiserver.Config)
}

func (p *startup) done(name string) {
	now := time.Now()
	if p.observe.Phase != nil {
		p.observe.Phase(name, now.Sub(p.last))
	}
	p.last = now
}

// Run serves until the context ends, and returns nil after an orderly stop.
//
//	start: lock on the data directory -> etcd, with the certificates made meanwhile ->
//	       configuration -> storages and API groups -> serving -> ready -> controllers and
//	       simulated hosts
//	stop:  controllers and simulated hosts -> requests and watches drained -> etcd closed -> lock released
//
// The stop is in reverse order: the API needs etcd to the end, and no other process may use the
// directory before etcd is closed.
func Run(ctx context.Context, o options.CompletedOptions, observe Observer) error {
	return run(ctx, o, &startup{observe: observe, change: func(*apiserver.Config) {}})
}

func run(ctx context.Context, o options.CompletedOptions, p *startup) (err error) {
	p.started = time.Now()
	p.last, p.heap, p.manager = p.started, startheap.Reserve(), systemd.FromEnvironment()

	// The check comes first because etcd's own message is less clear.
	if _, err := limits.MaxConnections(); err != nil {
		return err
	}
	lock, err := embedded.AcquireLock(o.LockFile())
	if err != nil {
		return files.Flag("data-dir", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()

	member, err := server.PrepareMember(ctx, o)
	if err != nil {
		return unlessStopped(ctx, err)
	}
	if member.Joined != nil {
		p.done("invited by " + member.Joined.InvitedBy)
	}
	etcd, bundle, err := startEtcdAndCertificates(ctx, o, member, p)
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

// serveOn opens the port, builds the server and serves until the context ends. end ends it with
// the error of a part that cannot continue.
func serveOn(ctx context.Context, end context.CancelCauseFunc, o options.CompletedOptions, etcd *embedded.Server, bundle *certificates.Bundle, p *startup) error {
	listener, err := o.Serving.Listen()
	if err != nil {
		return err
	}
	in := server.Inputs{CompletedOptions: o, Listener: listener, Certificates: bundle, Local: etcd, Identities: authentication.NewControllers(), Warnings: server.NewWarnings()}
	if in.Backup, err = server.NewBackup(in); err != nil {
		return errors.Join(err, listener.Close())
	}
	config, err := server.NewConfig(ctx, in)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	p.change(config)
	p.done("configuration")
	built, err := config.Complete().New(ctx)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	p.done("storages and API groups")
	prepared, err := built.Prepare()
	if err != nil {
		return err
	}
	return serve(ctx, end, in, prepared, p)
}

// unlessStopped drops the error of a start that was stopped, which is not a failure.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// startEtcdAndCertificates starts both at the same time: one waits for the disk, the other for the
// processor. The returned etcd is nil if an external one is used.
func startEtcdAndCertificates(ctx context.Context, o options.CompletedOptions, member *server.Member, p *startup) (*embedded.Server, *certificates.Bundle, error) {
	type result struct {
		bundle *certificates.Bundle
		err    error
	}
	made := make(chan result, 1)
	go func() {
		bundle, err := certificates.Ensure(o.CertificateDir(), o.CertificateOptions())
		made <- result{bundle, files.Flag("data-dir", err)}
	}()

	var etcd *embedded.Server
	var err error
	if o.EmbeddedEtcd() {
		etcd, err = startEtcd(ctx, o, member)
		if err == nil && member.Joined != nil {
			p.done(fmt.Sprintf("voter %d of %d, data received", member.Joined.Voters, member.Joined.Voters))
		} else if err == nil {
			p.done("etcd in this process, certificates")
		}
	} else {
		err = o.Etcd.CheckExternal(ctx)
	}
	certs := <-made
	if err = errors.Join(files.Flag("data-dir", err), certs.err); err != nil {
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

// startEtcd starts etcd. The start of a member of a cluster ends with the context: it may wait for others.
func startEtcd(ctx context.Context, o options.CompletedOptions, member *server.Member) (*embedded.Server, error) {
	config := embedded.Config{DataDir: o.EtcdDir(), QuotaBackendBytes: o.Etcd.QuotaBytes, Name: o.Etcd.Member.Name, PeerTLS: member.Trust, Member: member.Config()}
	if config.Member == nil {
		// The context of etcd does not end with ctx, because etcd must outlive the server.
		ctx = context.WithoutCancel(ctx)
	}
	etcd, err := embedded.Start(ctx, config)
	if err == nil {
		err = member.Started(o.DataDir)
	}
	return etcd, err
}

// serve runs the server and its clients in this process until the context ends.
func serve(ctx context.Context, end context.CancelCauseFunc, in server.Inputs, prepared *apiserver.PreparedServer, p *startup) error {
	ready := Ready{URL: serving.ClientURL(in.Listener.Addr()), SimulatedHosts: in.SimulateHosts}
	writeKubeconfig := func(*certificates.Bundle) error { return nil }
	if !in.Aggregated() {
		ready.Kubeconfig = in.KubeconfigFile()
		writeKubeconfig = func(b *certificates.Bundle) error {
			return certificates.WriteKubeconfig(ready.Kubeconfig, ready.URL, b.CA.CertPEM, b.Admin.CertPEM, b.Admin.KeyPEM, "gatehouse")
		}
	}
	if err := writeKubeconfig(in.Certificates); err != nil {
		prepared.Destroy()
		return err
	}
	go certificates.NewRenewer(in.CertificateDir(), in.CertificateOptions(), writeKubeconfig).Run(ctx)
	p.done("health checks, first objects")
	// The server outlives its controllers, so that it receives their last requests.
	running, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		if err := prepared.WaitReady(ctx); err != nil {
			return // the context ended; Run returns the cause
		}
		p.done("serving, watch caches filled")
		if p.observe.Ready != nil {
			ready.Took = time.Since(p.started)
			p.observe.Ready(ready)
		}
		p.manager.Ready("serving at " + ready.URL)
		// The rest does not delay readiness.
		go afterStart(ctx, prepared, p.heap)
		clients, err := server.NewClients(in, prepared.LoopbackClientConfig())
		if err == nil {
			err = clients.Run(ctx)
		}
		if err != nil {
			end(err)
		}
	}()
	go func() {
		<-ctx.Done()
		p.manager.Stopping()
		<-stopped
		stop(context.Cause(ctx))
	}()
	err := prepared.Run(running)
	end(nil) // if the server ended by itself, this ends the controllers
	<-stopped
	return err
}

// settling is the time in which the controllers read everything for the first time and a first
// client is served.
const settling = 5 * time.Second

// afterStart builds the documents before a client requests them, and then returns the memory of
// the start to the kernel.
func afterStart(ctx context.Context, prepared *apiserver.PreparedServer, heap startheap.Heap) {
	prepared.BuildOpenAPI()
	select {
	case <-ctx.Done():
	case <-time.After(settling):
		heap.Release()
	}
}
