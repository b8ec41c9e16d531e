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

package storage

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

const (
	// SpaceCheck is the name of the check of /readyz that fails while etcd refuses writes.
	SpaceCheck = "etcd-space"

	// ReasonInsufficientStorage is the reason in the Status of a write that etcd has refused. Its
	// code is 507, which RFC 4918 defines for this case, and which clients take neither for an
	// error of the request nor for one to retry.
	ReasonInsufficientStorage metav1.StatusReason = "InsufficientStorage"

	// spaceInterval is the interval at which the alarms of etcd are read. A refused write is
	// noticed at once.
	spaceInterval = 5 * time.Second
	// warnPercent is the part of the quota from which the log has a warning.
	warnPercent = 85
	// spaceTimeout bounds one request to an external etcd.
	spaceTimeout = 5 * time.Second
)

// The cures are part of responses to clients, so they contain no path and no address.
const (
	embeddedCure = "delete objects that are not needed (deletes continue; objects with finalizers remain, because the removal of a finalizer is a write), then restart the server, which compacts and defragments the database; or restart it with a larger --etcd-quota-bytes"
	externalCure = "delete objects that are not needed (deletes continue; objects with finalizers remain, because the removal of a finalizer is a write), then run etcdctl compact, etcdctl defrag and etcdctl alarm disarm; or raise --quota-backend-bytes of etcd and disarm the alarm"
)

// Space tracks whether etcd refuses writes because its database has reached its quota (the NOSPACE
// alarm), and reports that to clients, in /readyz and in the log.
type Space struct {
	cure  string
	alarm func(context.Context) (bool, error)
	// size is nil if the size is unknown.
	size func() (size, quota int64)
	log  klog.Logger

	full atomic.Bool
	// near is used by Run only.
	near bool
}

// Quota is the size of the database of an etcd in this process: see embedded.Server.
type Quota interface {
	// OverQuota reports whether writes are refused.
	OverQuota() bool
	// Size returns the size of the database and its quota, in bytes.
	Size() (size, quota int64)
}

// EmbeddedSpace returns a Space of an etcd in this process.
func EmbeddedSpace(ctx context.Context, etcd Quota) *Space {
	space := newSpace(ctx, embeddedCure, func(context.Context) (bool, error) { return etcd.OverQuota(), nil })
	space.size = etcd.Size
	return space
}

// ExternalSpace returns a Space of an external etcd, with a separate client. The returned
// function closes the client.
func ExternalSpace(ctx context.Context, to Connection) (*Space, func(), error) {
	config, err := to.ClientConfig(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, nil, err
	}
	space := newSpace(ctx, externalCure, func(ctx context.Context) (bool, error) {
		ctx, cancel := context.WithTimeout(ctx, spaceTimeout)
		defer cancel()
		alarms, err := client.AlarmList(ctx)
		if err != nil {
			return false, err
		}
		for _, alarm := range alarms.Alarms {
			if alarm.GetAlarm() == etcdserverpb.AlarmType_NOSPACE {
				return true, nil
			}
		}
		return false, nil
	})
	return space, func() { _ = client.Close() }, nil
}

func newSpace(ctx context.Context, cure string, alarm func(context.Context) (bool, error)) *Space {
	return &Space{cure: cure, alarm: alarm, log: klog.LoggerWithName(klog.FromContext(ctx), "etcd")}
}

// Run reads the alarms until the context ends.
func (s *Space) Run(ctx context.Context) {
	ticker := time.NewTicker(spaceInterval)
	defer ticker.Stop()
	for {
		if full, err := s.alarm(ctx); err != nil {
			// The health check "etcd" reports an etcd that does not respond.
			s.log.V(2).Info("Reading the alarms of etcd failed", "err", err)
		} else {
			s.set(full)
			s.warn()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// set records whether the database is full, and logs a change.
func (s *Space) set(full bool) {
	if s.full.Swap(full) == full {
		return
	}
	if full {
		s.log.Error(nil, "etcd refuses writes: its database has reached its quota", "check", SpaceCheck, "cure", s.cure)
		return
	}
	s.log.Info("Database of etcd is below its quota, writes are accepted again", "check", SpaceCheck)
}

// warn logs once that the database is close to its quota, and again after it was smaller.
func (s *Space) warn() {
	if s.size == nil {
		return
	}
	size, quota := s.size()
	near := size >= quota/100*warnPercent
	if near && !s.near && !s.Full() {
		s.log.Info("Database of etcd is close to its quota, at which writes are refused: delete objects, or restart the server with a larger --etcd-quota-bytes", "severity", "warn", "bytes", size, "quotaBytes", quota)
	}
	s.near = near
}

// Full reports whether etcd refused writes when the alarms were last read.
func (s *Space) Full() bool { return s.full.Load() }

// HealthCheck returns a check that fails while etcd refuses writes.
func (s *Space) HealthCheck() healthz.HealthChecker {
	return healthz.NamedCheck(SpaceCheck, func(*http.Request) error {
		if s.Full() {
			return errors.New("the database of etcd has reached its quota: " + s.cure)
		}
		return nil
	})
}

// translate replaces etcd's error for a write that has no space or is too large by a Status with the
// cure.
func (s *Space) translate(err error) error {
	if err == nil || !errors.Is(err, rpctypes.ErrNoSpace) && !errors.Is(err, rpctypes.ErrGRPCNoSpace) {
		return translateSize(err)
	}
	s.set(true)
	return &apierrors.StatusError{ErrStatus: metav1.Status{
		Status:  metav1.StatusFailure,
		Code:    http.StatusInsufficientStorage,
		Reason:  ReasonInsufficientStorage,
		Message: "nothing can be created or changed: the database of the server has reached its quota: " + s.cure,
	}}
}

// IsInsufficientStorage reports whether a write was refused because the database has reached its
// quota.
func IsInsufficientStorage(err error) bool {
	return apierrors.ReasonForError(err) == ReasonInsufficientStorage
}

// Storages returns a getter of storages that translate the errors of a full database.
func (s *Space) Storages(getter generic.RESTOptionsGetter) generic.RESTOptionsGetter {
	return spaceGetter{getter, s}
}

type spaceGetter struct {
	generic.RESTOptionsGetter
	space *Space
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g spaceGetter) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	options, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return options, err
	}
	decorate := options.Decorator
	options.Decorator = func(config *storagebackend.ConfigForResource, resourcePrefix string, keyFunc func(runtime.Object) (string, error),
		newFunc, newListFunc func() runtime.Object, attrs storage.AttrFunc, triggers storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		store, destroy, err := decorate(config, resourcePrefix, keyFunc, newFunc, newListFunc, attrs, triggers, indexers)
		if err != nil {
			return nil, nil, err
		}
		return &spaceStorage{store, g.space}, sync.OnceFunc(destroy), nil
	}
	return options, nil
}

// spaceStorage translates the errors of the three methods that write.
type spaceStorage struct {
	storage.Interface
	space *Space
}

// Unwrap returns the storage below.
func (s *spaceStorage) Unwrap() storage.Interface { return s.Interface }

// Create implements storage.Interface.
func (s *spaceStorage) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	return s.space.translate(s.Interface.Create(ctx, key, obj, out, ttl))
}

// Delete implements storage.Interface.
func (s *spaceStorage) Delete(ctx context.Context, key string, out runtime.Object, preconditions *storage.Preconditions,
	validate storage.ValidateObjectFunc, cached runtime.Object, opts storage.DeleteOptions) error {
	return s.space.translate(s.Interface.Delete(ctx, key, out, preconditions, validate, cached, opts))
}

// GuaranteedUpdate implements storage.Interface.
func (s *spaceStorage) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, update storage.UpdateFunc, cached runtime.Object) error {
	return s.space.translate(s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, update, cached))
}
