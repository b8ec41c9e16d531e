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
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// topCommand holds the flags of top requests.
type topCommand struct {
	*plugin
	by     string
	since  time.Duration
	limit  int
	output outputFlag
}

// The values of --by.
var topKeys = []string{"user", "gate", "resource", "latency"}

func newTopCommand(p *plugin) *cobra.Command {
	cmd := group(&cobra.Command{Use: "top", Short: "Show what takes the time of the server"})
	cmd.AddCommand(newTopRequestsCommand(p))
	return cmd
}

func newTopRequestsCommand(p *plugin) *cobra.Command {
	c := &topCommand{plugin: p, by: topKeys[0], limit: 20}
	cmd := &cobra.Command{
		Use:   "requests",
		Short: "Show which users, gates and resources take the time of the server",
		Long: `Show how many requests there were, how many of them were refused, and how long they took: by user, by
gate, by resource, or the slowest ones. TOTAL is the sum of the times, and the largest is first.

The numbers are those of the requests that the servers have in memory: the latest allowed ones, and,
apart from these, the latest refused ones, which reach further back. --since compares them over the
same time. Users without the cluster role gatehouse:diagnostics see only their own requests. The time
of a watch is that until its response begins.`,
		Example: `  # By user
  kubectl gatehouse top requests

  # Which gate, webhook or policy is slow
  kubectl gatehouse top requests --by gate

  # The slowest requests of the last five minutes
  kubectl gatehouse top requests --by latency --since 5m`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&c.by, "by", c.by, "What a line is: "+strings.Join(topKeys, ", ")+".")
	cmd.Flags().DurationVar(&c.since, "since", c.since, "Only requests of this time before now; all in memory if 0.")
	cmd.Flags().IntVar(&c.limit, "limit", c.limit, "Number of lines.")
	c.output.add(cmd)
	completeWords(cmd, "by", topKeys...)
	return cmd
}

func (c *topCommand) run(ctx context.Context) error {
	switch {
	case !slices.Contains(topKeys, c.by):
		return fmt.Errorf("--by=%s is unknown: use %s", c.by, strings.Join(topKeys, ", "))
	case c.limit < 1:
		return fmt.Errorf("--limit=%d shows nothing: use 1 or more", c.limit)
	case c.since < 0:
		return fmt.Errorf("--since=%s is negative: use a time such as 5m", c.since)
	}
	if err := c.output.check(); err != nil {
		return err
	}
	t, _, err := c.traces()
	if err != nil {
		return err
	}
	result := &topResult{By: c.by}
	if result.OwnOnly, err = t.onlyOwn(ctx); err != nil {
		return err
	}
	now := time.Now()
	items, servers, err := t.all(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	result.Servers = servers
	if c.since > 0 {
		items = slices.DeleteFunc(items, func(trace v1alpha1.RequestTrace) bool { return now.Sub(trace.ReceivedTime.Time) > c.since })
	}
	result.add(items, c.limit)
	if c.output.json() {
		return c.printJSON(result)
	}
	return result.write(c.Out, now)
}

// topResult is what top requests shows.
type topResult struct {
	By string `json:"by"`
	// Verdicts are the requests, by verdict.
	Verdicts []topVerdict `json:"verdicts"`
	Rows     []topRow     `json:"rows,omitempty"`
	// Slowest are the slowest requests, for --by=latency.
	Slowest []v1alpha1.RequestTrace `json:"slowest,omitempty"`
	// Hidden is the number of lines that --limit leaves out.
	Hidden int `json:"hidden,omitempty"`
	// OwnOnly is true if the user may read only its own requests, and Servers are those that responded.
	OwnOnly bool     `json:"ownOnly,omitempty"`
	Servers []string `json:"servers,omitempty"`
}

// topVerdict counts the requests with a verdict.
type topVerdict struct {
	Verdict  v1alpha1.Verdict `json:"verdict"`
	Requests int              `json:"requests"`
	// Since is the time of the oldest one.
	Since metav1.MicroTime `json:"since"`
}

// topRow is the requests of a user, at a gate, or for a resource.
type topRow struct {
	Name     string          `json:"name"`
	Requests int             `json:"requests"`
	Refused  int             `json:"refused"`
	P50      metav1.Duration `json:"p50"`
	P99      metav1.Duration `json:"p99"`
	Max      metav1.Duration `json:"max"`
	Total    metav1.Duration `json:"total"`
}

// add adds the requests, the oldest first.
func (r *topResult) add(items []v1alpha1.RequestTrace, limit int) {
	groups := map[string]*topGroup{}
	count := func(name string, refused bool, latency time.Duration) {
		if groups[name] == nil {
			groups[name] = &topGroup{}
		}
		groups[name].add(refused, latency)
	}
	for i := range items {
		trace := &items[i]
		r.countVerdict(trace)
		refused := trace.Verdict == v1alpha1.VerdictRefused
		switch r.By {
		case "user":
			count(userOf(trace), refused, trace.Latency.Duration)
		case "resource":
			count(resourceText(&trace.Request), refused, trace.Latency.Duration)
		case "gate":
			for j := range trace.Stops {
				stop := &trace.Stops[j]
				count(gateName(stop), stop.Verdict == v1alpha1.StopRefused, stop.Latency.Duration)
			}
		}
	}
	if r.By == "latency" {
		r.Slowest = slices.SortedStableFunc(slices.Values(items), func(a, b v1alpha1.RequestTrace) int { return int(b.Latency.Duration - a.Latency.Duration) })
		r.Hidden = max(0, len(r.Slowest)-limit)
		r.Slowest = r.Slowest[:len(r.Slowest)-r.Hidden]
		return
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		r.Rows = append(r.Rows, groups[name].row(name))
	}
	slices.SortStableFunc(r.Rows, func(a, b topRow) int { return int(b.Total.Duration - a.Total.Duration) })
	r.Hidden = max(0, len(r.Rows)-limit)
	r.Rows = r.Rows[:len(r.Rows)-r.Hidden]
}

// countVerdict counts a request. The verdicts are in alphabetical order.
func (r *topResult) countVerdict(trace *v1alpha1.RequestTrace) {
	at := slices.IndexFunc(r.Verdicts, func(v topVerdict) bool { return v.Verdict == trace.Verdict })
	if at < 0 {
		at, _ = slices.BinarySearchFunc(r.Verdicts, trace.Verdict, func(v topVerdict, verdict v1alpha1.Verdict) int {
			return strings.Compare(string(v.Verdict), string(verdict))
		})
		r.Verdicts = slices.Insert(r.Verdicts, at, topVerdict{Verdict: trace.Verdict, Since: trace.ReceivedTime})
	}
	r.Verdicts[at].Requests++
}

// topGroup collects the latencies of a row.
type topGroup struct {
	refused   int
	latencies []time.Duration
}

func (g *topGroup) add(refused bool, latency time.Duration) {
	if refused {
		g.refused++
	}
	g.latencies = append(g.latencies, latency)
}

func (g *topGroup) row(name string) topRow {
	slices.Sort(g.latencies)
	total := time.Duration(0)
	for _, latency := range g.latencies {
		total += latency
	}
	duration := func(d time.Duration) metav1.Duration { return metav1.Duration{Duration: d} }
	return topRow{
		Name: name, Requests: len(g.latencies), Refused: g.refused,
		P50: duration(quantile(g.latencies, 0.5)), P99: duration(quantile(g.latencies, 0.99)), Max: duration(quantile(g.latencies, 1)), Total: duration(total),
	}
}

// quantile returns the smallest value that is not below a share of the sorted values.
func quantile(sorted []time.Duration, share float64) time.Duration {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

func userOf(trace *v1alpha1.RequestTrace) string {
	if trace.User.Username == "" {
		return "<none>"
	}
	return trace.User.Username
}

// gateName returns the name of a gate with its part.
func gateName(stop *v1alpha1.TraceStop) string {
	if stop.By == "" {
		return string(stop.Stop)
	}
	return string(stop.Stop) + "/" + stop.By
}

// resourceText returns the resource with its group, or the path.
func resourceText(r *v1alpha1.TracedRequest) string {
	if r.Resource == "" {
		return r.Path
	}
	text := r.Resource
	if r.APIGroup != "" {
		text += "." + r.APIGroup
	}
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	return text
}
