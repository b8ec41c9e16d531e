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

import "k8s.io/component-base/metrics"

// collector computes the metrics when they are read.
type collector struct {
	metrics.BaseStableCollector
	server                                        *Server
	size, inUse, quota, near, full, disk, reclaim *metrics.Desc
}

// Metrics returns the metrics of the space of etcd. Those of an embedded etcd are also among etcd's own.
func (s *Server) Metrics() metrics.Gatherer {
	desc := func(name, help string, labels ...string) *metrics.Desc {
		return metrics.NewDesc(name, help, labels, nil, metrics.ALPHA, "")
	}
	own := metrics.NewKubeRegistry()
	own.CustomMustRegister(&collector{
		server:  s,
		size:    desc("gatehouse_storage_size_bytes", "Size of the database of the etcd member that is closest to its quota."),
		inUse:   desc("gatehouse_storage_size_in_use_bytes", "Part of the database that a defragmentation keeps."),
		quota:   desc("gatehouse_storage_quota_bytes", "Size of the database at which etcd refuses writes; missing for an external etcd before 3.6."),
		near:    desc("gatehouse_storage_nearly_full", "1 if the database has 90 % of its quota or more, 0 otherwise."),
		full:    desc("gatehouse_storage_full", "1 if writes are refused, by the reason quota or disk, 0 otherwise.", "reason"),
		disk:    desc("gatehouse_storage_disk_free_bytes", "Free bytes of the disk of the embedded etcd."),
		reclaim: desc("gatehouse_storage_reclaims_total", "Defragmentations of a full database by the server, by whether they made space.", "result"),
	})
	return own
}

// DescribeWithStability implements metrics.StableCollector.
func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{c.size, c.inUse, c.quota, c.near, c.full, c.disk, c.reclaim} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	gauge := func(desc *metrics.Desc, value float64, labels ...string) {
		ch <- metrics.NewLazyConstMetric(desc, metrics.GaugeValue, value, labels...)
	}
	flag := func(desc *metrics.Desc, is bool, labels ...string) {
		value := 0.0
		if is {
			value = 1
		}
		gauge(desc, value, labels...)
	}
	s := c.server
	if last := s.last.Load(); last != nil {
		gauge(c.size, float64(last.size))
		gauge(c.inUse, float64(last.inUse))
		if last.quota > 0 {
			gauge(c.quota, float64(last.quota))
		}
	}
	flag(c.near, s.warned.Load())
	flag(c.full, s.full.Load() || s.reserved(), "quota")
	if s.local == nil {
		return
	}
	free, low := s.disk.below(createsNeedDisk)
	flag(c.full, low, "disk")
	if free >= 0 {
		gauge(c.disk, float64(free))
	}
	for result, n := range map[string]int64{"helped": s.reclaims.Load(), "failed": s.failures.Load()} {
		ch <- metrics.NewLazyConstMetric(c.reclaim, metrics.CounterValue, float64(n), result)
	}
}
