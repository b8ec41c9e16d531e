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
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sort"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/kubernetes/pkg/registry/rbac/validation"
	upstream "k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac"

	ours "github.com/gatehouse-dev/gatehouse/pkg/authorization/rbac"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

const (
	policies     = 100
	requestsEach = 100
	defaultSeed  = 37
)

// Small sets of words, so that rules, bindings and requests match often.
var (
	users      = []string{"alice", "bob", "system:serviceaccount:a:robot", "system:serviceaccount:b:robot", "dev"}
	groups     = []string{"dev", "ops", "system:authenticated", "system:serviceaccounts", "alice"}
	namespaces = []string{"a", "b"}
	verbs      = []string{"get", "list", "create", "*", "escalate"}
	apiGroups  = []string{"", "fleet.gatehouse.dev", "*"}
	resources  = []string{"secrets", "instances", "instances/status", "*/status", "*", "instances/*", "status", "*/"}
	names      = []string{"one", "two"}
	urls       = []string{"/metrics", "/metrics/*", "/api*", "*", "/", "/healthz", "/metrics/**"}
	roleNames  = []string{"r1", "r2", "r3", "missing"}
)

type source struct{ *rand.Rand }

func pick[T any](s source, list []T) T { return list[s.IntN(len(list))] }

// some picks a random number of items of a list, with duplicates.
func some[T any](s source, list []T, least, most int) []T {
	var out []T
	for range least + s.IntN(most-least+1) {
		out = append(out, pick(s, list))
	}
	return out
}

func (s source) rules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for range s.IntN(6) {
		rule := rbacv1.PolicyRule{Verbs: some(s, verbs, 0, 3)}
		if s.IntN(4) > 0 {
			rule.APIGroups, rule.Resources = some(s, apiGroups, 0, 3), some(s, resources, 0, 4)
			if s.IntN(3) == 0 {
				rule.ResourceNames = some(s, names, 1, 2)
			}
		} else {
			rule.NonResourceURLs = some(s, urls, 1, 2)
		}
		rules = append(rules, rule)
	}
	return rules
}

func (s source) subjects() []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for range s.IntN(6) {
		switch s.IntN(4) {
		case 0:
			subjects = append(subjects, rbacv1.Subject{Kind: "User", Name: pick(s, users)})
		case 1:
			subjects = append(subjects, rbacv1.Subject{Kind: "Group", Name: pick(s, groups)})
		case 2:
			subjects = append(subjects, rbacv1.Subject{Kind: "ServiceAccount", Name: "robot", Namespace: pick(s, append([]string{""}, namespaces...))})
		case 3:
			subjects = append(subjects, rbacv1.Subject{Kind: pick(s, []string{"user", "", "Node"}), Name: pick(s, users)})
		}
	}
	return subjects
}

func (s source) ref() rbacv1.RoleRef {
	return rbacv1.RoleRef{Kind: pick(s, []string{"ClusterRole", "ClusterRole", "Role", "Robot"}), Name: pick(s, roleNames)}
}

// policy is a set of roles and bindings.
type policy struct {
	roles               []*rbacv1.Role
	roleBindings        []*rbacv1.RoleBinding
	clusterRoles        []*rbacv1.ClusterRole
	clusterRoleBindings []*rbacv1.ClusterRoleBinding
}

func (s source) policy() policy {
	var p policy
	for _, name := range roleNames[:3] {
		if s.IntN(4) > 0 {
			p.clusterRoles = append(p.clusterRoles, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: s.rules()})
		}
		for _, ns := range namespaces {
			if s.IntN(2) == 0 {
				p.roles = append(p.roles, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Rules: s.rules()})
			}
		}
	}
	for i := range 4 + s.IntN(8) {
		p.clusterRoleBindings = append(p.clusterRoleBindings, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("c%d", i)}, Subjects: s.subjects(), RoleRef: s.ref()})
	}
	for i := range 4 + s.IntN(12) {
		p.roleBindings = append(p.roleBindings, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: pick(s, namespaces), Name: fmt.Sprintf("n%d", i)}, Subjects: s.subjects(), RoleRef: s.ref()})
	}
	return p
}

func (s source) user() user.Info {
	return &user.DefaultInfo{Name: pick(s, users), Groups: some(s, groups, 0, 3)}
}

func (s source) request() authorizer.AttributesRecord {
	a := authorizer.AttributesRecord{User: s.user(), Verb: pick(s, verbs)}
	if s.IntN(5) == 0 {
		a.Path = pick(s, append([]string{"/metrics/x", "/apis", "/metric"}, urls...))
		return a
	}
	a.ResourceRequest = true
	a.APIGroup = pick(s, apiGroups)
	a.Namespace = pick(s, append([]string{"", "elsewhere"}, namespaces...))
	a.Resource = pick(s, []string{"secrets", "instances", "hosts"})
	a.Subresource = pick(s, []string{"", "", "status", "scale"})
	a.Name = pick(s, append([]string{""}, names...))
	return a
}

// authorizers returns both authorizers with the same policy.
func (p policy) authorizers(ctx context.Context, t *testing.T) (*upstream.RBACAuthorizer, *ours.Authorizer, validation.AuthorizationRuleResolver) {
	t.Helper()
	var objects []runtime.Object
	for _, o := range p.roles {
		objects = append(objects, o)
	}
	for _, o := range p.roleBindings {
		objects = append(objects, o)
	}
	for _, o := range p.clusterRoles {
		objects = append(objects, o)
	}
	for _, o := range p.clusterRoleBindings {
		objects = append(objects, o)
	}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	mine, err := ours.New(factory.Rbac().V1())
	if err != nil {
		t.Fatal(err)
	}
	factory.Start(ctx.Done())
	if err := wait.PollUntilContextTimeout(ctx, time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return mine.HasSynced(), nil }); err != nil {
		t.Fatal(err)
	}
	resolver, static := validation.NewTestRuleResolver(p.roles, p.roleBindings, p.clusterRoles, p.clusterRoleBindings)
	return upstream.New(static, static, static, static), mine, resolver
}

func TestTenThousandRandomRequestsAreDecidedAlike(t *testing.T) {
	seed := kit.SeedOr(t, defaultSeed)
	s := source{rand.New(rand.NewPCG(seed, seed))}
	allowed, escalations := 0, map[bool]int{}
	for i := range policies {
		ctx, cancel := context.WithCancel(t.Context())
		p := s.policy()
		theirs, mine, resolver := p.authorizers(ctx, t)
		escalation, err := ours.NewEscalation(mine, mine)
		if err != nil {
			t.Fatal(err)
		}
		for range requestsEach {
			asks := s.request()
			want, wantReason, wantErr := theirs.Authorize(ctx, asks)
			got, gotReason, gotErr := mine.Authorize(ctx, asks)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Errorf("policy %d, %+v:\nupstream %v %q %v\nours     %v %q %v", i, asks, want, wantReason, wantErr, got, gotReason, gotErr)
			}
			if want == authorizer.DecisionAllow {
				allowed++
			}
			compareRules(ctx, t, asks.User, asks.Namespace, theirs, mine)

			// The verb escalate never skips the check here, because it is not requested for
			// roles; only the held rules are compared.
			rules := s.rules()
			granting := request.WithNamespace(request.WithUser(ctx, asks.User), asks.Namespace)
			refused := validation.ConfirmNoEscalation(granting, resolver, rules) != nil
			asks.Verb, asks.APIGroup, asks.Resource, asks.Subresource, asks.Name, asks.ResourceRequest = "escalate", rbacv1.GroupName, "roles", "", "x", true
			if lifted, _, _ := theirs.Authorize(ctx, asks); lifted == authorizer.DecisionAllow {
				refused = false
			}
			if got := escalation.MayWriteRules(granting, "roles", asks.Namespace, "x", rules) != nil; got != refused {
				t.Errorf("policy %d, %v grants %+v in %q: upstream refuses %v, we %v", i, asks.User, rules, asks.Namespace, refused, got)
			}
			escalations[refused]++
		}
		cancel()
	}
	t.Logf("%d of %d requests allowed; %d grants refused, %d not", allowed, policies*requestsEach, escalations[true], escalations[false])
	if allowed < 500 || escalations[true] < 500 || escalations[false] < 500 {
		t.Error("the requests were too similar to prove anything")
	}
}

// compareRules compares the results of SelfSubjectRulesReviews, in any order.
func compareRules(ctx context.Context, t *testing.T, u user.Info, namespace string, theirs, mine authorizer.RuleResolver) {
	t.Helper()
	lines := func(r authorizer.RuleResolver) ([]string, bool) {
		resourceRules, paths, incomplete, err := r.RulesFor(ctx, u, namespace)
		var out []string
		for _, rule := range resourceRules {
			out = append(out, fmt.Sprint(rule.GetVerbs(), rule.GetAPIGroups(), rule.GetResources(), rule.GetResourceNames()))
		}
		for _, rule := range paths {
			out = append(out, fmt.Sprint(rule.GetVerbs(), rule.GetNonResourceURLs()))
		}
		sort.Strings(out)
		return append(out, fmt.Sprint(incomplete)), err != nil
	}
	want, wantErr := lines(theirs)
	got, gotErr := lines(mine)
	if !reflect.DeepEqual(got, want) || gotErr != wantErr {
		t.Errorf("rules of %v in %q:\nupstream %v %v\nours     %v %v", u, namespace, want, wantErr, got, gotErr)
	}
}

// A decision with 10, 1,000 and 10,000 bindings, of which one is the caller's, by both authorizers.
func BenchmarkDecision(b *testing.B) {
	for _, bindings := range []int{10, 1000, 10000} {
		p := policy{clusterRoles: []*rbacv1.ClusterRole{{ObjectMeta: metav1.ObjectMeta{Name: "r"}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"secrets"}}}}}}
		for i := range bindings {
			p.clusterRoleBindings = append(p.clusterRoleBindings, &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("b%d", i)}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "r"},
				Subjects: []rbacv1.Subject{{Kind: "User", Name: fmt.Sprintf("user-%d", i)}},
			})
		}
		// The middle one, so that a scan has average cost.
		who := &user.DefaultInfo{Name: fmt.Sprintf("user-%d", bindings/2), Groups: []string{"dev", "system:authenticated"}}
		asks := authorizer.AttributesRecord{User: who, Verb: "get", Resource: "secrets", Namespace: "a", Name: "x", ResourceRequest: true}
		ctx, cancel := context.WithCancel(b.Context())
		theirs, mine := p.informed(ctx, b)
		for name, a := range map[string]authorizer.Authorizer{"ours": mine, "upstream": theirs} {
			b.Run(fmt.Sprintf("bindings=%d/%s", bindings, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if decision, _, _ := a.Authorize(ctx, asks); decision != authorizer.DecisionAllow {
						b.Fatal("not allowed")
					}
				}
			})
		}
		cancel()
	}
}

// informed lets both read from the same informers, as kube-apiserver does.
func (p policy) informed(ctx context.Context, b *testing.B) (authorizer.Authorizer, authorizer.Authorizer) {
	b.Helper()
	var objects []runtime.Object
	for _, o := range p.clusterRoles {
		objects = append(objects, o)
	}
	for _, o := range p.clusterRoleBindings {
		objects = append(objects, o)
	}
	factory := informers.NewSharedInformerFactory(fake.NewClientset(objects...), 0)
	rbac := factory.Rbac().V1()
	mine, err := ours.New(rbac)
	if err != nil {
		b.Fatal(err)
	}
	theirs := upstream.New(&upstream.RoleGetter{Lister: rbac.Roles().Lister()}, &upstream.RoleBindingLister{Lister: rbac.RoleBindings().Lister()},
		&upstream.ClusterRoleGetter{Lister: rbac.ClusterRoles().Lister()}, &upstream.ClusterRoleBindingLister{Lister: rbac.ClusterRoleBindings().Lister()})
	factory.Start(ctx.Done())
	if err := wait.PollUntilContextTimeout(ctx, time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return mine.HasSynced(), nil }); err != nil {
		b.Fatal(err)
	}
	return theirs, mine
}
