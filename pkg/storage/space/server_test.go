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
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/gatehouse-dev/gatehouse/pkg/storage"
	"github.com/gatehouse-dev/gatehouse/pkg/storage/embedded"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const quota = 8 << 20

// member starts a lone etcd and returns a client.
func member(t *testing.T) (*embedded.Server, *clientv3.Client) {
	t.Helper()
	etcd, err := embedded.Start(context.WithoutCancel(t.Context()), embedded.Config{DataDir: t.TempDir(), QuotaBackendBytes: quota})
	if err != nil {
		t.Fatal(err)
	}
	client := etcd.NewClient()
	t.Cleanup(func() {
		_ = client.Close()
		_ = etcd.Close()
	})
	return etcd, client
}

// watcher returns a Server that drops history at once.
func watcher(t *testing.T, etcd *embedded.Server, warnings chan<- string) *Server {
	t.Helper()
	s := NewLocal(t.Context(), etcd, storage.Prefix, warnings)
	s.keep = 0
	t.Cleanup(s.etcd.Close)
	return s
}

// fill puts values until etcd refuses one, and returns the number of puts.
func fill(t *testing.T, client *clientv3.Client, key func(i int) string) int {
	t.Helper()
	for i := range 1000 {
		_, err := client.Put(t.Context(), key(i), strings.Repeat("x", 100_000))
		if errors.Is(err, rpctypes.ErrNoSpace) {
			return i
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("etcd takes everything")
	return 0
}

// untilWritable waits until passes have made space.
func untilWritable(t *testing.T, s *Server) {
	t.Helper()
	kit.EventuallyState(t, "writes are accepted", func(ctx context.Context) (bool, string) {
		s.pass(ctx)
		err := spaceCheck(s)
		return err == nil, fmt.Sprint(err)
	})
}

func spaceCheck(s *Server) error { return s.HealthChecks()[0].Check(nil) }

func secret(i int) string { return fmt.Sprintf("/registry/secrets/default/s-%03d", i) }

func TestADatabaseThatIsFullOfFormerVersionsIsMadeWritable(t *testing.T) {
	etcd, client := member(t)
	s := watcher(t, etcd, nil)
	fill(t, client, func(int) string { return secret(0) })
	if err := s.Refused(); !storage.IsInsufficientStorage(err) || !strings.Contains(err.Error(), "nothing can be created or changed: the database has reached its quota of 8.0 MiB (the disk is not full)") {
		t.Errorf("got %v", err)
	}
	untilWritable(t, s)
	if _, err := client.Put(t.Context(), secret(1), "value"); err != nil {
		t.Errorf("a write after the space was made: %v", err)
	}
	if size, _ := etcd.Size(); size > quota/4 || s.reclaims.Load() != 1 {
		t.Errorf("the file has %d bytes after %d defragmentations", size, s.reclaims.Load())
	}
}

func TestADatabaseThatIsFullOfObjectsStaysFullUntilObjectsAreDeleted(t *testing.T) {
	etcd, client := member(t)
	s := watcher(t, etcd, nil)
	count := fill(t, client, secret)
	for etcd.Reclaim(t.Context()) == nil { // free pages are filled, too
		for i := count; ; i++ {
			if _, err := client.Put(t.Context(), secret(i), strings.Repeat("x", 100_000)); err != nil {
				count = i
				break
			}
		}
	}
	for range 4 {
		s.pass(t.Context())
	}
	err := spaceCheck(s)
	if err == nil || !strings.Contains(err.Error(), "most of it is secrets ") || !strings.Contains(err.Error(), "(the disk is not full)") || !strings.Contains(err.Error(), "objects with finalizers remain") {
		t.Errorf("the check: %v", err)
	}
	if s.reclaims.Load()+s.failures.Load() != 0 {
		t.Error("the database was defragmented, which blocks requests and cannot help")
	}
	deleted := count * 4 / 5 // etcd may have taken twice its quota, because the size that it compares lacks the last 100 ms
	for i := range deleted {
		if _, err := client.Delete(t.Context(), secret(i)); err != nil {
			t.Fatalf("a delete in a full database: %v", err)
		}
	}
	untilWritable(t, s)
	if s.reclaims.Load() != 1 {
		t.Errorf("%d defragmentations", s.reclaims.Load())
	}
	for i := deleted; i < count; i++ {
		if response, err := client.Get(t.Context(), secret(i)); err != nil || len(response.Kvs) != 1 {
			t.Fatalf("%s: %v, %v", secret(i), response, err)
		}
	}
}

func TestCreatesAreRefusedWhileUpdatesHaveTheReserve(t *testing.T) {
	etcd, client := member(t)
	warnings := make(chan string, 1)
	s := watcher(t, etcd, warnings)
	s.pass(t.Context())
	if err := s.RefuseCreate(); err != nil || len(warnings) != 0 {
		t.Fatalf("an empty database refuses: %v", err)
	}
	put := func(until int64, bytes int) {
		for i := 0; ; i++ {
			etcd.Commit() // the size lacks the writes of the last 100 ms otherwise
			if size, _ := etcd.Size(); size >= until {
				return
			}
			if _, err := client.Put(t.Context(), secret(i), strings.Repeat("x", bytes)); err != nil {
				t.Fatal(err)
			}
		}
	}
	size, limit := etcd.Size()
	if limit != quota || size >= quota/2 {
		t.Fatalf("the empty database has %d of %d bytes", size, limit)
	}
	put(quota/2, 50_000)
	put(quota-reserve(quota), 50_000)
	if err := s.RefuseCreate(); !storage.IsInsufficientStorage(err) || !strings.HasPrefix(err.Error(), "nothing can be created: the database has reached its quota") {
		t.Errorf("a create: %v", err)
	}
	if err := s.RefuseUpdate(); err != nil {
		t.Errorf("an update: %v", err)
	}
	if s.full.Load() {
		t.Error("etcd refuses updates, too")
	}
	if err := spaceCheck(s); err == nil {
		t.Error("the check passes")
	}
}

func TestTheReserveIsLeftWhenCreatesComeFasterThanEtcdReportsItsSize(t *testing.T) {
	etcd, client := member(t)
	s := watcher(t, etcd, nil)
	var creates sync.WaitGroup
	for worker := range 16 {
		creates.Go(func() {
			for i := 0; s.RefuseCreate() == nil; i++ {
				s.Writing(10_000)
				if _, err := client.Put(t.Context(), secret(100*i+worker), strings.Repeat("x", 10_000)); err != nil {
					t.Errorf("a create that was not refused: %v", err)
					return
				}
			}
		})
	}
	creates.Wait()
	if size, limit := etcd.Size(); size >= limit {
		t.Errorf("the database has %d of %d bytes", size, limit)
	}
}

func TestANearlyFullDatabaseIsReportedOnce(t *testing.T) {
	etcd, client := member(t)
	warnings := make(chan string, 4)
	s := watcher(t, etcd, warnings)
	s.local = nil // as of an external etcd: there is no reserve
	for i := 0; ; i++ {
		etcd.Commit() // the size lacks the writes of the last 100 ms otherwise
		if size, _ := etcd.Size(); size >= quota/100*92 {
			break
		}
		if _, err := client.Put(t.Context(), secret(i), strings.Repeat("x", 50_000)); err != nil {
			t.Fatal(err)
		}
	}
	s.pass(t.Context())
	s.pass(t.Context())
	if len(warnings) != 1 {
		t.Fatalf("%d warnings", len(warnings))
	}
	if warning := <-warnings; !strings.Contains(warning, "of its quota of 8.0 MiB") || !strings.Contains(warning, "most of it is secrets ") || !strings.Contains(warning, "gatehouse storage defrag") {
		t.Error(warning)
	}
}

func TestAFullDiskIsReportedAsSuch(t *testing.T) {
	for _, row := range []struct {
		name           string
		free           int64
		known          bool
		create, update string
	}{
		{"there is free space", 1 << 30, true, "", ""},
		{"the free space is unknown", 0, false, "", ""},
		{"creates have no space", 17 << 20, true, "nothing can be created: the disk of the server's data directory is full: 17.0 MiB are free", ""},
		{"updates have no space", 4096, true, "nothing can be created: the disk", "nothing can be created or changed: the disk of the server's data directory is full: 4.0 KiB are free"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := &Server{disk: diskReader{read: func() (int64, bool) { return row.free, row.known }}}
			for _, refusal := range []struct {
				err  error
				want string
			}{{s.RefuseCreate(), row.create}, {s.RefuseUpdate(), row.update}} {
				if (refusal.err == nil) != (refusal.want == "") || refusal.err != nil && (!strings.HasPrefix(refusal.err.Error(), refusal.want) ||
					!storage.IsInsufficientStorage(refusal.err) || !strings.Contains(refusal.err.Error(), "the quota of the database is not the reason")) {
					t.Errorf("got %v, want %q", refusal.err, refusal.want)
				}
			}
			s.local = (*embedded.Server)(nil) // only an embedded etcd has this check
			checks := s.HealthChecks()
			if err := checks[1].Check(nil); (err == nil) != (row.create == "") || checks[1].Name() != storage.DiskCheck {
				t.Errorf("the check %s: %v", checks[1].Name(), err)
			}
		})
	}
}

func TestADefragmentedDatabaseHasSpaceForCreates(t *testing.T) {
	for _, quota := range []int64{16 << 20, 20 << 20, 64 << 20, 8 << 30} {
		if quota-reserve(quota) <= quota/100*disarmPercent {
			t.Errorf("of a quota of %d, a database below %d %% has only the reserve left", quota, disarmPercent)
		}
	}
}

func TestTheReserveIsAPartOfTheQuotaWithinBounds(t *testing.T) {
	for quota, want := range map[int64]int64{16 << 20: 1677721, 20 << 20: 2 << 20, 64 << 20: 4 << 20, 8 << 30: 128 << 20, math.MaxInt64: 128 << 20} {
		if got := reserve(quota); got != want {
			t.Errorf("reserve(%d) = %d, want %d", quota, got, want)
		}
	}
}
