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
	"bufio"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// fsyncMetric is etcd's histogram of the durations of the writes of its log, in seconds.
const fsyncMetric = "etcd_disk_wal_fsync_duration_seconds"

// maxMetricsBytes bounds what is read of /metrics, which has 100 kB.
const maxMetricsBytes = 8 << 20

var errNoHistogram = errors.New("etcd has no metric " + fsyncMetric)

// bucket has the number of durations up to a bound in seconds.
type bucket struct {
	bound float64
	count uint64
}

// histogram is a histogram of durations, with cumulative counts. The bound of the last bucket is infinite.
type histogram struct{ buckets []bucket }

func (h histogram) count() uint64 {
	if len(h.buckets) == 0 {
		return 0
	}
	return h.buckets[len(h.buckets)-1].count
}

// since returns the durations that were added after an earlier histogram.
func (h histogram) since(earlier histogram) histogram {
	if len(earlier.buckets) != len(h.buckets) {
		return h
	}
	diff := histogram{buckets: make([]bucket, len(h.buckets))}
	for i := range h.buckets {
		diff.buckets[i] = bucket{h.buckets[i].bound, h.buckets[i].count - min(earlier.buckets[i].count, h.buckets[i].count)}
	}
	return diff
}

// quantile estimates a quantile as Prometheus does: the durations in a bucket are regarded as evenly spread, and
// those above the last finite bound as equal to it.
func (h histogram) quantile(q float64) time.Duration {
	rank := q * float64(h.count())
	lower, below := 0.0, uint64(0)
	for _, b := range h.buckets {
		if float64(b.count) >= rank && b.count > below {
			if math.IsInf(b.bound, 1) {
				break
			}
			part := (rank - float64(below)) / float64(b.count-below)
			return seconds(lower + (b.bound-lower)*part)
		}
		lower, below = b.bound, b.count
	}
	return seconds(lower)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(10 * time.Microsecond)
}

// gatherer is a metrics.Gatherer.
type gatherer interface {
	Gather() ([]*dto.MetricFamily, error)
}

// gathered returns the histogram of a registry.
func gathered(from gatherer) (histogram, error) {
	families, err := from.Gather()
	if err != nil {
		return histogram{}, err
	}
	for _, family := range families {
		if family.GetName() != fsyncMetric || len(family.GetMetric()) == 0 {
			continue
		}
		h, source := histogram{}, family.GetMetric()[0].GetHistogram()
		for _, b := range source.GetBucket() {
			h.buckets = append(h.buckets, bucket{b.GetUpperBound(), b.GetCumulativeCount()})
		}
		return h.closed(source.GetSampleCount()), nil
	}
	return histogram{}, errNoHistogram
}

// closed returns the histogram with a last bucket of an infinite bound.
func (h histogram) closed(count uint64) histogram {
	if n := len(h.buckets); n == 0 || !math.IsInf(h.buckets[n-1].bound, 1) {
		h.buckets = append(h.buckets, bucket{math.Inf(1), count})
	}
	return h
}

// scanned returns the histogram in a response of /metrics in Prometheus' text format.
func scanned(body io.Reader) (histogram, error) {
	var h histogram
	lines := bufio.NewScanner(io.LimitReader(body, maxMetricsBytes))
	for lines.Scan() {
		rest, ours := strings.CutPrefix(lines.Text(), fsyncMetric+`_bucket{le="`)
		if !ours {
			continue
		}
		text, value, ok := strings.Cut(rest, `"} `)
		bound, err := strconv.ParseFloat(text, 64)
		count, countErr := strconv.ParseFloat(value, 64)
		if !ok || err != nil || countErr != nil || count < 0 {
			return histogram{}, errors.New("the metric " + fsyncMetric + " is malformed")
		}
		h.buckets = append(h.buckets, bucket{bound, uint64(count)})
	}
	if err := lines.Err(); err != nil {
		return histogram{}, err
	}
	if len(h.buckets) == 0 {
		return histogram{}, errNoHistogram
	}
	return h.closed(h.count()), nil
}

// longestWindow bounds the time over which writes are counted.
const longestWindow = time.Minute

// history has the histograms of the last minute, the oldest first.
type history struct{ samples []sample }

type sample struct {
	at        time.Time
	histogram histogram
}

// add keeps a histogram. One with a lower count is of a member that was started again.
func (h *history) add(at time.Time, latest histogram) {
	if n := len(h.samples); n > 0 && h.samples[n-1].histogram.count() > latest.count() {
		h.samples = nil
	}
	for len(h.samples) > 0 && at.Sub(h.samples[0].at) > longestWindow {
		h.samples = h.samples[1:]
	}
	h.samples = append(h.samples, sample{at, latest})
}

// covers reports whether there is a histogram of the last minute before a time.
func (h *history) covers(at time.Time) bool {
	n := len(h.samples)
	return n > 0 && at.Sub(h.samples[n-1].at) < longestWindow
}

// latest returns the durations of the latest writes: those since the previous sample, or since the one before it
// if there was none, and so on. window is 0 for all writes of the member.
func (h *history) latest() (durations histogram, window time.Duration) {
	n := len(h.samples)
	if n == 0 {
		return histogram{}, 0
	}
	last := h.samples[n-1]
	for i := n - 2; i >= 0; i-- {
		if durations := last.histogram.since(h.samples[i].histogram); durations.count() > 0 {
			return durations, last.at.Sub(h.samples[i].at)
		}
	}
	return last.histogram, 0
}
