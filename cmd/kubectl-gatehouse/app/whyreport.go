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

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// report prints a trace: what was requested, a line for each gate, and what would have helped.
func report(out io.Writer, t *v1alpha1.RequestTrace, now time.Time) error {
	fmt.Fprintf(out, "%s\n", headline(t))
	fmt.Fprintf(out, "%s ago, within %s, request %s\n\n", duration.HumanDuration(now.Sub(t.ReceivedTime.Time)), t.Latency.Duration, t.Name)
	if err := reportGates(out, t); err != nil {
		return err
	}
	reportNearMisses(out, t)
	return nil
}

// reportGates prints a line for each gate.
func reportGates(out io.Writer, t *v1alpha1.RequestTrace) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "  GATE\tBY\tVERDICT\tTIME\tCAUSE")
	marked := false
	for i := range t.Stops {
		stop := &t.Stops[i]
		if stop.Verdict == v1alpha1.StopNotCalled {
			continue // below
		}
		mark := "  "
		if d := t.DecidedBy; d != nil && !marked && d.Stop == stop.Stop && (d.By == stop.By || d.By == "" && stop.By == "") {
			mark, marked = "> ", true
		}
		fmt.Fprintf(w, "%s%s\t%s\t%s\t%s\t%s\n", mark, stop.Stop, cell(cmp.Or(stop.By, "-")), stop.Verdict, timeOf(stop), cell(gateCause(t, stop)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d := t.DecidedBy; d != nil && !marked {
		fmt.Fprintf(out, "> %s %s\n", d.Stop, cell(d.By))
	}
	reportQuotas(out, t)
	reportUncalled(out, t)
	return nil
}

// headline says who requested what, and the outcome.
func headline(t *v1alpha1.RequestTrace) string {
	user := "a client without a valid identity"
	if t.User.Username != "" {
		user = fmt.Sprintf("user %q", t.User.Username)
	}
	if t.User.ImpersonatedBy != "" {
		user += fmt.Sprintf(" (impersonated by %q)", t.User.ImpersonatedBy)
	}
	outcome := string(t.Verdict)
	if t.TimedOut {
		outcome = "TimedOut"
	}
	return fmt.Sprintf("%s: %s %s: %s", outcome, cell(user), cell(requestText(&t.Request)), strings.TrimSpace(fmt.Sprintf("%d %s", t.Code, cell(t.Reason))))
}

func requestText(r *v1alpha1.TracedRequest) string {
	if r.Resource == "" {
		return r.Verb + " " + r.Path
	}
	text := r.Verb + " " + resourceText(r)
	if r.Name != "" {
		text += fmt.Sprintf(" %q", r.Name)
	}
	if r.Namespace != "" {
		text += fmt.Sprintf(" in namespace %q", r.Namespace)
	}
	return text
}

func timeOf(stop *v1alpha1.TraceStop) string {
	text := stop.Latency.Duration.String()
	if stop.Calls > 1 {
		text += fmt.Sprintf(" (%dx)", stop.Calls)
	}
	return text
}

func gateCause(t *v1alpha1.RequestTrace, stop *v1alpha1.TraceStop) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if stop.Stop == v1alpha1.StopAuthentication && stop.Verdict == v1alpha1.StopPassed {
		add("groups %s", strings.Join(t.User.Groups, ", "))
	}
	if stop.PriorityLevel != "" {
		add("priority level %s", stop.PriorityLevel)
	}
	if g := stop.Grant; g != nil {
		add("%s grants %s", objectText(&g.Binding), objectText(&g.Role))
	}
	if stop.Changed {
		add("changed the object")
	}
	if len(stop.ChangedPaths) > 0 {
		add("at %s", strings.Join(stop.ChangedPaths, ", "))
	}
	if stop.Reason != "" {
		add("%s", stop.Reason)
	}
	return strings.Join(append(parts, detailCauses(t, stop)...), "; ")
}

func objectText(o *v1alpha1.TracedObject) string {
	if o.Namespace == "" {
		return o.Kind + " " + o.Name
	}
	return o.Kind + " " + o.Namespace + "/" + o.Name
}

// reportNearMisses prints why no role allowed the request.
func reportNearMisses(out io.Writer, t *v1alpha1.RequestTrace) {
	if len(t.NearMisses) > 0 {
		fmt.Fprintln(out, "\nWhat roles grant to the user comes closest here:")
	}
	for i := range t.NearMisses {
		miss := &t.NearMisses[i]
		switch {
		case miss.RoleMissing:
			fmt.Fprintf(out, "  %s: its %s does not exist\n", cell(objectText(&miss.Binding)), cell(objectText(&miss.Role)))
		default:
			fmt.Fprintf(out, "  %s, %s: %s\n      does not fit: %s\n", cell(objectText(&miss.Binding)), cell(objectText(&miss.Role)), cell(miss.Rule), cell(strings.Join(miss.Misfits, ", ")))
		}
	}
	if t.Cure != "" {
		fmt.Fprintf(out, "\nThis would allow it:\n  %s\n", cell(t.Cure))
	}
}
