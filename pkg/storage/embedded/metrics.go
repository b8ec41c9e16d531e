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
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics"
)

// Metrics returns etcd's own metrics, etcd_*.
//
// etcd registers its metrics in the default registry of the process, whose other families are those of the Go
// runtime, of the process, and of gRPC: the server has the first two itself, and storages do not call etcd by gRPC.
func (s *Server) Metrics() metrics.Gatherer {
	return prometheus.GathererFunc(gatherEtcd)
}

// gatherEtcd returns the families of the default registry that are etcd's.
func gatherEtcd() ([]*dto.MetricFamily, error) {
	families, err := prometheus.DefaultGatherer.Gather()
	return slices.DeleteFunc(families, func(family *dto.MetricFamily) bool {
		return !strings.HasPrefix(family.GetName(), "etcd_")
	}), err
}
