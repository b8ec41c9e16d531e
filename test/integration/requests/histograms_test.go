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

package requests

import (
	"bytes"
	"errors"
	"io"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"k8s.io/client-go/discovery"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
)

func TestHistogramsHaveClassicAndNativeBuckets(t *testing.T) {
	client, err := discovery.NewDiscoveryClientForConfig(servertesting.Start(t).Config)
	if err != nil {
		t.Fatal(err)
	}
	body, err := client.RESTClient().Get().AbsPath("/metrics").
		SetHeader("Accept", "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decoder := expfmt.NewDecoder(bytes.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			t.Fatal("there is no apiserver_request_duration_seconds")
		} else if err != nil {
			t.Fatal(err)
		}
		if family.GetName() != "apiserver_request_duration_seconds" {
			continue
		}
		histogram := family.GetMetric()[0].GetHistogram()
		if len(histogram.GetBucket()) == 0 || len(histogram.GetPositiveSpan()) == 0 {
			t.Errorf("a histogram has %d classic buckets and %d spans of native ones", len(histogram.GetBucket()), len(histogram.GetPositiveSpan()))
		}
		return
	}
}
