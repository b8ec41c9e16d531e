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
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// printObject prints the report of an object.
func (c *whyCommand) printObject(r *objectReport) error {
	switch c.output {
	case "":
		return r.write(c.Out, time.Now())
	case "name":
		for i := range r.Changes {
			if r.Changes[i].Request != nil {
				c.printName(r.Changes[i].Request)
			}
		}
		for i := range r.Refusals {
			c.printName(&r.Refusals[i])
		}
		return nil
	}
	return c.printValue(r)
}

func (r *objectReport) write(out io.Writer, now time.Time) error {
	name := r.Kind + " " + r.Name
	if r.Namespace != "" {
		name += " in namespace " + r.Namespace
	}
	switch {
	case r.Absent:
		name += ": it does not exist"
	case r.Unreadable:
		name += ": you may not read it"
	}
	fmt.Fprintln(out, cell(name))
	if r.OwnOnly {
		fmt.Fprintln(out, ownOnly)
	}
	for _, part := range []func(io.Writer, time.Time){r.writeConditions, r.writeWarnings, r.writeChanges, r.writeRefusals} {
		w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
		part(w, now)
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return r.writeLastWrite(out)
}

func ago(at metav1.Time, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return duration.HumanDuration(now.Sub(at.Time))
}

func (r *objectReport) writeConditions(out io.Writer, now time.Time) {
	if len(r.Conditions) > 0 {
		fmt.Fprintln(out, "\nCONDITION\tSTATUS\tSINCE\tREASON\tMESSAGE")
	}
	for i := range r.Conditions {
		condition := &r.Conditions[i]
		message := cmp.Or(condition.Message, "-")
		if same := slices.IndexFunc(r.Conditions[:i], func(other metav1.Condition) bool { return strings.Contains(other.Message, message) }); same >= 0 && message != "-" {
			message = "see " + r.Conditions[same].Type
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", cell(condition.Type), cell(string(condition.Status)), ago(condition.LastTransitionTime, now), cell(cmp.Or(condition.Reason, "-")), cell(message))
	}
}

func (r *objectReport) writeWarnings(out io.Writer, now time.Time) {
	if len(r.Warnings) > 0 {
		fmt.Fprintln(out, "\nWARNING\tOBJECT\tLAST\tCOUNT\tMESSAGE")
	}
	for i := range r.Warnings {
		warning := &r.Warnings[i]
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\n", cell(warning.Reason), cell(warning.Object), ago(warning.Last, now), warning.Count, cell(warning.Message))
	}
}

func (r *objectReport) writeChanges(out io.Writer, now time.Time) {
	if len(r.Changes) > 0 {
		fmt.Fprintln(out, "\nCHANGED\tBY MANAGER\tOPERATION\tSUBRESOURCE\tUSER\tREQUEST")
	}
	for i := range r.Changes {
		change := &r.Changes[i]
		user, request := "-", "not known any more"
		if r.OwnOnly {
			request = "not yours, or not known any more"
		}
		if change.Request != nil {
			user, request = change.Request.User.Username, shortOf(change.Request)
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", ago(change.Time, now), cell(change.Manager), cell(change.Operation), cell(cmp.Or(change.Subresource, "-")), cell(user), cell(request))
	}
}

func (r *objectReport) writeRefusals(out io.Writer, now time.Time) {
	if len(r.Refusals) == 0 {
		fmt.Fprintf(out, "\nNo refused request about it is in the memory of %s.\n", cell(serversText(r.Servers)))
		return
	}
	fmt.Fprintln(out, "\nREFUSED\tCOUNT\tUSER\tREQUEST TO\tCODE\tBY\tWHY THE LAST ONE")
	counts := map[string]int{}
	var lines []string
	for i := range r.Refusals {
		trace := &r.Refusals[i]
		line := refusalLine(trace)
		if counts[line]++; counts[line] == 1 {
			lines = append(lines, line)
		}
	}
	for _, line := range lines[:min(len(lines), mostLines)] {
		last := &r.Refusals[slices.IndexFunc(r.Refusals, func(trace v1alpha1.RequestTrace) bool { return refusalLine(&trace) == line })]
		fmt.Fprintf(out, "%s\t%d\t%s\tkubectl gatehouse why %s\n", duration.HumanDuration(now.Sub(last.ReceivedTime.Time)), counts[line], line, cell(shortOf(last)))
	}
}

// refusalLine returns the cells of a refusal that similar ones share: creates by a controller differ by the name.
func refusalLine(trace *v1alpha1.RequestTrace) string {
	by := "-"
	if d := trace.DecidedBy; d != nil {
		by = strings.TrimSuffix(string(d.Stop)+"/"+d.By, "/")
	}
	request := trace.Request.Verb + " " + trace.Request.Resource
	if trace.Request.Subresource != "" {
		request += "/" + trace.Request.Subresource
	}
	if trace.Request.Verb != "create" {
		request += " " + trace.Request.Name
	}
	return fmt.Sprintf("%s\t%s\t%d\t%s", cell(cmp.Or(trace.User.Username, "-")), cell(request), trace.Code, cell(by))
}

// writeLastWrite prints what the gates did to the object in the latest write of more than a subresource.
func (r *objectReport) writeLastWrite(out io.Writer) error {
	var last *v1alpha1.RequestTrace
	for i := range r.Changes {
		if change := &r.Changes[i]; last == nil && change.Subresource == "" {
			last = change.Request
		}
	}
	if last == nil {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	told := false
	for i := range last.Stops {
		stop := &last.Stops[i]
		if !telling(stop) {
			continue
		}
		if !told {
			fmt.Fprintf(out, "\nWebhooks, policies and what changed the object in its latest write, request %s of user %q (%s):\n", cell(shortOf(last)), cell(last.User.Username), cell(last.Request.Verb))
			fmt.Fprintln(w, "GATE\tBY\tVERDICT\tTIME\tCAUSE")
		}
		told = true
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", stop.Stop, cell(stop.By), stop.Verdict, timeOf(stop), cell(gateCause(last, stop)))
	}
	if !told {
		fmt.Fprintf(out, "\nIts latest write, request %s of user %q (%s), met no webhook and no policy.\n", cell(shortOf(last)), cell(last.User.Username), cell(last.Request.Verb))
	}
	return w.Flush()
}

// telling reports whether a gate of admission did more than to let the request pass: webhooks and policies
// have a slash in their names.
func telling(stop *v1alpha1.TraceStop) bool {
	if stop.Stop != v1alpha1.StopMutatingAdmission && stop.Stop != v1alpha1.StopValidatingAdmission {
		return false
	}
	return stop.Changed || stop.Verdict != v1alpha1.StopPassed || strings.Contains(stop.By, "/")
}

// shortOf returns the ID of a trace as messages have it.
func shortOf(trace *v1alpha1.RequestTrace) string {
	return diagnostics.ShortID(trace.Name)
}
