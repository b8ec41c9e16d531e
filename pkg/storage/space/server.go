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

package space

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
)

const (
	// interval is the time between two passes. A write that etcd refuses causes one at once.
	interval = 5 * time.Second
	// warnPercent is the part of the quota from which there are warnings.
	warnPercent = 90

	// reservePart of the quota, within the bounds below, is left for updates: see Server. It is never more than a
	// tenth: a database that was defragmented to disarmPercent must have space for creates.
	reservePart, maxReservePart = 16, 10
	minReserve, maxReserve      = 2 << 20, 128 << 20

	// The size that etcd reports lacks the writes of the last 100 ms, which can be more than a small reserve. So the
	// database is committed before its size is read if the writes since the last such commit may have used what was
	// left, and are at least a fourth of the reserve. A value takes less than twice its bytes.
	commitPart    = 4
	bytesPerValue = 2

	// createsNeedDisk and updatesNeedDisk are the free bytes of the disk below which the server refuses creates and
	// updates. Both are for the embedded etcd, which fails when a write of its log finds no space; the first is
	// slightly more than the 16 MiB that a restart needs.
	createsNeedDisk = 18 << 20
	updatesNeedDisk = 9 << 20
	// diskAge is the time for which a reading of the free bytes is used.
	diskAge = 100 * time.Millisecond
)

// Local is an etcd member in this process: see embedded.Server.
type Local interface {
	// NewClient returns a client that calls etcd's functions, without a connection.
	NewClient() *clientv3.Client
	// Size returns the size of the database and its quota, in bytes.
	Size() (size, quota int64)
	// Commit makes Size include the writes of the last 100 ms.
	Commit()
	// Defragment shrinks the file of the database. Requests wait meanwhile.
	Defragment() error
	// Disk returns the free bytes of the disk of the database. ok is false if they are unknown.
	Disk() (free int64, ok bool)
}

// Server watches the space of etcd for an API server, in these states of the database:
//
//	below 90 % of the quota   nothing is reported
//	from 90 % on              a warning in the log, as an event, and in the metrics
//	from the reserve on       creates are refused; only of an embedded etcd. Deletes often need updates: finalizers are
//	                          removed by one, and namespaces and graceful deletions begin with one. The reserve is
//	                          for them, and for leases.
//	NOSPACE alarm             etcd refuses updates and leases, too, and serves reads and deletes
//
// In the last two, /readyz fails, and an embedded etcd is compacted and defragmented when that helps: see
// Server.reclaim. A disk with little free space is reported in the same places with other words.
type Server struct {
	etcd   *Etcd
	local  Local // nil for an external etcd
	prefix string
	log    klog.Logger
	wake   chan struct{}

	// full is set while etcd refuses writes.
	full atomic.Bool
	// usage is the last count; nil for none.
	usage atomic.Pointer[counted]
	// last is what the last pass has seen.
	last atomic.Pointer[observation]
	// reclaims and failures are the numbers of defragmentations that helped, and of those that did not.
	reclaims, failures atomic.Int64
	// warned is set while the database is nearly full; warnings receive a sentence when that begins.
	warned   atomic.Bool
	warnings chan<- string
	disk     diskReader
	// written are the bytes of values since the last commit by reserved.
	written atomic.Int64

	passes
}

// observation is the space of the fullest member.
type observation struct {
	size, inUse, quota int64
	refusing           bool
}

// NewLocal returns a Server of the etcd in this process. The prefix is that of the keys of objects. The channel receives
// warnings if it has space for them, and may be nil.
func NewLocal(ctx context.Context, local Local, prefix string, warnings chan<- string) *Server {
	s := newServer(ctx, inThisProcess(local), prefix, warnings)
	s.local, s.disk.read = local, local.Disk
	return s
}

// NewExternal returns a Server of an external etcd, with separate clients.
func NewExternal(ctx context.Context, to storage.Connection, prefix string, warnings chan<- string) (*Server, error) {
	etcd, err := Connect(ctx, to)
	if err != nil {
		return nil, err
	}
	return newServer(ctx, etcd, prefix, warnings), nil
}

func newServer(ctx context.Context, etcd *Etcd, prefix string, warnings chan<- string) *Server {
	return &Server{
		etcd: etcd, prefix: prefix, log: klog.LoggerWithName(klog.FromContext(ctx), "etcd"),
		wake: make(chan struct{}, 1), warnings: warnings, passes: passes{keep: keptHistory},
	}
}

// Run watches until the context ends, and closes the clients.
func (s *Server) Run(ctx context.Context) {
	defer s.etcd.Close()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		s.pass(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-s.wake:
		}
	}
}

// RefuseCreate implements storage.Space.
func (s *Server) RefuseCreate() error {
	if free, low := s.disk.below(createsNeedDisk); low {
		return storage.NewInsufficientStorage("nothing can be created: " + diskFull(free))
	}
	if s.reserved() {
		return storage.NewInsufficientStorage("nothing can be created: " + s.quotaFull())
	}
	return nil
}

// RefuseUpdate implements storage.Space.
func (s *Server) RefuseUpdate() error {
	if free, low := s.disk.below(updatesNeedDisk); low {
		return storage.NewInsufficientStorage("nothing can be created or changed: " + diskFull(free))
	}
	return nil
}

// Writing implements storage.Space.
func (s *Server) Writing(bytes int) { s.written.Add(int64(bytes)) }

// Refused implements storage.Space.
func (s *Server) Refused() error {
	s.setFull(true)
	return storage.NewInsufficientStorage("nothing can be created or changed: " + s.quotaFull())
}

// HealthChecks returns checks that fail while writes are refused.
func (s *Server) HealthChecks() []healthz.HealthChecker {
	checks := []healthz.HealthChecker{healthz.NamedCheck(storage.SpaceCheck, func(*http.Request) error {
		if s.full.Load() || s.reserved() {
			return errors.New(s.quotaFull())
		}
		return nil
	})}
	if s.local == nil {
		return checks
	}
	return append(checks, healthz.NamedCheck(storage.DiskCheck, func(*http.Request) error {
		if free, low := s.disk.below(createsNeedDisk); low {
			return errors.New(diskFull(free))
		}
		return nil
	}))
}

// reserved reports whether the database of an embedded etcd has only the reserve left.
func (s *Server) reserved() bool {
	if s.local == nil {
		return false
	}
	size, quota := s.local.Size()
	left := reserve(quota)
	if written := s.written.Load(); size < quota-left && size+bytesPerValue*written >= quota-left && written >= left/commitPart &&
		s.written.CompareAndSwap(written, 0) {
		s.local.Commit()
		size, _ = s.local.Size()
	}
	return size >= quota-left
}

// reserve returns the bytes of a quota that are left for updates.
func reserve(quota int64) int64 {
	return min(max(quota/reservePart, minReserve), maxReserve, quota/maxReservePart)
}

// setFull records whether etcd refuses writes, and logs a change.
func (s *Server) setFull(full bool) {
	if s.full.Swap(full) == full {
		return
	}
	if full {
		s.log.Error(nil, "etcd refuses writes: its database has reached its quota", "check", storage.SpaceCheck, "reason", s.quotaFull())
		select {
		case s.wake <- struct{}{}:
		default:
		}
		return
	}
	s.log.Info("Database of etcd is below its quota, writes are accepted again", "check", storage.SpaceCheck)
}

// diskReader reads the free bytes of a disk, and uses them for some time.
type diskReader struct {
	// read is nil if there is no disk to read.
	read func() (free int64, ok bool)
	at   atomic.Int64
	free atomic.Int64
}

// below reports whether fewer bytes are free.
func (d *diskReader) below(bytes int64) (free int64, low bool) {
	if d.read == nil {
		return 0, false
	}
	if now := time.Now().UnixNano(); now-d.at.Load() > int64(diskAge) {
		free, ok := d.read()
		if !ok {
			free = -1
		}
		d.free.Store(free)
		d.at.Store(now)
	}
	free = d.free.Load()
	return free, free >= 0 && free < bytes
}
