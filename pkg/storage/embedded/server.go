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

package embedded

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/klog/v2"
)

const (
	// slow is the duration from which etcd warns of a request. Its defaults of 100 and 300 ms are
	// for disks of a data centre; a laptop that writes a backup would fill the log.
	slow = time.Second

	// closeTimeout bounds Close. A healthy etcd needs milliseconds, or up to seven seconds while
	// clients hold watches open; one that has failed may never stop.
	closeTimeout       = 20 * time.Second
	failedCloseTimeout = 2 * time.Second

	// stillStarting is the interval of the log messages of a slow start.
	stillStarting = 10 * time.Second
)

// Server is a running etcd member.
type Server struct {
	dir    string
	socket *socket
	log    klog.Logger
	// loud is true while etcd runs, when its warnings are logged as such.
	loud *atomic.Bool

	// failure is set once, before failed is closed.
	failOnce sync.Once
	failure  error
	failed   chan struct{}

	etcd *embed.Etcd
	errs chan error
	// quotaBytes is the maximum size of the database, and maxRequestBytes that of a request.
	quotaBytes      int64
	maxRequestBytes uint

	// peering is what a member of a cluster has besides: see member.go.
	peering

	closeOnce sync.Once
	closing   chan struct{}
	closeErr  error
}

// Start starts etcd and returns when it accepts writes. Earlier failures are the error of Start;
// later ones come from Err. A failure of the data directory is a *Problem. After an error parts of
// etcd may still run, so the process should end.
//
//	Start
//	  prepareDirectory    the directory is closed to others, writable and has free space
//	  checkDatabase       the pages are sound, and the version is one that this program reads
//	  discardUnfinished   removes leftovers of a first start that was killed
//	  embed.StartEtcd     reads the log and the database
//	  elect               a lone member becomes leader
//	  awaitQuorum         a member of a cluster becomes a voter and completes a linearizable read
//	  reclaimSpace        compacts and defragments a database that is close to its quota
//	  <- ready            Start returns; watch delivers failures to Err
//	Close                 waits for requests, closes the log and the database
func Start(ctx context.Context, config Config) (*Server, error) {
	c, err := config.complete()
	if err != nil {
		return nil, err
	}
	if err := prepareDirectory(c.DataDir); err != nil {
		return nil, err
	}
	if err := checkDatabase(c.DataDir); err != nil {
		return nil, c.Member.ofMember(err)
	}
	if ctx.Err() != nil { // nothing was begun that would have to end
		return nil, interrupted(c.DataDir, context.Cause(ctx))
	}
	log := klog.LoggerWithName(klog.FromContext(ctx), "etcd")
	if c.Member.mayDiscard() {
		discarded, err := discardUnfinished(c.DataDir)
		if err != nil {
			return nil, err
		}
		if discarded {
			log.Info("Discarded an interrupted first start, which had stored nothing", "dir", c.DataDir)
		}
	}
	socket, err := newSocket(c.SocketDir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		dir:     c.DataDir,
		socket:  socket,
		log:     log,
		loud:    &atomic.Bool{},
		failed:  make(chan struct{}),
		errs:    make(chan error, 1),
		closing: make(chan struct{}),
		peering: newPeering(c),

		maxRequestBytes: c.MaxRequestBytes,
	}
	if err := checkListen(c); err != nil {
		return nil, errors.Join(err, socket.remove())
	}
	if err := s.start(ctx, c); err != nil {
		s.closePeers()
		return nil, errors.Join(err, socket.remove())
	}
	return s, nil
}

// start runs etcd in a separate goroutine, because Fatal may end that goroutine, and waits until
// etcd is ready or has failed, or the context or the timeout ends.
func (s *Server) start(ctx context.Context, c *completed) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.StartTimeout, failed(c.DataDir,
		fmt.Errorf("it was not ready within %v: see whether the disk is overloaded", c.StartTimeout)))
	defer cancel()
	began := time.Now()
	started := make(chan *embed.Etcd, 1)
	go s.run(ctx, c, started)

	remind := time.NewTicker(stillStarting)
	defer remind.Stop()
	for {
		select {
		case etcd := <-started:
			s.etcd = etcd
			s.quotaBytes = c.QuotaBackendBytes
			s.loud.Store(true)
			if c.Member == nil {
				s.reclaimSpace(ctx)
			}
			s.warnOfAlarms()
			go s.watch()
			return nil
		case <-s.failed:
			return s.failure
		case <-ctx.Done():
			go abandon(started)
			return interrupted(s.dir, context.Cause(ctx))
		case <-remind.C:
			s.log.Info("Opening the data directory takes long", "dir", s.dir, "elapsed", time.Since(began).Round(time.Second))
		}
	}
}

// interrupted returns the cause if it is the start timeout, and an error about the caller's context
// otherwise.
func interrupted(dir string, cause error) error {
	if problem := (&Problem{}); errors.As(cause, &problem) {
		return problem
	}
	return fmt.Errorf("the start of etcd in the data directory %s was interrupted: %w", dir, cause)
}

// abandon closes an etcd that becomes ready after start has returned.
func abandon(started <-chan *embed.Etcd) {
	if etcd, ok := <-started; ok {
		etcd.Close()
	}
}

// run starts etcd and sends it to the channel when it is ready. It always closes the channel.
func (s *Server) run(ctx context.Context, c *completed, started chan<- *embed.Etcd) {
	defer close(started)
	// A damaged database shows by a fault or a panic: see read.
	debug.SetPanicOnFault(true)
	defer func() {
		if r := recover(); r != nil {
			s.fail(corrupt(s.dir, fmt.Errorf("etcd cannot make sense of it: %v", r)))
		}
	}()
	etcd, err := embed.StartEtcd(s.etcdConfig(c))
	if err != nil {
		s.fail(err)
		return
	}
	if c.Member != nil {
		if err := s.awaitQuorum(ctx, etcd, c); err != nil {
			s.fail(err)
			etcd.Close()
			return
		}
		started <- etcd
		return
	}
	elect(ctx, etcd.Server)
	select {
	case <-etcd.Server.ReadyNotify():
		started <- etcd
	case err := <-etcd.Err():
		s.fail(err)
	case <-etcd.Server.StopNotify():
		s.fail(errors.New("it stopped before it was ready"))
	case <-ctx.Done():
		etcd.Close()
	}
}

func (s *Server) etcdConfig(c *completed) *embed.Config {
	config := embed.NewConfig()
	config.Dir = c.DataDir
	config.EnableGRPCGateway = false
	keepHistory(config, c.SnapshotCount)
	if c.Member != nil {
		ofCluster(config, c.Member)
	} else {
		newCluster(config, c.Name)
		// No TCP anywhere: one unix socket for clients, none for peers, no gateway, no metrics.
		client := s.socket.url()
		config.ListenClientUrls = []url.URL{client}
		config.AdvertiseClientUrls = []url.URL{client}
		withoutPeers(config)
	}
	if c.PeerTLS != nil {
		config.PeerTLSInfo = c.PeerTLS.info()
	}

	config.TickMs = c.TickMs
	config.ElectionMs = c.ElectionMs
	config.QuotaBackendBytes = c.QuotaBackendBytes
	config.BootstrapDefragThresholdMegabytes = defragThresholdMegabytes
	config.MaxRequestBytes = c.MaxRequestBytes
	// An acknowledged write has reached the disk. No option changes that.
	config.UnsafeNoFsync = false
	config.WarningApplyDuration = slow
	config.WarningUnaryRequestDuration = slow

	config.LogLevel = "warn"
	config.ZapLoggerBuilder = embed.NewZapLoggerBuilder(newLogger(s.log, s.loud, s.fail))
	return config
}

// fail records the first failure. Any goroutine of etcd may call it.
func (s *Server) fail(err error) {
	s.failOnce.Do(func() {
		s.failure = s.current().ofMember(problemOf(s.dir, err))
		close(s.failed)
	})
}

// watch sends the failure of a running etcd to Err.
func (s *Server) watch() {
	defer close(s.errs)
	select {
	case <-s.closing:
		return
	case err := <-s.etcd.Err():
		if err == nil {
			err = errors.New("it stopped serving its socket")
		}
		s.fail(s.unlessRemoved(err))
	case <-s.etcd.Server.StopNotify():
		s.fail(s.stopped())
	case <-s.failed:
	}
	select {
	case <-s.closing:
	default:
		s.errs <- s.failure
	}
}

// Endpoints returns the addresses of etcd in the form of --etcd-servers.
func (s *Server) Endpoints() []string { return []string{s.socket.endpoint()} }

// Err returns a channel that delivers at most one error, when etcd fails while it runs, and is
// closed after that or after Close. Acknowledged writes are on the disk then; no more follow.
func (s *Server) Err() <-chan error { return s.errs }

// Close stops etcd and returns when everything is on the disk. Further calls do nothing and return
// the same error. The API server stops first: etcd waits some seconds for clients with open watches.
func (s *Server) Close() error {
	s.closeOnce.Do(func() {
		s.loud.Store(false)
		close(s.closing)
		s.closeClients()
		// etcd passes its leadership on before it stops, for which it needs its peers.
		s.closeErr = errors.Join(s.stop(), s.socket.remove())
		s.closePeers()
	})
	return s.closeErr
}

// stop closes etcd within a bound: if Fatal has ended a goroutine of etcd, closing never returns.
func (s *Server) stop() error {
	timeout := closeTimeout
	select {
	case <-s.failed:
		timeout = failedCloseTimeout
	default:
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.etcd.Close()
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-stopped:
		return nil
	case <-timer.C:
		return failed(s.dir, fmt.Errorf("it did not stop within %v; what it acknowledged is on the disk", timeout))
	}
}
