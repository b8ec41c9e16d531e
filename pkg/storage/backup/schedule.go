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

package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
)

const (
	// startDelay leaves the disk to the start, and to the requests of clients that have waited for it.
	startDelay = 5 * time.Minute
	// retryDelay is the time after which a backup that has failed is tried again, unless the interval is shorter.
	retryDelay = 5 * time.Minute
)

// Schedule makes backups in an interval and removes those that are not kept.
type Schedule struct {
	Maker     *Maker
	Interval  time.Duration
	Retention Retention

	mu sync.Mutex
	// last is the last attempt of this process; nil for none.
	last *Attempt
	// startDelay is that of the package, but in tests.
	startDelay time.Duration
}

// NewSchedule returns a schedule with the interval of the flags.
func NewSchedule(maker *Maker, o Options) *Schedule {
	registerMetrics()
	interval.Set(o.Interval.Seconds())
	return &Schedule{Maker: maker, Interval: o.Interval, Retention: DefaultRetention(), startDelay: startDelay}
}

// Attempt is the result of an attempt to make a backup.
type Attempt struct {
	Time time.Time
	// Made is nil if there is no file.
	Made *Made
	// Err is a *DamagedError if there is one with objects that cannot be decoded.
	Err error
	// Member is the ID of the etcd member that was asked; empty if none answered.
	Member string
}

// Last returns the last attempt of this process; nil for none.
func (s *Schedule) Last() *Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// Run makes backups until the context ends, and calls report after each attempt. The first one is due when the last one in the target has the age of the
// interval, and some minutes after the start at the earliest.
func (s *Schedule) Run(ctx context.Context, report func(Attempt)) error {
	log := klog.FromContext(ctx).WithName("backup")
	due := max(s.startDelay, time.Until(s.newest(ctx).Add(s.Interval)))
	for {
		timer := time.NewTimer(due)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		due = s.attempt(ctx, log, report)
	}
}

// newest returns the time of the newest sound backup of this cluster; the zero time for none.
func (s *Schedule) newest(ctx context.Context) time.Time {
	_, etcd, err := s.Maker.connect(ctx)
	if err != nil {
		return time.Time{}
	}
	names, err := Names(ctx, s.Maker.Target)
	if err != nil {
		return time.Time{}
	}
	newestFirst(names)
	for _, name := range names {
		if name.Cluster == etcd.cluster && !name.Damaged {
			lastSuccess.Set(float64(name.Time.Unix()))
			return name.Time
		}
	}
	return time.Time{}
}

// attempt makes one backup and returns the time until the next one.
func (s *Schedule) attempt(ctx context.Context, log klog.Logger, report func(Attempt)) time.Duration {
	made, err := s.Maker.Make(ctx)
	if ctx.Err() != nil {
		return s.Interval
	}
	if errors.Is(err, ErrBusy) {
		return min(time.Minute, s.Interval)
	}
	observe(made, err)
	attempt := Attempt{Time: time.Now(), Made: made, Err: err, Member: s.Maker.member}
	s.mu.Lock()
	s.last = &attempt
	s.mu.Unlock()
	report(attempt)
	if err != nil {
		log.Error(err, "Backup failed", "target", s.Maker.Target.String())
	}
	if made == nil {
		return min(retryDelay, s.Interval)
	}
	log.Info("Made backup", "name", made.Name.String(), "objects", made.Manifest.Total(), "bytes", made.Bytes, "took", made.Took.Round(time.Millisecond), "keys", made.Manifest.hasKeys())
	if err := s.Prune(ctx, made.Name.Cluster); err != nil {
		log.Error(err, "Removing old backups failed", "target", s.Maker.Target.String())
	}
	return s.Interval
}

// Prune deletes the backups of a cluster that are not kept.
func (s *Schedule) Prune(ctx context.Context, cluster string) error {
	names, err := Names(ctx, s.Maker.Target)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range s.Retention.Expired(cluster, names) {
		if err := s.Maker.Target.Delete(ctx, name.String()); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// Names returns the names of the backups in a target.
func Names(ctx context.Context, from target.Target) ([]Name, error) {
	found, err := from.List(ctx)
	if err != nil {
		return nil, err
	}
	var names []Name
	for _, file := range found {
		if name, ok := ParseName(file.Name); ok {
			names = append(names, name)
		}
	}
	return names, nil
}
