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
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

func TestFatalAndPanicEndTheGoroutineAndNotTheProcess(t *testing.T) {
	for name, end := range map[string]func(*zap.Logger){
		"fatal":         func(l *zap.Logger) { l.Fatal("the end", zap.Error(unix.ENOSPC)) },
		"panic":         func(l *zap.Logger) { l.Panic("the end", zap.Error(unix.ENOSPC)) },
		"sugared fatal": func(l *zap.Logger) { l.Sugar().Fatalf("the end: %v", unix.ENOSPC) },
		"sugared panic": func(l *zap.Logger) { l.Named("raft").Sugar().Panicf("the end: %v", unix.ENOSPC) },
	} {
		t.Run(name, func(t *testing.T) {
			var reported error
			logger := newLogger(klog.Background(), &atomic.Bool{}, func(err error) { reported = err })
			ended, wentOn := make(chan struct{}), false
			go func() {
				defer close(ended)
				end(logger)
				wentOn = true
			}()
			<-ended
			if wentOn {
				t.Error("the goroutine continued")
			}
			wantProblem(t, problemOf("/some/dir", reported), Full, "/some/dir")
		})
	}
}

func TestAFatalOfARunningEtcdComesFromErr(t *testing.T) {
	dir := t.TempDir()
	server := start(t, Config{DataDir: dir})
	go server.etcd.GetLogger().Fatal("failed to commit tx", zap.Error(unix.EIO))
	select {
	case err := <-server.Err():
		wantProblem(t, err, Failed, dir)
		if !errors.Is(err, unix.EIO) {
			t.Errorf("the cause is lost: %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Err delivered nothing")
	}
	stop(t, server)
}

func TestProblemOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Reason
	}{
		{fmt.Errorf("failed to create WAL: %w", unix.ENOSPC), Full},
		{errors.New("write x: disk quota exceeded"), Full},
		{&fs.PathError{Op: "open", Path: "x", Err: unix.EACCES}, Unwritable},
		{&fs.PathError{Op: "open", Path: "x", Err: unix.EROFS}, Unwritable},
		{errors.New("cannot access data directory: open x: permission denied"), Unwritable},
		{errors.New("invalid downgrade; server version is lower than determined cluster version"), Newer},
		{errors.New("failed to read WAL, cannot be repaired: walpb: crc mismatch"), Corrupt},
		{errors.New("tocommit(9) is out of range [lastIndex(3)]. Was the raft log corrupted, truncated, or lost?"), Corrupt},
		{errors.New("no idea"), Failed},
	} {
		wantProblem(t, problemOf("/some/dir", c.err), c.want, "/some/dir")
	}
}
