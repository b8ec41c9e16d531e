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

package rbac

import (
	"slices"

	certificatesv1 "k8s.io/api/certificates/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/component-helpers/auth/rbac/validation"

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// aggregateTo is the prefix of the label by which a role is aggregated; the name of the
	// aggregating role follows.
	aggregateTo = "rbac.authorization.k8s.io/aggregate-to-"
	// fleet is the group of Gatehouse's own kinds.
	fleet = v1alpha1.GroupName
	// certificates is the group of certificate signing requests and trust bundles.
	certificates = certificatesv1.GroupName
)

// Bootstrap is an object that every server with RBAC has from its first start, with a function that
// brings a stored one up to date.
type Bootstrap struct {
	// Resource is the plural name in the RBAC group.
	Resource string
	Object   runtime.Object
	// Reconcile adds to a stored object what it lacks, and reports whether it changed the object.
	// It removes nothing, and does not change an object with the annotation
	// rbac.authorization.kubernetes.io/autoupdate set to "false".
	Reconcile func(existing runtime.Object) bool
}

// UserRole is a role for one user, with the name of the user.
type UserRole struct {
	User string
	// Namespace is the only one in which the rules apply; empty for all.
	Namespace string
	Rules     []rbacv1.PolicyRule
}

// BootstrapObjects returns the roles and bindings that a server starts with. Each controller gets
// the rules given for its user, and discovery.
func BootstrapObjects(controllers []UserRole) []Bootstrap {
	var objects []Bootstrap
	for _, role := range clusterRoles(controllers) {
		stamp(&role.ObjectMeta)
		objects = append(objects, Bootstrap{Resource: "clusterroles", Object: &role, Reconcile: func(existing runtime.Object) bool {
			return reconcileRole(existing.(*rbacv1.ClusterRole), &role)
		}})
	}
	for _, binding := range clusterRoleBindings(controllers) {
		stamp(&binding.ObjectMeta)
		objects = append(objects, Bootstrap{Resource: "clusterrolebindings", Object: &binding, Reconcile: func(existing runtime.Object) bool {
			return reconcileBinding(existing.(*rbacv1.ClusterRoleBinding), &binding)
		}})
	}
	return append(objects, namespacedRoles(controllers)...)
}

// stamp marks an object as one that the server keeps up to date.
func stamp(object *metav1.ObjectMeta) {
	if object.Labels == nil {
		object.Labels = map[string]string{}
	}
	object.Labels["kubernetes.io/bootstrapping"] = "rbac-defaults"
	object.Annotations = map[string]string{rbacv1.AutoUpdateAnnotationKey: "true"}
}

// The verbs of rules.
var (
	all       = []string{rbacv1.VerbAll}
	read      = []string{"get", "list", "watch"}
	write     = []string{"create", "update", "patch", "delete", "deletecollection"}
	readWrite = slices.Concat(read, write)
)

func rule(verbs []string, group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: verbs, APIGroups: []string{group}, Resources: resources}
}

func paths(urls ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{Verbs: []string{"get"}, NonResourceURLs: urls}
}

// viewRules, editRules and adminRules have namespaced kinds only, so that the roles can be bound in a
// namespace. As in Kubernetes, view includes no secrets, and edit no roles; other than in
// Kubernetes, they do not allow to impersonate service accounts.
func viewRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(read, "", "configmaps", "events", "limitranges", "namespaces", "resourcequotas", "resourcequotas/status", "serviceaccounts"),
		rule(read, "events.k8s.io", "events"),
		rule(read, fleet, "apps", "apps/scale", "apps/status", "instances", "instances/log", "instances/status", "releases", "releases/scale", "releases/status"),
	}
}

func editRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule(read, "", "secrets"),
		rule(write, "", "configmaps", "events", "secrets", "serviceaccounts"),
		rule([]string{"create"}, "", "serviceaccounts/token"),
		rule(write, "events.k8s.io", "events"),
		rule(readWrite, "coordination.k8s.io", "leases"),
		rule(write, fleet, "apps", "apps/scale", "instances", "releases", "releases/scale"),
		rule([]string{"create"}, fleet, "apps/rollback"),
		rule([]string{"create", "get"}, fleet, "instances/attach", "instances/exec", "instances/portforward"), // WebSockets need get as well
	}
}

func adminRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		rule([]string{"create"}, "authorization.k8s.io", "localsubjectaccessreviews"),
		rule(readWrite, rbacv1.GroupName, "roles", "rolebindings"),
	}
}

func clusterRoles(controllers []UserRole) []rbacv1.ClusterRole {
	view, edit, admin := viewRules(), editRules(), adminRules()
	roles := []rbacv1.ClusterRole{
		named("cluster-admin", rule(all, rbacv1.APIGroupAll, rbacv1.ResourceAll), rbacv1.PolicyRule{Verbs: all, NonResourceURLs: []string{rbacv1.NonResourceAll}}),
		named("system:discovery", paths("/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz", "/version", "/version/")),
		named("system:public-info-viewer", paths("/healthz", "/livez", "/readyz", "/version", "/version/")),
		named("system:basic-user",
			rule([]string{"create"}, "authorization.k8s.io", "selfsubjectaccessreviews", "selfsubjectrulesreviews"),
			rule([]string{"create"}, "authentication.k8s.io", "selfsubjectreviews")),
		named("system:auth-delegator",
			rule([]string{"create"}, "authentication.k8s.io", "tokenreviews"),
			rule([]string{"create"}, "authorization.k8s.io", "subjectaccessreviews")),
		named("system:service-account-issuer-discovery", paths("/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/")),
		named("system:cluster-trust-bundle-discovery", rule(read, certificates, "clustertrustbundles")),
		// The storages return a user's own traces and watch sessions only, unless the user has the verb readall,
		// and reviews its own requests only, unless it has the verb reviewall.
		named("gatehouse:own-traces",
			rule(read, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.RequestTraces, diagnosticsv1alpha1.WatchSessions),
			rule([]string{"create"}, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.RequestReviews)),
		named("gatehouse:diagnostics",
			rule(append(slices.Clone(read), diagnosticsv1alpha1.VerbReadAll), diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.RequestTraces, diagnosticsv1alpha1.WatchSessions),
			rule(read, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.StorageMembers),
			rule([]string{"create", diagnosticsv1alpha1.VerbReviewAll}, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.RequestReviews)),
		named("gatehouse:page", rule([]string{"create"}, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.UISessions)),
		// The paths of membership: see pkg/storage/cluster.
		named("system:storage-joiner", rbacv1.PolicyRule{Verbs: []string{"post"}, NonResourceURLs: []string{"/members/join"}}),
		named("gatehouse:storage-members",
			rbacv1.PolicyRule{Verbs: []string{"post"}, NonResourceURLs: []string{"/members/invite"}}, rbacv1.PolicyRule{Verbs: []string{"delete"}, NonResourceURLs: []string{"/members/*"}},
			rule(read, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.StorageMembers)),
		// Without a binding: the authorizer of hosts decides about them by name. The role documents
		// these rights for readers of roles.
		named("system:host",
			rule([]string{"create", "get", "update", "patch"}, fleet, "hosts", "hostleases"),
			rule([]string{"get", "update", "patch"}, fleet, "hosts/status"),
			rule([]string{"create"}, fleet, "hosts/tunnel"),
			rule([]string{"get", "list", "watch", "delete"}, fleet, "instances"),
			rule([]string{"get", "update", "patch"}, fleet, "instances/status"),
			rule([]string{"create"}, fleet, "instances/token"),
			rule([]string{"get"}, fleet, "instances/configuration"),
			rule(read, diagnosticsv1alpha1.GroupName, diagnosticsv1alpha1.RequestTraces, diagnosticsv1alpha1.WatchSessions),
			rule([]string{"create"}, "", "events"), rule([]string{"create"}, "events.k8s.io", "events"),
			rule([]string{"create", "get", "list", "watch"}, certificates, "certificatesigningrequests")),
		// Hosts that join with a token request their first certificate.
		named("system:host-joiner", rule([]string{"create", "get", "list", "watch"}, certificates, "certificatesigningrequests")),
		// As in Kubernetes, the right to approve is separate from that to write approvals.
		approver("kube-apiserver-client", certificatesv1.KubeAPIServerClientSignerName),
		approver("host-serving", v1alpha1.Domain+"/host-serving"),
		// The three roles have the rules that they aggregate from the start, in the order of the
		// aggregated roles' names, so that the aggregation controller writes nothing until another
		// role has the label.
		//
		// As in Kubernetes, admin aggregates edit, and edit aggregates view.
		aggregated("view", view, "edit"),
		aggregated("edit", slices.Concat(edit, view), "admin"),
		aggregated("admin", slices.Concat(edit, view, admin)),
		gathered("view", view),
		gathered("edit", edit),
		gathered("admin", admin),
	}
	for _, c := range controllers {
		rules := c.Rules
		if c.Namespace != "" {
			rules = nil // see namespacedRoles
		}
		roles = append(roles, named(c.User, slices.Concat(rules, []rbacv1.PolicyRule{paths("/api", "/api/*", "/apis", "/apis/*")})...))
	}
	return roles
}

// approver returns the role that approves requests for a signer.
func approver(name, signer string) rbacv1.ClusterRole {
	approve := rule([]string{"approve"}, certificates, "signers")
	approve.ResourceNames = []string{signer}
	return named("system:certificates.k8s.io:"+name+"-approver", approve)
}

func named(name string, rules ...rbacv1.PolicyRule) rbacv1.ClusterRole {
	return rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

// aggregated returns a role that aggregates the roles with its label, and has the labels of others.
func aggregated(name string, rules []rbacv1.PolicyRule, by ...string) rbacv1.ClusterRole {
	role := labelled(named(name, rules...), by...)
	role.AggregationRule = &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: map[string]string{aggregateTo + name: "true"}}}}
	return role
}

// gathered returns the built-in part of an aggregated role.
func gathered(name string, rules []rbacv1.PolicyRule) rbacv1.ClusterRole {
	return labelled(named("system:aggregate-to-"+name, rules...), name)
}

// labelled adds the labels by which other roles aggregate a role.
func labelled(role rbacv1.ClusterRole, by ...string) rbacv1.ClusterRole {
	role.Labels = map[string]string{}
	for _, target := range by {
		role.Labels[aggregateTo+target] = "true"
	}
	return role
}

func clusterRoleBindings(controllers []UserRole) []rbacv1.ClusterRoleBinding {
	group := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: name}
	}
	bindings := []rbacv1.ClusterRoleBinding{
		bound("cluster-admin", group(user.SystemPrivilegedGroup)),
		bound("system:discovery", group(user.AllAuthenticated)),
		bound("system:basic-user", group(user.AllAuthenticated)),
		bound("gatehouse:own-traces", group(user.AllAuthenticated)),
		bound("gatehouse:page", group(user.AllAuthenticated)),
		bound("system:storage-joiner", group("system:storage-joiners")),
		// Monitors and installers read /version before they have credentials, as in Kubernetes.
		bound("system:public-info-viewer", group(user.AllAuthenticated), group(user.AllUnauthenticated)),
		bound("system:service-account-issuer-discovery", group(serviceaccount.AllServiceAccountsGroup)),
		bound("system:cluster-trust-bundle-discovery", group(serviceaccount.AllServiceAccountsGroup)),
	}
	bindings = append(bindings, bound("system:host-joiner", group(v1alpha1.HostJoinGroup)))
	for _, c := range controllers {
		bindings = append(bindings, bound(c.User, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: c.User}))
	}
	return bindings
}

// bound returns a binding of the role of the same name to the subjects.
func bound(role string, subjects ...rbacv1.Subject) rbacv1.ClusterRoleBinding {
	return rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kindClusterRole, Name: role},
		Subjects:   subjects,
	}
}

// handsOff reports whether the object is excluded from updates.
func handsOff(object *metav1.ObjectMeta) bool {
	return object.Annotations[rbacv1.AutoUpdateAnnotationKey] == "false"
}

// reconcileRole adds the rules, labels and selectors that a stored role lacks.
func reconcileRole(existing, wanted *rbacv1.ClusterRole) bool {
	if handsOff(&existing.ObjectMeta) {
		return false
	}
	changed := addLabels(&existing.ObjectMeta, wanted.Labels)
	if wanted.AggregationRule != nil {
		if existing.AggregationRule == nil {
			existing.AggregationRule = wanted.AggregationRule.DeepCopy()
			changed = true
		}
		return changed // the aggregation controller writes its rules
	}
	if covered, missing := validation.Covers(existing.Rules, wanted.Rules); !covered {
		existing.Rules = append(existing.Rules, missing...)
		changed = true
	}
	return changed
}

// reconcileBinding adds the subjects that a stored binding lacks. It does not change a binding to
// another role, because the reference is immutable.
func reconcileBinding(existing, wanted *rbacv1.ClusterRoleBinding) bool {
	if handsOff(&existing.ObjectMeta) || existing.RoleRef != wanted.RoleRef {
		return false
	}
	changed := addLabels(&existing.ObjectMeta, wanted.Labels)
	for _, subject := range wanted.Subjects {
		if !slices.Contains(existing.Subjects, subject) {
			existing.Subjects = append(existing.Subjects, subject)
			changed = true
		}
	}
	return changed
}

func addLabels(object *metav1.ObjectMeta, labels map[string]string) bool {
	changed := false
	for key, value := range labels {
		if _, ok := object.Labels[key]; !ok {
			if object.Labels == nil {
				object.Labels = map[string]string{}
			}
			object.Labels[key] = value
			changed = true
		}
	}
	return changed
}
