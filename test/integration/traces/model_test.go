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
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// The model: what the gates must decide about a request, from the data of the world alone.

// asked is a request.
type asked struct {
	*who
	verb, resource, namespace, object string
	path                              string // of a request for no resource
	labels                            map[string]string
	cpu                               int
	account                           string
	// flaw is what is wrong with the request: "", "unreadable", "unknown field", "stale", "invalid name", "invalid spec".
	flaw string
}

func (r *asked) key() string { return r.resource + "/" + r.namespace + "/" + r.object }

func (r *asked) group() string {
	switch r.resource {
	case "instances", "hosts":
		return fleetv1alpha1.GroupName
	}
	return ""
}

func (r *asked) operation() string {
	switch r.verb {
	case "create":
		return "CREATE"
	case "update", "patch":
		return "UPDATE"
	case "delete":
		return "DELETE"
	}
	return ""
}

// nameForRoles is the name that authorizers see: a create has none.
func (r *asked) nameForRoles() string {
	if r.verb == "create" || r.verb == "list" {
		return ""
	}
	return r.object
}

// expected is what the trace of a request must have.
type expected struct {
	verdict v1alpha1.Verdict
	gate    v1alpha1.TraceStopName
	// by are the parts one of which decided, and says is a text that the entry of that part has, in the same order.
	by, says []string
	// grants are the bindings with their roles one of which allowed the request.
	grants []grantOf
	// called are the webhooks that were called before the decision, and ignored those of them that failed open.
	called, ignored []string
	// labels are those of the stored object.
	labels map[string]string
}

type grantOf struct{ binding, role string }

func refusedAt(e expected, gate v1alpha1.TraceStopName, by ...string) expected {
	e.verdict, e.gate, e.by = v1alpha1.VerdictRefused, gate, by
	return e
}

func failedAt(e expected, gate v1alpha1.TraceStopName) expected {
	e.verdict, e.gate, e.by = v1alpha1.VerdictFailed, gate, []string{""}
	return e
}

func (w *world) expect(r *asked) (e expected) {
	e.verdict = v1alpha1.VerdictAllowed
	if r.by == "" {
		return refusedAt(e, v1alpha1.StopAuthentication, "")
	}
	if r.as != nil && !r.is("system:masters") {
		if len(w.grantsOf(r.who, &asked{verb: "impersonate", resource: "users", object: r.as.name})) == 0 {
			return refusedAt(e, v1alpha1.StopImpersonation, "rbac")
		}
	}
	if by := w.authorize(r, &e); by != "" {
		return refusedAt(e, v1alpha1.StopAuthorization, by)
	}
	old := w.objects[r.key()]
	switch {
	case r.path != "", r.verb == "list", r.verb == "get" && old != nil:
		return e
	case r.verb == "get":
		return failedAt(e, v1alpha1.StopStorage)
	case r.flaw == "unreadable" || r.flaw == "unknown field":
		return refusedAt(e, v1alpha1.StopDecoding, "")
	}
	return w.write(r, old, e)
}

// authorize returns the authorizer that refuses, or nothing.
func (w *world) authorize(r *asked, e *expected) string {
	u := r.effective()
	switch {
	case u.is("system:masters"), slices.Contains([]string{"/healthz", "/livez", "/readyz"}, r.path):
		return ""
	case u.is(fleetv1alpha1.HostsGroup):
		own := strings.TrimPrefix(u.name, fleetv1alpha1.HostUserPrefix)
		if r.path == "/version" || r.resource == "hosts" && r.object == own && r.verb == "get" {
			return ""
		}
		return "hosts"
	}
	if e.grants = w.grantsOf(u, r); len(e.grants) == 0 {
		return "rbac"
	}
	return ""
}

// write follows a write from its mutating webhooks to the storage.
func (w *world) write(r *asked, old *stored, e expected) expected {
	if r.verb != "create" && old == nil {
		return failedAt(e, v1alpha1.StopStorage)
	}
	if r.verb == "create" && r.namespace == nowhere {
		return refusedAt(e, v1alpha1.StopMutatingAdmission, "NamespaceLifecycle")
	}
	labels := map[string]string{}
	if r.verb == "patch" {
		for key, value := range old.labels {
			labels[key] = value
		}
	}
	for key, value := range r.labels {
		labels[key] = value
	}
	invalid := r.flaw == "invalid name" || r.flaw == "invalid spec"
	for i := range w.hooks {
		h := &w.hooks[i]
		if !h.mutating || !h.matches(r, labels, old) {
			continue
		}
		e.called = append(e.called, h.by())
		switch h.behaviour {
		case "allow":
		case "patch":
			labels["stamped"] = "yes"
		case "invalid patch":
			labels["stamped"], invalid = "-not valid-", true
		case "deny", "broken patch": // no failure policy is about either
			return refusedAt(e, v1alpha1.StopMutatingAdmission, h.by())
		default:
			if !h.ignore {
				return refusedAt(e, v1alpha1.StopMutatingAdmission, h.by())
			}
			e.ignored = append(e.ignored, h.by())
		}
	}
	if r.verb == "delete" {
		labels, invalid = nil, false
	}
	switch {
	case r.flaw == "stale" && r.verb == "update":
		return refusedAt(e, v1alpha1.StopStorage, "")
	case invalid:
		return refusedAt(e, v1alpha1.StopValidation, "")
	}
	e.labels = labels
	return w.validate(r, labels, old, e)
}

func (w *world) validate(r *asked, labels map[string]string, old *stored, e expected) expected {
	create := r.verb == "create"
	if create && r.resource == "instances" {
		for _, l := range w.limits {
			if l.namespace == r.namespace && (r.cpu < l.least || r.cpu > l.most) {
				return refusedAt(e, v1alpha1.StopValidatingAdmission, "LimitRanger")
			}
		}
	}
	if create && r.account != "" {
		return refusedAt(e, v1alpha1.StopValidatingAdmission, "ServiceAccount")
	}
	var by []string
	for i := range w.policies {
		if p := &w.policies[i]; p.denies(r, labels, old) {
			by = append(by, p.name+"/"+p.binding)
		}
	}
	if by != nil {
		return refusedAt(e, v1alpha1.StopValidatingAdmission, by...)
	}
	for i := range w.hooks {
		h := &w.hooks[i]
		if h.mutating || !h.matches(r, labels, old) {
			continue
		}
		e.called = append(e.called, h.by())
		switch {
		case h.behaviour == "allow":
		case h.behaviour == "deny" || !h.ignore:
			by = append(by, h.by())
		default:
			e.ignored = append(e.ignored, h.by())
		}
	}
	if by != nil {
		return refusedAt(e, v1alpha1.StopValidatingAdmission, by...)
	}
	for _, q := range w.quotas {
		if create && q.namespace == r.namespace && w.used(q)+q.needs(r) > q.hard && q.needs(r) > 0 {
			e.says = append(e.says, q.name)
		}
	}
	if e.says != nil {
		return refusedAt(e, v1alpha1.StopValidatingAdmission, "ResourceQuota")
	}
	if create && old != nil {
		return failedAt(e, v1alpha1.StopStorage)
	}
	return e
}

func (q quota) needs(r *asked) int {
	switch {
	case q.what == "secrets" && r.resource == "secrets", q.what == "count/instances.fleet.gatehouse.dev" && r.resource == "instances":
		return 1
	case strings.HasSuffix(q.what, "cpu") && r.resource == "instances":
		return r.cpu
	}
	return 0
}

func (w *world) used(q quota) int {
	sum := 0
	for key, o := range w.objects {
		parts := strings.Split(key, "/")
		if parts[1] == q.namespace {
			sum += q.needs(&asked{resource: parts[0], cpu: o.cpu})
		}
	}
	return sum
}

func (m *rule) matches(r *asked, labels map[string]string, old *stored) bool {
	if !slices.Contains(m.operations, r.operation()) || !slices.Contains(m.resources, r.resource) || m.namespaces != nil && !slices.Contains(m.namespaces, r.namespace) ||
		m.exempt != "" && m.exempt == r.effective().name {
		return false
	}
	key, value, wanted := strings.Cut(m.label, "=")
	return !wanted || r.verb != "delete" && labels[key] == value || old != nil && r.verb != "create" && old.labels[key] == value
}

func (p *policy) denies(r *asked, labels map[string]string, old *stored) bool {
	if p.action != "Deny" || !p.matches(r, labels, old) || p.bindingInNamespaces != nil && !slices.Contains(p.bindingInNamespaces, r.namespace) {
		return false
	}
	deletion := r.verb == "delete"
	switch p.kind {
	case "bad name":
		return !deletion && strings.HasPrefix(r.object, "bad")
	case "red":
		return !deletion && labels["tier"] == "red"
	case "one user":
		return r.effective().name == "user-3"
	case "no deletions":
		return deletion
	}
	return !p.ignore // broken
}

// grantsOf returns the bindings whose role allows the request.
func (w *world) grantsOf(u *who, r *asked) (all []grantOf) {
	for _, b := range w.everywhere {
		if isSubject(u, b.Subjects, "") && allows(w.rulesOf(b.RoleRef, ""), r) {
			all = append(all, grantOf{"ClusterRoleBinding//" + b.Name + "/" + string(b.UID) + "/" + b.ResourceVersion, w.describeRole(b.RoleRef, "")})
		}
	}
	for _, b := range w.bindings {
		if r.namespace != "" && b.Namespace == r.namespace && isSubject(u, b.Subjects, b.Namespace) && allows(w.rulesOf(b.RoleRef, b.Namespace), r) {
			all = append(all, grantOf{"RoleBinding/" + b.Namespace + "/" + b.Name + "/" + string(b.UID) + "/" + b.ResourceVersion, w.describeRole(b.RoleRef, b.Namespace)})
		}
	}
	return all
}

func (w *world) rulesOf(ref rbacv1.RoleRef, namespace string) []rbacv1.PolicyRule {
	for _, r := range w.cluster {
		if ref.Kind == "ClusterRole" && r.Name == ref.Name {
			return r.Rules
		}
	}
	for _, r := range w.roles {
		if ref.Kind == "Role" && r.Name == ref.Name && r.Namespace == namespace {
			return r.Rules
		}
	}
	return nil
}

func (w *world) describeRole(ref rbacv1.RoleRef, namespace string) string {
	for _, r := range w.cluster {
		if ref.Kind == "ClusterRole" && r.Name == ref.Name {
			return fmt.Sprintf("ClusterRole//%s/%s/%s", r.Name, r.UID, r.ResourceVersion)
		}
	}
	for _, r := range w.roles {
		if ref.Kind == "Role" && r.Name == ref.Name && r.Namespace == namespace {
			return fmt.Sprintf("Role/%s/%s/%s/%s", r.Namespace, r.Name, r.UID, r.ResourceVersion)
		}
	}
	return ""
}

func isSubject(u *who, subjects []rbacv1.Subject, namespace string) bool {
	return slices.ContainsFunc(subjects, func(s rbacv1.Subject) bool {
		switch s.Kind {
		case "User":
			return s.Name == u.name
		case "Group":
			return u.is(s.Name)
		}
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return u.name == "system:serviceaccount:"+namespace+":"+s.Name
	})
}

func allows(rules []rbacv1.PolicyRule, r *asked) bool {
	has := func(list []string, value string) bool {
		return slices.Contains(list, value) || slices.Contains(list, "*")
	}
	return slices.ContainsFunc(rules, func(rule rbacv1.PolicyRule) bool {
		if !has(rule.Verbs, r.verb) {
			return false
		}
		if r.path != "" {
			return slices.ContainsFunc(rule.NonResourceURLs, func(url string) bool {
				prefix, open := strings.CutSuffix(url, "*")
				return url == r.path || open && strings.HasPrefix(r.path, prefix)
			})
		}
		return has(rule.APIGroups, r.group()) && has(rule.Resources, r.resource) && (len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.nameForRoles()))
	})
}
