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
	"cmp"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// detailCauses returns what a stop has besides its reason.
func detailCauses(t *v1alpha1.RequestTrace, stop *v1alpha1.TraceStop) []string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if stop.Shadow {
		add("in shadow: decides nothing")
	}
	if s := stop.Seats; s != nil {
		switch {
		case len(s.Holders) > 0:
			add("%d seats in use (%s), %d requests waiting", s.InUse, holdersText(s.Holders, t.User.Username), s.Waiting)
		case s.Requested > 1:
			add("%d seats", s.Requested)
		}
		if s.Queued && stop.Verdict == v1alpha1.StopPassed {
			add("waited in a queue")
		}
	}
	for i := range stop.OtherWrites {
		add("%s", writeText(&stop.OtherWrites[i]))
	}
	if stop.EtcdLatency != nil {
		add("etcd took %s", stop.EtcdLatency.Duration)
	}
	return parts
}

func holdersText(holders []v1alpha1.SeatHolder, user string) string {
	var parts []string
	for _, holder := range holders {
		name := fmt.Sprintf("%q", holder.Username)
		switch holder.Username {
		case "":
			name = "other users"
		case user:
			name = "this user"
		}
		parts = append(parts, fmt.Sprintf("%s %d", name, holder.Seats))
	}
	return strings.Join(parts, ", ")
}

func writeText(w *v1alpha1.TracedWrite) string {
	text := fmt.Sprintf("%q", w.Manager)
	if w.Operation == "Apply" {
		text += " (server-side apply)"
	}
	text += " wrote"
	if w.Subresource != "" {
		text += " " + w.Subresource
	}
	if w.Time != nil {
		text += " at " + w.Time.UTC().Format(time.RFC3339)
	}
	if w.Username != "" {
		text += fmt.Sprintf(" as user %q", w.Username)
	}
	return text
}

// reportQuotas prints what is left of the quotas.
func reportQuotas(out io.Writer, t *v1alpha1.RequestTrace) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	headed := false
	for i := range t.Stops {
		for j := range t.Stops[i].Quotas {
			quota := &t.Stops[i].Quotas[j]
			if !headed {
				fmt.Fprintln(w, "\n  QUOTA\tRESOURCE\tREQUESTED\tLEFT\tHARD")
				headed = true
			}
			mark := "  "
			if quota.Refused {
				mark = "> "
			}
			for _, balance := range quota.Resources {
				fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\t%s\n", mark, cell(quota.Quota.Name), cell(balance.Name), balance.Requested, balance.Left, balance.Hard)
			}
			if len(quota.Resources) == 0 {
				fmt.Fprintf(w, "%s%s\t-\t-\t-\t-\n", mark, cell(quota.Quota.Name))
			}
		}
	}
	_ = w.Flush() // as the rest of the report
}

// reportUncalled prints the webhooks and policies that were not called.
func reportUncalled(out io.Writer, t *v1alpha1.RequestTrace) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	headed := false
	for i := range t.Stops {
		stop := &t.Stops[i]
		if stop.Verdict != v1alpha1.StopNotCalled {
			continue
		}
		if !headed {
			fmt.Fprintln(w, "\n  NOT CALLED\tBY\tCAUSE")
			headed = true
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", stop.Stop, cell(cmp.Or(stop.By, "-")), cell(stop.Reason))
	}
	_ = w.Flush() // as the rest of the report
}
