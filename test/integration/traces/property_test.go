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

package traces

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const randomRequests = 500

// TestTracesOfRandomRequestsNameWhatDecides compares the traces of random requests with a model that evaluates roles,
// policies, webhooks, limits and quotas itself. Each refusal by roles is cured by the command of its trace.
func TestTracesOfRandomRequestsNameWhatDecides(t *testing.T) {
	w := newWorld(kit.Seed(t))
	server := servertesting.Start(t)
	p := &property{world: w, client: w.build(t, server), server: server, admin: harness.NewRawClient(t, server.Config), decided: map[string]int{}}
	for range randomRequests {
		r := w.request()
		trace := p.send(t, r, w.expect(r))
		if d := trace.DecidedBy; d != nil && d.Stop == v1alpha1.StopAuthorization && d.By == "rbac" {
			p.cure(t, r, trace)
		}
	}
	t.Logf("decided by: %v; %d cures, %d of them by kubectl", p.decided, p.cures, min(p.cures, byKubectl))
	for _, gate := range []v1alpha1.TraceStopName{"", v1alpha1.StopAuthentication, v1alpha1.StopAuthorization, v1alpha1.StopDecoding, v1alpha1.StopMutatingAdmission, v1alpha1.StopValidation, v1alpha1.StopValidatingAdmission, v1alpha1.StopStorage} {
		if p.decided[string(gate)] == 0 {
			t.Errorf("no request is decided by gate %q", gate)
		}
	}
}

type property struct {
	*world
	server  *servertesting.Server
	client  *kubernetes.Clientset
	admin   harness.RawClient
	decided map[string]int
	cures   int
}

func indented(trace *v1alpha1.RequestTrace) string {
	text, _ := json.MarshalIndent(trace, "", " ")
	return string(text)
}

// request returns a random request.
func (w *world) request() *asked {
	r := &asked{who: w.callers[w.IntN(len(w.callers))], verb: one(w.Rand, "get", "list", "create", "create", "create", "create", "update", "patch", "delete")}
	if w.IntN(12) == 0 {
		r.verb, r.path = "get", one(w.Rand, "/version", "/healthz", "/metrics", "/openapi/v2")
		if r.effective().is("system:hosts") {
			r.path = one(w.Rand, "/version", "/healthz", "/metrics")
		}
		return r
	}
	r.resource, r.namespace = one(w.Rand, "configmaps", "configmaps", "secrets", "instances"), one(w.Rand, w.namespaces...)
	switch {
	case r.is("system:hosts") && w.IntN(2) == 0:
		r.resource, r.verb, r.namespace, r.object = "hosts", "get", "", fmt.Sprint("host-", w.IntN(worldHosts))
		return r
	case r.verb == "create" && w.IntN(12) == 0:
		r.namespace = nowhere
	}
	if w.IntN(2) == 0 {
		r.labels = map[string]string{"tier": one(w.Rand, "red", "blue")}
	}
	switch {
	case r.verb == "update" || r.verb == "patch" || r.verb == "delete" || r.resource == "configmaps":
		// Charges of creates that find the name taken are released later, so only config maps have names that are taken.
		r.resource, r.object = "configmaps", one(w.Rand, "map-0", "map-1", "map-2", "bad-map")
	default:
		w.number++
		r.object = fmt.Sprintf("%s-%d", one(w.Rand, "object", "bad"), w.number)
	}
	r.cpu = one(w.Rand, 5, 50, 500, 1500)
	if r.verb == "list" {
		r.object = ""
	}
	w.spoil(r)
	return r
}

// spoil makes a write wrong.
func (w *world) spoil(r *asked) {
	if w.IntN(3) != 0 {
		return
	}
	switch r.verb {
	case "create":
		r.flaw = one(w.Rand, "unreadable", "unknown field", "invalid name", "invalid spec")
		switch {
		case r.resource == "instances" && w.IntN(3) == 0:
			r.flaw, r.account = "", "absent"
		case r.flaw == "invalid name":
			r.object = "NOT VALID"
		}
	case "update":
		r.flaw = one(w.Rand, "unreadable", "unknown field", "stale", "invalid spec")
	}
}

// body returns the method, the path, the media type and the body.
func (w *world) body(r *asked) (method, path, media, body string) {
	method = map[string]string{"create": http.MethodPost, "update": http.MethodPut, "patch": http.MethodPatch, "delete": http.MethodDelete}[r.verb]
	if method == "" {
		method = http.MethodGet
	}
	if r.path != "" {
		return method, r.path, "", ""
	}
	path = "/api/v1"
	if r.group() != "" {
		path = "/apis/" + r.group() + "/v1alpha1"
	}
	if r.namespace != "" {
		path += "/namespaces/" + r.namespace
	}
	path += "/" + r.resource
	if r.verb != "create" && r.verb != "list" {
		path += "/" + r.object
	}
	if r.operation() == "" || r.verb == "delete" {
		return method, path, "", ""
	}
	object := w.content(r)
	media = harness.JSONBody
	if r.verb == "patch" {
		media = harness.MergePatch
	}
	if r.flaw == "unknown field" {
		object["unknown"], path = true, path+"?fieldValidation=Strict"
	}
	text, _ := json.Marshal(object)
	if r.flaw == "unreadable" {
		text = text[:len(text)/2]
	}
	return method, path, media, string(text)
}

// content returns the object of a write.
func (w *world) content(r *asked) map[string]any {
	meta := map[string]any{"name": r.object, "labels": r.labels}
	if r.verb == "patch" {
		delete(meta, "name")
		if r.labels == nil {
			delete(meta, "labels") // null would remove all
		}
	}
	if old := w.objects[r.key()]; r.verb == "update" && old != nil {
		meta["resourceVersion"] = old.version
		if r.flaw == "stale" {
			meta["resourceVersion"] = "1"
		}
	}
	object := map[string]any{"metadata": meta}
	bad := r.flaw == "invalid spec"
	switch r.resource {
	case "instances":
		cpu := map[string]string{"cpu": fmt.Sprintf("%dm", r.cpu)}
		spec := map[string]any{"containers": []any{map[string]any{"name": "c", "image": "example.com/a:1", "resources": map[string]any{"requests": cpu, "limits": cpu}}}}
		if r.account != "" {
			spec["serviceAccountName"] = r.account
		}
		if bad {
			spec["restartPolicy"] = "Sometimes"
		}
		object["spec"] = spec
	default:
		object["data"] = map[string]string{"a": "YQ=="}
		if bad {
			object["data"] = map[string]string{"not a key": "YQ=="}
		}
	}
	return object
}

// send sends a request, compares its trace with what is expected, and remembers what it changed.
func (p *property) send(t *testing.T, r *asked, e expected) *v1alpha1.RequestTrace {
	t.Helper()
	method, path, media, body := p.body(r)
	answer := r.client.Do(t, method, path, media, "", body)
	trace := p.trace(t, answer)
	t.Run(fmt.Sprintf("%s %s by %s as %s", method, path, r.name, r.effective().name), func(t *testing.T) { p.compare(t, r, e, answer, trace) })
	if trace.Verdict != e.verdict {
		t.FailNow() // the objects differ from those of the model from now on
	}
	if e.verdict != v1alpha1.VerdictAllowed || r.operation() == "" {
		return trace
	}
	if r.verb == "delete" {
		delete(p.objects, r.key())
		return trace
	}
	var made harness.Object
	answer.Into(t, &made)
	p.objects[r.key()] = &stored{labels: e.labels, cpu: r.cpu, version: made.ResourceVersion}
	return trace
}

// trace returns the trace of a response, as the administrator reads it.
func (p *property) trace(t *testing.T, answer harness.RawAnswer) *v1alpha1.RequestTrace {
	t.Helper()
	trace := &v1alpha1.RequestTrace{}
	// The response of a success is sent before the request is recorded.
	harness.ComesTrue(t, func(context) string {
		got := p.admin.Do(t, http.MethodGet, tracesPath+"/"+answer.Header.Get("Audit-Id"), "", "", "")
		if got.Code != http.StatusOK {
			return string(got.Body)
		}
		got.Into(t, trace)
		return ""
	})
	return trace
}

func (p *property) compare(t *testing.T, r *asked, e expected, answer harness.RawAnswer, trace *v1alpha1.RequestTrace) {
	t.Helper()
	if trace.Verdict != e.verdict || int(trace.Code) != answer.Code {
		t.Errorf("the verdict is %s %d, want %s: %s", trace.Verdict, trace.Code, e.verdict, answer.Body)
		return
	}
	gate, by := v1alpha1.TraceStopName(""), ""
	if trace.DecidedBy != nil {
		gate, by = trace.DecidedBy.Stop, trace.DecidedBy.By
	}
	p.decided[string(gate)]++
	if gate != e.gate || gate != "" && !slices.Contains(e.by, by) {
		t.Errorf("decided by %s %q, want %s %q: %s", gate, by, e.gate, e.by, answer.Body)
		return
	}
	if trace.Verdict == v1alpha1.VerdictRefused {
		stop := stopOf(*trace)
		text, _ := json.Marshal(stop)
		if stop.Verdict != v1alpha1.StopRefused || e.says != nil && !slices.ContainsFunc(e.says, func(name string) bool { return strings.Contains(string(text), name) }) {
			t.Errorf("the gate says %s, want %v", text, e.says)
		}
	}
	if gate != v1alpha1.StopAuthentication && (trace.User.Username != r.effective().name && gate != v1alpha1.StopImpersonation || r.as != nil && gate != v1alpha1.StopImpersonation && trace.User.ImpersonatedBy != r.name) {
		t.Errorf("the user is %+v", trace.User)
	}
	p.compareStops(t, r, e, trace)
	if t.Failed() {
		t.Fatalf("%+v\nexpected %+v\ngot %s", *r, e, indented(trace))
	}
}

// compareStops compares the authenticator, the grant, and the webhooks that were called.
func (p *property) compareStops(t *testing.T, r *asked, e expected, trace *v1alpha1.RequestTrace) {
	t.Helper()
	var called, ignored []string
	for _, stop := range trace.Stops {
		switch {
		case stop.Stop == v1alpha1.StopAuthentication && stop.By != r.by && stop.Verdict == v1alpha1.StopPassed:
			t.Errorf("authenticated by %q, want %q", stop.By, r.by)
		case stop.Stop == v1alpha1.StopAuthorization && len(e.grants) > 0:
			if stop.Grant == nil {
				t.Errorf("no grant is named, want one of %v", e.grants)
			} else if got := (grantOf{describe(stop.Grant.Binding), describe(stop.Grant.Role)}); !slices.Contains(e.grants, got) {
				t.Errorf("allowed by %v, want one of %v", got, e.grants)
			}
		case strings.HasPrefix(stop.By, "hooks-"):
			switch stop.Verdict {
			case v1alpha1.StopPassed, v1alpha1.StopRefused:
				called = append(called, stop.By)
			case v1alpha1.StopIgnored:
				called, ignored = append(called, stop.By), append(ignored, stop.By)
			}
		}
	}
	slices.Sort(called)
	slices.Sort(ignored)
	slices.Sort(e.called)
	slices.Sort(e.ignored)
	if !slices.Equal(called, e.called) || !slices.Equal(ignored, e.ignored) {
		t.Errorf("called %v, ignored %v, want %v and %v", called, ignored, e.called, e.ignored)
	}
}

func describe(o v1alpha1.TracedObject) string {
	return strings.Join([]string{o.Kind, o.Namespace, o.Name, o.UID, o.ResourceVersion}, "/")
}
