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

package app

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

func (r *topResult) write(out io.Writer, now time.Time) error {
	if r.OwnOnly {
		fmt.Fprintln(out, ownOnly)
	}
	if len(r.Verdicts) == 0 {
		fmt.Fprintf(out, "No request is in the memory of %s.\n", serversText(r.Servers))
		return nil
	}
	var counts []string
	for _, verdict := range r.Verdicts {
		counts = append(counts, fmt.Sprintf("%d %s in %s", verdict.Requests, strings.ToLower(string(verdict.Verdict)), duration.HumanDuration(now.Sub(verdict.Since.Time))))
	}
	fmt.Fprintf(out, "Requests in the memory of %s: %s\n\n", cell(serversText(r.Servers)), strings.Join(counts, ", "))
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if r.By == "latency" {
		r.writeSlowest(w, now)
	} else {
		r.writeRows(w)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if r.Hidden > 0 {
		fmt.Fprintf(out, "%d more: --limit shows them\n", r.Hidden)
	}
	return nil
}

func (r *topResult) writeRows(out io.Writer) {
	fmt.Fprintf(out, "%s\tREQUESTS\tREFUSED\tP50\tP99\tMAX\tTOTAL\n", strings.ToUpper(r.By))
	for i := range r.Rows {
		row := &r.Rows[i]
		fmt.Fprintf(out, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", cell(row.Name), row.Requests, row.Refused, row.P50.Duration, row.P99.Duration, row.Max.Duration, row.Total.Duration)
	}
}

func (r *topResult) writeSlowest(out io.Writer, now time.Time) {
	fmt.Fprintln(out, "LATENCY\tSLOWEST GATE\tUSER\tREQUEST\tCODE\tAGE\tWHY")
	for i := range r.Slowest {
		trace := &r.Slowest[i]
		request := trace.Request.Verb + " " + resourceText(&trace.Request)
		if object := strings.Trim(trace.Request.Namespace+"/"+trace.Request.Name, "/"); object != "" {
			request += " " + object
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%s\tkubectl gatehouse why %s\n", trace.Latency.Duration, cell(slowestGate(trace)), cell(userOf(trace)), cell(request), trace.Code,
			duration.HumanDuration(now.Sub(trace.ReceivedTime.Time)), cell(shortOf(trace)))
	}
}

// slowestGate names the gate that took the longest, and the webhook or the policy instead of its plugin, whose
// time includes it.
func slowestGate(trace *v1alpha1.RequestTrace) string {
	var slowest *v1alpha1.TraceStop
	for i := range trace.Stops {
		stop := &trace.Stops[i]
		inner := slowest != nil && stop.Stop == slowest.Stop && strings.Contains(stop.By, "/") && stop.Latency.Duration > slowest.Latency.Duration*9/10
		if slowest == nil || stop.Latency.Duration > slowest.Latency.Duration || inner {
			slowest = stop
		}
	}
	if slowest == nil {
		return "-"
	}
	return gateName(slowest) + " " + slowest.Latency.Duration.String()
}
