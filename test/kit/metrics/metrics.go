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

// Package metrics reads the metrics of a server, in the text format of Prometheus. Read Read first.
package metrics

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"k8s.io/client-go/rest"
)

// Labels are the labels of a sample by their names.
type Labels map[string]string

// Sample is one value. Histograms and summaries have two for each set of labels, whose names end in _sum and
// _count; buckets and quantiles are left out.
type Sample struct {
	Name   string
	Labels Labels
	Value  float64
}

// has reports whether the sample has all of these labels.
func (s Sample) has(labels Labels) bool {
	for name, value := range labels {
		if got, found := s.Labels[name]; !found || got != value {
			return false
		}
	}
	return true
}

// Samples are the samples of one read, in no order.
type Samples []Sample

// Sum returns the sum of all samples of this name that have all of these labels. It is zero without samples,
// because a counter with labels appears when it first counts.
func (s Samples) Sum(name string, labels Labels) (sum float64) {
	for _, sample := range s {
		if sample.Name == name && sample.has(labels) {
			sum += sample.Value
		}
	}
	return sum
}

// Has reports whether there is a sample of this name with all of these labels.
func (s Samples) Has(name string, labels Labels) bool {
	for _, sample := range s {
		if sample.Name == name && sample.has(labels) {
			return true
		}
	}
	return false
}

// Read reads the metrics of the server behind a client, whose user must be allowed to get /metrics.
func Read(ctx context.Context, client rest.Interface) (Samples, error) {
	text, err := client.Get().AbsPath("/metrics").SetHeader("Accept", "text/plain").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading /metrics: %w", err)
	}
	return Parse(text)
}

// Scrape reads the metrics of the server of a configuration, whose user must be allowed to get /metrics.
func Scrape(t testing.TB, config *rest.Config) Samples {
	t.Helper()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s: %v", response.Status, err)
	}
	samples, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return samples
}

// Parse parses the response of /metrics.
func Parse(text []byte) (Samples, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("parsing metrics: %w", err)
	}
	var samples Samples
	for name, family := range families {
		for _, metric := range family.Metric {
			samples = append(samples, samplesOf(name, metric)...)
		}
	}
	return samples, nil
}

// samplesOf returns the samples of one metric, which has one of the kinds of values.
func samplesOf(name string, metric *dto.Metric) []Sample {
	labels := Labels{}
	for _, pair := range metric.Label {
		labels[pair.GetName()] = pair.GetValue()
	}
	switch {
	case metric.Counter != nil:
		return []Sample{{name, labels, metric.Counter.GetValue()}}
	case metric.Gauge != nil:
		return []Sample{{name, labels, metric.Gauge.GetValue()}}
	case metric.Untyped != nil:
		return []Sample{{name, labels, metric.Untyped.GetValue()}}
	case metric.Histogram != nil:
		return []Sample{{name + "_sum", labels, metric.Histogram.GetSampleSum()}, {name + "_count", labels, float64(metric.Histogram.GetSampleCount())}}
	case metric.Summary != nil:
		return []Sample{{name + "_sum", labels, metric.Summary.GetSampleSum()}, {name + "_count", labels, float64(metric.Summary.GetSampleCount())}}
	}
	return nil
}
