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

package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/test/kit/metrics"
)

// counters are sums of the server's own metrics.
type counters struct {
	// requests and refused are by verb and resource; refused are the requests with a
	// response code of 400 or more.
	requests, refused map[string]float64
	// events are the events sent to watches, by resource.
	events map[string]float64
	// waited is the time of requests in the queues of flow control, by flow schema, and etcd the duration of
	// etcd's calls, by operation.
	waited, etcd map[string]mean
}

// mean is a sum and its count.
type mean struct{ sum, count float64 }

func (m mean) minus(before mean) mean { return mean{m.sum - before.sum, m.count - before.count} }

func (m mean) String() string {
	if m.count == 0 {
		return "-"
	}
	return millis(seconds(m.sum / m.count))
}

// readCounters reads the server's metrics as its administrator.
func readCounters(ctx context.Context, admin rest.Interface) (counters, error) {
	samples, err := metrics.Read(ctx, admin)
	return countersOf(samples), err
}

func countersOf(samples metrics.Samples) counters {
	c := counters{map[string]float64{}, map[string]float64{}, map[string]float64{}, map[string]mean{}, map[string]mean{}}
	for _, sample := range samples {
		labels, value := sample.Labels, sample.Value
		switch sample.Name {
		case "apiserver_request_total":
			if labels["resource"] == "" {
				continue // /metrics, /readyz and the like
			}
			kind := kindOf(labels)
			c.requests[kind] += value
			if labels["code"] >= "400" {
				c.refused[kind] += value
			}
		case "apiserver_watch_events_total":
			c.events[labels["resource"]] += value
		case "apiserver_flowcontrol_request_wait_duration_seconds_sum":
			addMean(c.waited, labels["flow_schema"], mean{sum: value})
		case "apiserver_flowcontrol_request_wait_duration_seconds_count":
			addMean(c.waited, labels["flow_schema"], mean{count: value})
		case "etcd_request_duration_seconds_sum":
			addMean(c.etcd, labels["operation"], mean{sum: value})
		case "etcd_request_duration_seconds_count":
			addMean(c.etcd, labels["operation"], mean{count: value})
		}
	}
	return c
}

func addMean(to map[string]mean, name string, m mean) {
	was := to[name]
	to[name] = mean{was.sum + m.sum, was.count + m.count}
}

// kindOf returns the name of a kind of request, such as "PUT instances/status".
func kindOf(labels map[string]string) string {
	kind := labels["verb"] + " " + labels["resource"]
	if labels["subresource"] != "" {
		kind += "/" + labels["subresource"]
	}
	return kind
}

func (c counters) minus(before counters) counters {
	return counters{
		requests: difference(c.requests, before.requests), refused: difference(c.refused, before.refused),
		events: difference(c.events, before.events),
		waited: differenceOfMeans(c.waited, before.waited), etcd: differenceOfMeans(c.etcd, before.etcd),
	}
}

// difference omits values that did not change.
func difference(now, before map[string]float64) map[string]float64 {
	result := map[string]float64{}
	for key, value := range now {
		if changed := value - before[key]; changed != 0 {
			result[key] = changed
		}
	}
	return result
}

func differenceOfMeans(now, before map[string]mean) map[string]mean {
	result := map[string]mean{}
	for key, m := range now {
		if changed := m.minus(before[key]); changed.count != 0 {
			result[key] = changed
		}
	}
	return result
}

// writes counts the requests that change an object, without leases and their renewals.
func (c counters) writes() (count float64) {
	for kind, n := range c.requests {
		verb, resource, _ := strings.Cut(kind, " ")
		if slices.Contains([]string{"POST", "PUT", "PATCH", "APPLY", "DELETE"}, verb) && resource != "leases" && resource != "hostleases" {
			count += n
		}
	}
	return count
}

// total returns the sum of all values.
func total(of map[string]float64) (sum float64) {
	for _, value := range of {
		sum += value
	}
	return sum
}

// byCount returns all keys of the maps, in descending order of their values.
func byCount(of ...map[string]float64) []string {
	sums := map[string]float64{}
	for _, one := range of {
		for key, value := range one {
			sums[key] += value
		}
	}
	return slices.SortedFunc(maps.Keys(sums), func(a, b string) int {
		return cmp.Or(cmp.Compare(sums[b], sums[a]), cmp.Compare(a, b))
	})
}

// programs has one value for each of the three programs.
type programs[T any] struct{ server, controllers, simulator T }

// moment is a snapshot of all counters.
type moment struct {
	at       time.Time
	counters counters
	cpu      programs[time.Duration]
	memory   programs[memoryUse]
}

// period is the difference of two moments. Memory is that of its end.
type period struct {
	took     time.Duration
	counters counters
	cpu      programs[time.Duration]
	memory   programs[memoryUse]
}

func (m moment) since(before moment) period {
	return period{
		took: m.at.Sub(before.at), counters: m.counters.minus(before.counters), memory: m.memory,
		cpu: programs[time.Duration]{m.cpu.server - before.cpu.server, m.cpu.controllers - before.cpu.controllers, m.cpu.simulator - before.cpu.simulator},
	}
}
