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
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kubectl"
)

// byKubectl is the number of cures that kubectl applies itself; the others are applied by what their words mean, because a
// process for each takes long.
const byKubectl = 6

// cure checks the near misses of a refusal by roles and applies its command: the request is allowed then, another one of the
// user is not, and without the command's objects everything is as before.
func (p *property) cure(t *testing.T, r *asked, trace *v1alpha1.RequestTrace) {
	t.Helper()
	p.nearMisses(t, r, trace)
	system := strings.HasPrefix(r.effective().name, "system:") && !strings.HasPrefix(r.effective().name, "system:serviceaccount:")
	if system || r.namespace == nowhere {
		if trace.Cure != "" {
			t.Errorf("there is no cure for this, and it is %q", trace.Cure)
		}
		return
	}
	if trace.Cure == "" {
		t.Error("the cure is missing")
		return
	}
	p.cures++
	before := [][]string{names(p.roles), names(p.cluster), names(p.bindings), names(p.everywhere)}
	commands := strings.Split(trace.Cure, " && ")
	if p.cures <= byKubectl {
		script := "set -e\nkubectl() { " + kubectl.Find(t) + " --kubeconfig " + p.server.Kubeconfig + ` "$@"; }` + "\n" + strings.Join(commands, "\n")
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", trace.Cure, err, out)
		}
	} else {
		for _, command := range commands {
			p.apply(t, command)
		}
	}
	p.readRoles(t, p.client)
	after := [][]string{names(p.roles), names(p.cluster), names(p.bindings), names(p.everywhere)}
	p.becomes(t, r, true)
	e := p.expect(r)
	if e.gate == v1alpha1.StopAuthorization {
		t.Errorf("by the model, %q does not allow it", trace.Cure)
	}
	p.send(t, r, e)
	p.others(t, r)
	p.undo(t, before, after)
	p.readRoles(t, p.client)
	p.becomes(t, r, false)
}

func names[T any, P interface {
	*T
	metav1.Object
}](all []T) (keys []string) {
	for i := range all {
		o := P(&all[i])
		keys = append(keys, o.GetNamespace()+"/"+o.GetName())
	}
	return keys
}

// apply executes a command "kubectl create ..." of roles and bindings.
func (p *property) apply(t *testing.T, command string) {
	t.Helper()
	var arguments []string
	flags := map[string]string{}
	for _, word := range words(command) {
		if name, value, ok := strings.Cut(word, "="); ok && strings.HasPrefix(name, "--") {
			flags[name] = value
			continue
		}
		arguments = append(arguments, word)
	}
	if len(arguments) != 4 || arguments[0] != "kubectl" || arguments[1] != "create" {
		t.Fatalf("the command is %q", command)
	}
	meta, api := metav1.ObjectMeta{Name: arguments[3], Namespace: flags["--namespace"]}, p.client.RbacV1()
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: flags["--clusterrole"]}
	if flags["--role"] != "" {
		ref.Kind, ref.Name = "Role", flags["--role"]
	}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: flags["--user"]}}
	if namespace, name, ok := strings.Cut(flags["--serviceaccount"], ":"); ok {
		subjects = []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: name}}
	}
	resource, group, _ := strings.Cut(flags["--resource"], ".")
	rules := []rbacv1.PolicyRule{{Verbs: []string{flags["--verb"]}, APIGroups: []string{group}, Resources: []string{resource}}}
	if url := flags["--non-resource-url"]; url != "" {
		rules = []rbacv1.PolicyRule{{Verbs: []string{flags["--verb"]}, NonResourceURLs: []string{url}}}
	}
	var err error
	switch arguments[2] {
	case "rolebinding":
		_, err = api.RoleBindings(meta.Namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	case "clusterrolebinding":
		_, err = api.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref, Subjects: subjects}, metav1.CreateOptions{})
	case "role":
		_, err = api.Roles(meta.Namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	case "clusterrole":
		_, err = api.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	default:
		t.Fatalf("the command is %q", command)
	}
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
}

// words splits a command as a shell does.
func words(command string) (all []string) {
	for i, part := range strings.Split(command, "'") {
		if i%2 == 1 {
			all[len(all)-1] += part
			continue
		}
		fields := strings.Fields(part)
		if i > 0 && part != "" && part[0] != ' ' && len(fields) > 0 {
			all[len(all)-1] += fields[0]
			fields = fields[1:]
		}
		all = append(all, fields...)
		if strings.HasSuffix(part, " ") {
			all = append(all, "")
		}
	}
	return slices.DeleteFunc(all, func(word string) bool { return word == "" })
}

// becomes waits until the server decides as the changed roles do.
func (p *property) becomes(t *testing.T, r *asked, allowed bool) {
	t.Helper()
	u := r.effective()
	spec := authorizationv1.SubjectAccessReviewSpec{User: u.name, Groups: u.groups}
	if r.path != "" {
		spec.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Verb: r.verb, Path: r.path}
	} else {
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{Verb: r.verb, Group: r.group(), Version: "*", Resource: r.resource, Namespace: r.namespace, Name: r.nameForRoles()}
	}
	harness.ComesTrue(t, func(ctx context) string {
		review, err := p.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
		if err != nil {
			return err.Error()
		}
		if review.Status.Allowed != allowed {
			return review.Status.String()
		}
		return ""
	})
}

// others sends requests of the same user that the roles do not allow with the cure, either.
func (p *property) others(t *testing.T, r *asked) {
	t.Helper()
	sent := 0
	for range 200 {
		other := p.request()
		other.who = r.who
		if other.resource == "hosts" || other.key() == r.key() && other.verb == r.verb {
			continue
		}
		if e := p.expect(other); e.gate == v1alpha1.StopAuthorization {
			p.send(t, other, e)
			if sent++; sent == 2 {
				return
			}
		}
	}
}

// undo deletes what is in after and not in before.
func (p *property) undo(t *testing.T, before, after [][]string) {
	t.Helper()
	api, options := p.client.RbacV1(), metav1.DeleteOptions{}
	for i := range after {
		for _, key := range after[i] {
			if slices.Contains(before[i], key) {
				continue
			}
			namespace, name := filepath.Split(key)
			namespace = strings.TrimSuffix(namespace, "/")
			err := []func() error{
				func() error { return api.Roles(namespace).Delete(t.Context(), name, options) },
				func() error { return api.ClusterRoles().Delete(t.Context(), name, options) },
				func() error { return api.RoleBindings(namespace).Delete(t.Context(), name, options) },
				func() error { return api.ClusterRoleBindings().Delete(t.Context(), name, options) },
			}[i]()
			if err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
		}
	}
}

// nearMisses compares the near misses with the bindings of the user.
func (p *property) nearMisses(t *testing.T, r *asked, trace *v1alpha1.RequestTrace) {
	t.Helper()
	u := r.effective()
	bound := map[string]bool{} // whether the role exists
	missing := 0
	for _, b := range p.everywhere {
		if isSubject(u, b.Subjects, "") {
			bound["ClusterRoleBinding//"+b.Name] = p.describeRole(b.RoleRef, "") != ""
		}
	}
	for _, b := range p.bindings {
		if isSubject(u, b.Subjects, b.Namespace) {
			bound["RoleBinding/"+b.Namespace+"/"+b.Name] = p.describeRole(b.RoleRef, b.Namespace) != ""
		}
	}
	for key, exists := range bound {
		if !exists && (strings.HasPrefix(key, "Cluster") || strings.HasPrefix(key, "RoleBinding/"+r.namespace+"/")) {
			missing++
		}
	}
	for _, miss := range trace.NearMisses {
		exists, known := bound[miss.Binding.Kind+"/"+miss.Binding.Namespace+"/"+miss.Binding.Name]
		if !known || exists == miss.RoleMissing || exists && len(miss.Misfits) == 0 {
			t.Errorf("the near miss is %+v; the bindings of the user are %v", miss, bound)
		}
		if miss.RoleMissing {
			missing--
		}
	}
	if missing > 0 && len(trace.NearMisses) < 5 {
		t.Errorf("%d bindings without their role are missing of %+v", missing, trace.NearMisses)
	}
}
