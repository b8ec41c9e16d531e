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

package certificates

import (
	"context"
	"testing"
	"testing/synctest"

	"k8s.io/component-base/metrics/legacyregistry"
)

// expirations returns the number of certificates of a kind in the metric.
func expirations(t *testing.T, kind string) (count int) {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != "gatehouse_certificate_expiration_timestamp_seconds" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "kind" && label.GetValue() == kind {
					count++
				}
			}
		}
	}
	return count
}

func TestACertificateThatIsIssuedWhileTheServerRunsIsInTheMetricAMinuteLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t)
		b := h.ensure()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan struct{})
		go func() { NewRenewer(h.dir, Options{Clock: h.clock}, nil).Run(ctx); close(done) }()
		synctest.Wait()
		step := func(clients int) {
			t.Helper()
			h.clock.Step(observeInterval)
			synctest.Wait()
			if got := expirations(t, "client"); got != clients || expirations(t, "ca") != 1 {
				t.Errorf("the metric has %d certificates of clients, want %d, and %d authorities", got, clients, expirations(t, "ca"))
			}
		}
		step(0)
		for i := range 2 {
			issued, _, err := IssueClient(b.CA, "jane", nil, day, h.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			if err := RecordIssued(h.dir, issued, h.clock.Now()); err != nil {
				t.Fatal(err)
			}
			step(i + 1)
		}
		cancel()
		<-done
	})
}
