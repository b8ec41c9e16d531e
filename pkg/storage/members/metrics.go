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
	"k8s.io/component-base/metrics"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

// collector computes the metrics when they are read, from the last poll.
type collector struct {
	metrics.BaseStableCollector
	store                            *store
	voters, healthy, members, member *metrics.Desc
}

// Metrics returns the metrics of the members, which etcd's own metrics lack: those are of one member.
func (p *Poller) Metrics() metrics.Gatherer {
	own := metrics.NewKubeRegistry()
	own.CustomMustRegister(&collector{
		store:   &p.store,
		voters:  metrics.NewDesc("gatehouse_etcd_voters", "Members of etcd that vote: a majority of them must run for writes.", nil, nil, metrics.ALPHA, ""),
		healthy: metrics.NewDesc("gatehouse_etcd_healthy_voters", "Members of etcd that vote, respond and have a leader.", nil, nil, metrics.ALPHA, ""),
		members: metrics.NewDesc("gatehouse_etcd_members", "Members of etcd, with learners.", nil, nil, metrics.ALPHA, ""),
		member: metrics.NewDesc("gatehouse_etcd_member_healthy", "Whether a member of etcd responds, has a leader and has no alarm. The label member is its ID.",
			[]string{"member"}, nil, metrics.ALPHA, ""),
	})
	return own
}

// DescribeWithStability implements metrics.StableCollector.
func (c *collector) DescribeWithStability(ch chan<- *metrics.Desc) {
	for _, desc := range []*metrics.Desc{c.voters, c.healthy, c.members, c.member} {
		ch <- desc
	}
}

// CollectWithStability implements metrics.StableCollector. There is none before the first response of a member.
func (c *collector) CollectWithStability(ch chan<- metrics.Metric) {
	members := 0
	var cluster diagnostics.StorageCluster
	c.store.List(func(m *diagnostics.StorageMember) {
		members++
		cluster = m.Cluster
		healthy := 0.0
		if m.Health == diagnostics.StorageHealthy {
			healthy = 1
		}
		ch <- metrics.NewLazyConstMetric(c.member, metrics.GaugeValue, healthy, m.Name)
	})
	if members == 0 {
		return
	}
	ch <- metrics.NewLazyConstMetric(c.members, metrics.GaugeValue, float64(members))
	ch <- metrics.NewLazyConstMetric(c.voters, metrics.GaugeValue, float64(cluster.Voters))
	ch <- metrics.NewLazyConstMetric(c.healthy, metrics.GaugeValue, float64(cluster.HealthyVoters))
}
