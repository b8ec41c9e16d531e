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

package admission

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

var shadowAnswers = metrics.NewCounterVec(&metrics.CounterOpts{
	Name: "gatehouse_admission_shadow_total", StabilityLevel: metrics.ALPHA,
	Help: "Requests of webhooks and validating policies in shadow, by type (webhook or policy), name (CONFIGURATION/WEBHOOK or POLICY/BINDING) and verdict: allowed, refused, failed, not_called.",
}, []string{"type", "name", "verdict"})

// registerShadowMetrics registers the metrics once.
var registerShadowMetrics = sync.OnceFunc(func() { legacyregistry.MustRegister(shadowAnswers) })

func countShadow(kind, name string, verdict diagnostics.Verdict) {
	label := "allowed"
	switch verdict {
	case diagnostics.WouldRefuse:
		label = "refused"
	case diagnostics.Ignored:
		label = "failed"
	case diagnostics.NotCalled:
		label = "not_called"
	}
	shadowAnswers.WithLabelValues(kind, name, label).Inc()
}

// shadowTransport reports the answers of webhooks in shadow, and replaces them by one that lets the
// request pass: the library asks the next webhook with the same object.
type shadowTransport struct {
	http.RoundTripper
	names webhookNames
}

// RoundTrip implements http.RoundTripper.
func (t *shadowTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	call, ok := r.Context().Value(shadowKey{}).(*shadowCall)
	if !ok {
		return t.RoundTripper.RoundTrip(r)
	}
	by, _ := t.names.of(call.gate, r.URL)
	begun := time.Now()
	response, err := t.RoundTripper.RoundTrip(r)
	stop, paths := diagnostics.Stop{Verdict: diagnostics.Ignored, Reason: "the call of the webhook failed"}, []string(nil)
	if err == nil && response.StatusCode == http.StatusOK {
		stop, paths = t.pass(response)
	}
	stop.Latency = time.Since(begun)
	call.answer(by, stop, paths)
	return response, err
}

// pass reads the answer of a webhook, and replaces it in the response. Only the verdict and the paths of a
// patch are kept.
func (*shadowTransport) pass(response *http.Response) (diagnostics.Stop, []string) {
	failed := diagnostics.Stop{Verdict: diagnostics.Ignored, Reason: "the answer of the webhook is not valid"}
	body, err := io.ReadAll(response.Body)
	_ = response.Body.Close()
	replace := func(with []byte) {
		response.Body, response.ContentLength = io.NopCloser(bytes.NewReader(with)), int64(len(with))
		response.Header.Del("Content-Length")
	}
	replace(body)
	var review struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Response   *struct {
			UID     string `json:"uid"`
			Allowed bool   `json:"allowed"`
			Patch   []byte `json:"patch"`
		} `json:"response"`
	}
	if err != nil || json.Unmarshal(body, &review) != nil || review.Response == nil {
		return failed, nil
	}
	passing, err := json.Marshal(map[string]any{
		"apiVersion": review.APIVersion, "kind": review.Kind, "response": map[string]any{"uid": review.Response.UID, "allowed": true},
	})
	if err != nil {
		return failed, nil
	}
	replace(passing)
	var patch []struct{ Path string }
	if len(review.Response.Patch) > 0 && json.Unmarshal(review.Response.Patch, &patch) != nil {
		return failed, nil
	}
	var paths []string
	for _, change := range patch {
		paths = append(paths, change.Path)
	}
	stop := diagnostics.Stop{Changed: len(patch) > 0}
	if !review.Response.Allowed {
		stop.Verdict, stop.Reason = diagnostics.WouldRefuse, "the webhook is against the request"
	}
	return stop, paths
}

// WrappedRoundTripper implements net.RoundTripperWrapper, which closes idle connections.
func (t *shadowTransport) WrappedRoundTripper() http.RoundTripper { return t.RoundTripper }
