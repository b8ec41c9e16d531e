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
	"testing"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/storage/backup/target"
)

// run runs a schedule until it has reported a number of attempts.
func run(t *testing.T, s *Schedule, number int) []Attempt {
	t.Helper()
	ctx, end := context.WithTimeout(t.Context(), 2*time.Minute)
	defer end()
	var attempts []Attempt
	if err := s.Run(ctx, func(a Attempt) {
		if attempts = append(attempts, a); len(attempts) == number {
			end()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if len(attempts) != number {
		t.Fatalf("there were %d attempts in time, and not %d", len(attempts), number)
	}
	return attempts
}

func TestAScheduleMakesBackupsAndRemovesOldOnes(t *testing.T) {
	src := newSource(t)
	s := NewSchedule(src.Maker, Options{Interval: 1100 * time.Millisecond})
	s.startDelay, s.Retention = 0, Retention{Hours: 1}
	attempts := run(t, s, 3)
	last := attempts[2]
	if last.Err != nil || last.Member == "" || s.Last() == nil || s.Last().Made != last.Made {
		t.Errorf("the last attempt is %+v", last)
	}
	// The context has ended before the last one was pruned, or after.
	names, err := Names(t.Context(), src.Target)
	if err != nil || len(names) > 2 {
		t.Errorf("kept %v, %v", names, err)
	}
	if err := s.Prune(t.Context(), last.Made.Name.Cluster); err != nil {
		t.Fatal(err)
	}
	names, err = Names(t.Context(), src.Target)
	if err != nil || len(names) != 1 || names[0] != last.Made.Name {
		t.Errorf("kept %v, %v, and the last one is %v", names, err, last.Made.Name)
	}
	if due := time.Until(s.newest(t.Context()).Add(time.Hour)); due < 50*time.Minute {
		t.Errorf("after a restart, the next backup of every hour is due in %v", due)
	}
}

// refusing is a target that stores nothing until it is mended.
type refusing struct {
	target.Target
	broken bool
}

// Put implements target.Target.
func (r *refusing) Put(ctx context.Context, name, path string) error {
	if r.broken {
		r.broken = false
		return errors.New("the share is not mounted")
	}
	return r.Target.Put(ctx, name, path)
}

func TestABackupThatFailsIsReportedAndTriedAgain(t *testing.T) {
	src := newSource(t)
	src.Target = &refusing{src.Target, true}
	s := NewSchedule(src.Maker, Options{Interval: 100 * time.Millisecond})
	s.startDelay = 0
	attempts := run(t, s, 2)
	if first := attempts[0]; first.Err == nil || first.Made != nil || first.Member == "" {
		t.Errorf("the first attempt is %+v", first)
	}
	if second := attempts[1]; second.Err != nil || second.Made == nil {
		t.Errorf("the second attempt is %+v", second)
	}
}

func TestWhenAServerMakesBackups(t *testing.T) {
	for _, tc := range []struct {
		name     string
		options  Options
		embedded bool
		want     bool
		wrong    bool
	}{
		{"by default with an embedded etcd", NewOptions(), true, true, false},
		{"not by default with an external etcd", NewOptions(), false, false, false},
		{"into a directory with an external etcd", Options{Dir: "/backups", Interval: time.Hour}, false, true, false},
		{"not with an interval of 0", Options{Dir: "/backups"}, true, false, false},
		{"not every second", Options{Interval: time.Second}, true, true, true},
		{"not in the past", Options{Interval: -time.Hour}, true, false, true},
	} {
		if got := tc.options.Enabled(tc.embedded); got != tc.want {
			t.Errorf("%s: got %v", tc.name, got)
		}
		if errs := tc.options.Validate(); (len(errs) > 0) != tc.wrong {
			t.Errorf("%s: got %v", tc.name, errs)
		}
	}
}
