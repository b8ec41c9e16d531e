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

package members

import (
	"strings"
	"testing"
	"time"
)

// text is /metrics with 90 writes of up to 1 ms, 9 of up to 2 ms, and 1 longer one.
const text = `# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 90
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.002"} 99
etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"} 100
etcd_disk_wal_fsync_duration_seconds_sum 0.1
etcd_disk_wal_fsync_duration_seconds_count 100
etcd_disk_wal_write_bytes_total 1.5e+06
`

func TestTheQuantileIsThatOfPrometheus(t *testing.T) {
	h, err := scanned(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		quantile float64
		want     time.Duration
	}{
		{0.45, 500 * time.Microsecond}, {0.945, 1500 * time.Microsecond}, {0.99, 2 * time.Millisecond}, {0.999, 2 * time.Millisecond},
	} {
		if got := h.quantile(row.quantile); got != row.want {
			t.Errorf("quantile %v: got %v, want %v", row.quantile, got, row.want)
		}
	}
}

func TestMetricsWithoutTheHistogramAreAnError(t *testing.T) {
	for name, body := range map[string]string{
		"nothing": "", "another program": "go_goroutines 1\n",
		"no number": `etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} many` + "\n", "no bound": `etcd_disk_wal_fsync_duration_seconds_bucket{le="x"} 1` + "\n",
	} {
		if h, err := scanned(strings.NewReader(body)); err == nil {
			t.Errorf("%s: got %v", name, h)
		}
	}
}

// writes returns a histogram with fast writes of 1 ms and slow ones of 512 ms.
func writes(fast, slow uint64) histogram {
	return histogram{buckets: []bucket{{0.001, fast}, {0.256, fast}, {0.512, fast + slow}}}.closed(fast + slow)
}

func TestTheLatestWritesCount(t *testing.T) {
	began := time.Now()
	second := func(n int) time.Time { return began.Add(time.Duration(n) * time.Second) }
	var h history
	h.add(second(0), writes(100_000, 0))
	if durations, window := h.latest(); durations.count() != 100_000 || window != 0 {
		t.Errorf("with one sample: %d writes in %v", durations.count(), window)
	}
	h.add(second(1), writes(101_000, 0))
	h.add(second(2), writes(101_000, 2)) // the disk has become slow
	durations, window := h.latest()
	if got := durations.quantile(0.99); durations.count() != 2 || window != time.Second || got < 500*time.Millisecond {
		t.Errorf("while the disk is slow: %d writes in %v, p99 %v", durations.count(), window, got)
	}
	h.add(second(3), writes(101_000, 2))
	if durations, window := h.latest(); durations.count() != 2 || window != 2*time.Second {
		t.Errorf("without a write in the last second: %d writes in %v", durations.count(), window)
	}
	if !h.covers(second(4)) || h.covers(second(63)) || (&history{}).covers(began) {
		t.Error("a histogram counts for a minute")
	}
	h.add(second(4), writes(3, 0))
	if durations, window := h.latest(); durations.count() != 3 || window != 0 {
		t.Errorf("after a restart of the member: %d writes in %v", durations.count(), window)
	}
	for i := range 200 {
		h.add(second(5+i), writes(3, 0))
	}
	if len(h.samples) > 62 {
		t.Errorf("%d samples are kept", len(h.samples))
	}
}
