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
	"math/rand/v2"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// The random world of the property test. Everything in it is plain data, which the model in model_test.go reads.

const (
	worldNamespaces = 4
	worldUsers      = 6
	worldHosts      = 2
	// nowhere is a namespace that does not exist.
	nowhere = "nowhere"
)

// who is a caller of requests.
type who struct {
	name   string
	groups []string // as authorizers see them
	by     string   // the authenticator
	// as is the user that the caller impersonates; nil for none.
	as     *who
	client harness.RawClient
}

// effective is the user that authorizers see after impersonation.
func (c *who) effective() *who {
	if c.as != nil {
		return c.as
	}
	return c
}

func (c *who) is(group string) bool { return slices.Contains(c.groups, group) }

// rule selects writes for a policy or for a webhook.
type rule struct {
	operations, resources []string
	// label is required of the old or of the new object; empty for none.
	label string
	// namespaces are those in which the rule holds; nil for all.
	namespaces []string
	// exempt is a user that a match condition leaves out.
	exempt string
}

// policy is a validating policy with its binding.
type policy struct {
	rule
	name, binding string
	// kind selects the expression.
	kind                string
	action              string
	ignore              bool
	bindingInNamespaces []string
}

// hook is a webhook. Configurations may have webhooks of the same name.
type hook struct {
	rule
	configuration, name string
	mutating            bool
	behaviour           string
	ignore              bool
}

func (h *hook) by() string   { return h.configuration + "/" + h.name }
func (h *hook) path() string { return "/" + h.configuration + "/" + h.name }

// quota bounds one resource of a namespace, in secrets, instances or thousandths of a core.
type quota struct {
	namespace, name, what string
	hard                  int
}

// limit bounds the thousandths of a core of a container.
type limit struct {
	namespace, name string
	least, most     int
}

// stored is an object that the model knows.
type stored struct {
	labels  map[string]string
	cpu     int
	version string
}

type world struct {
	*rand.Rand
	namespaces []string
	callers    []*who
	policies   []policy
	hooks      []hook
	quotas     []quota
	limits     []limit
	objects    map[string]*stored // by resource/namespace/name
	roles      []rbacv1.Role
	cluster    []rbacv1.ClusterRole
	bindings   []rbacv1.RoleBinding
	everywhere []rbacv1.ClusterRoleBinding
	number     int
}

func one[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// some returns a part of the entries, at least one.
func some[T any](r *rand.Rand, of ...T) []T {
	var all []T
	for _, entry := range of {
		if r.IntN(2) == 0 {
			all = append(all, entry)
		}
	}
	if all == nil {
		all = []T{one(r, of...)}
	}
	return all
}

func newWorld(seed uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, 19)), objects: map[string]*stored{}}
	for i := range worldNamespaces {
		w.namespaces = append(w.namespaces, fmt.Sprint("room-", i))
	}
	for i := range worldHosts {
		w.objects[fmt.Sprint("hosts//host-", i)] = &stored{}
	}
	w.makeCallers()
	w.makeRoles()
	for i := range 7 {
		p := policy{
			rule: w.rule("configmaps", "secrets", "instances"), name: fmt.Sprint("policy-", i), binding: fmt.Sprint("binding-", i),
			kind: one(w.Rand, "bad name", "red", "one user", "no deletions", "broken"), action: one(w.Rand, "Deny", "Deny", "Deny", "Warn", "Audit"), ignore: w.IntN(3) == 0,
		}
		if w.IntN(2) == 0 {
			p.bindingInNamespaces = some(w.Rand, w.namespaces...)
		}
		w.policies = append(w.policies, p)
	}
	behaviours := []string{"allow", "allow", "deny", "fail", "redirect", "dead", "text"}
	for i := range 12 {
		h := hook{
			rule: w.rule("configmaps", "secrets", "instances"), configuration: fmt.Sprintf("hooks-%02d", i), name: fmt.Sprintf("hook-%d.example.com", i/2),
			mutating: i%2 == 0, ignore: w.IntN(2) == 0, behaviour: one(w.Rand, behaviours...),
		}
		if h.mutating {
			h.name = fmt.Sprintf("mutates-%d.example.com", i/4) // two configurations have the same one
			h.behaviour = one(w.Rand, append(behaviours, "patch", "patch", "patch", "invalid patch", "broken patch")...)
		}
		if h.namespaces == nil {
			h.namespaces = some(w.Rand, w.namespaces...)
		}
		w.hooks = append(w.hooks, h)
	}
	for i, namespace := range w.namespaces {
		for j, what := range some(w.Rand, "secrets", "count/instances.fleet.gatehouse.dev", "fleet.gatehouse.dev/requests.millicpu") {
			hard := 1 + w.IntN(4)
			if strings.HasSuffix(what, "cpu") {
				hard *= 500
			}
			w.quotas = append(w.quotas, quota{namespace, fmt.Sprintf("quota-%d-%d", i, j), what, hard})
		}
		if w.IntN(2) == 0 {
			w.limits = append(w.limits, limit{namespace, fmt.Sprint("limit-", i), one(w.Rand, 10, 100), one(w.Rand, 400, 2000)})
		}
	}
	return w
}

func (w *world) rule(resources ...string) rule {
	r := rule{operations: some(w.Rand, "CREATE", "UPDATE", "DELETE"), resources: some(w.Rand, resources...)}
	r.label = one(w.Rand, "", "tier=red", "tier=blue", "stamped=yes")
	if w.IntN(3) == 0 {
		r.namespaces = some(w.Rand, w.namespaces...)
	}
	if w.IntN(3) == 0 {
		r.exempt = fmt.Sprint("user-", w.IntN(worldUsers))
	}
	return r
}

// makeCallers makes an administrator, users, service accounts, hosts, a caller with a wrong token, and those that
// impersonate others.
func (w *world) makeCallers() {
	const authenticated = "system:authenticated"
	admin := &who{name: "gatehouse-admin", groups: []string{"system:masters", authenticated}, by: "client-certificate"}
	w.callers = append(w.callers, admin)
	var users []*who
	for i := range worldUsers {
		groups := append(some(w.Rand, "team-0", "team-1", "team-2"), authenticated)
		users = append(users, &who{name: fmt.Sprint("user-", i), groups: groups, by: "client-certificate"})
	}
	for _, namespace := range w.namespaces[:2] {
		users = append(users, &who{
			name: "system:serviceaccount:" + namespace + ":robot", by: "service-account",
			groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, authenticated},
		})
	}
	for i := range worldHosts {
		w.callers = append(w.callers, &who{name: fleetv1alpha1.HostUserPrefix + fmt.Sprint("host-", i), groups: []string{fleetv1alpha1.HostsGroup, authenticated}, by: "client-certificate"})
	}
	w.callers = append(w.callers, users...)
	w.callers = append(w.callers, users...) // more often than the others
	w.callers = append(w.callers, &who{name: "stranger"})
	for i := range 4 {
		as := users[w.IntN(worldUsers)]
		w.callers = append(w.callers, &who{name: admin.name, groups: admin.groups, by: admin.by, as: as})
		w.callers = append(w.callers, &who{name: users[i].name, groups: users[i].groups, by: users[i].by, as: &who{name: as.name, groups: []string{authenticated}}})
	}
}

func (w *world) makeRoles() {
	rules := func() (all []rbacv1.PolicyRule) {
		for range 1 + w.IntN(3) {
			if w.IntN(6) == 0 {
				all = append(all, rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: some(w.Rand, "/metrics", "/openapi/*", "/debug/*")})
				continue
			}
			r := rbacv1.PolicyRule{Verbs: some(w.Rand, "get", "list", "create", "update", "patch", "delete"), APIGroups: some(w.Rand, "", fleetv1alpha1.GroupName), Resources: some(w.Rand, "configmaps", "secrets", "instances")}
			switch w.IntN(8) {
			case 0:
				r.Verbs = []string{"*"}
			case 1:
				r.APIGroups, r.Resources = []string{"*"}, []string{"*"}
			case 2, 3:
				r.ResourceNames = some(w.Rand, "map-0", "map-1", "bad-map")
			case 4:
				r = rbacv1.PolicyRule{Verbs: []string{"impersonate"}, APIGroups: []string{""}, Resources: []string{"users"}, ResourceNames: some(w.Rand, "user-0", "user-1", "user-2")}
			}
			all = append(all, r)
		}
		return all
	}
	var names []string
	for i := range 6 {
		name := fmt.Sprint("random-", i)
		all := rules()
		w.cluster = append(w.cluster, rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: all})
		names = append(names, name)
	}
	names = append(names, "view", "edit", "edit", "edit", "gone")
	for i := range 4 {
		w.everywhere = append(w.everywhere, rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("everywhere-", i)}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: one(w.Rand, names[2:]...)}, Subjects: w.subjects()})
	}
	for _, namespace := range w.namespaces {
		var all []rbacv1.PolicyRule
		for _, r := range rules() {
			if len(r.NonResourceURLs) == 0 {
				all = append(all, r)
			}
		}
		w.roles = append(w.roles, rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "local", Namespace: namespace}, Rules: all})
		// The name of the second one is that which a cure would choose.
		for _, name := range []string{"first", fmt.Sprintf("user-%d-%s", w.IntN(worldUsers), one(w.Rand, "configmaps", "secrets", "instances")), "third"} {
			ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: one(w.Rand, names...)}
			if w.IntN(3) == 0 {
				ref.Kind, ref.Name = "Role", one(w.Rand, "local", "gone")
			}
			w.bindings = append(w.bindings, rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}, RoleRef: ref, Subjects: w.subjects()})
		}
	}
}

func (w *world) subjects() (all []rbacv1.Subject) {
	for range 1 + w.IntN(2) {
		switch w.IntN(4) {
		case 0:
			all = append(all, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "Group", Name: fmt.Sprint("team-", w.IntN(3))})
		case 1:
			all = append(all, rbacv1.Subject{Kind: "ServiceAccount", Namespace: one(w.Rand, w.namespaces[:2]...), Name: "robot"})
		default:
			all = append(all, rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: "User", Name: fmt.Sprint("user-", w.IntN(worldUsers))})
		}
	}
	return all
}
