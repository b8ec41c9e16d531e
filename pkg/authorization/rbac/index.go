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
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

const (
	kindRole        = "Role"
	kindClusterRole = "ClusterRole"

	kindRoleBinding        = "RoleBinding"
	kindClusterRoleBinding = "ClusterRoleBinding"
)

// subject is a user or a group. A service account is a user.
type subject struct {
	group bool
	name  string
}

// subjectOf converts a subject of a binding; ok is false for one that no user matches. A service
// account without a namespace is in that of the binding.
func subjectOf(s *rbacv1.Subject, bindingNamespace string) (subject, bool) {
	switch s.Kind {
	case rbacv1.UserKind:
		return subject{name: s.Name}, true
	case rbacv1.GroupKind:
		return subject{group: true, name: s.Name}, true
	case rbacv1.ServiceAccountKind:
		namespace := s.Namespace
		if namespace == "" {
			namespace = bindingNamespace
		}
		if namespace == "" {
			return subject{}, false
		}
		return subject{name: serviceaccount.MakeUsername(namespace, s.Name)}, true
	}
	return subject{}, false
}

// objectKey identifies a role or a binding; the namespace is empty for cluster-wide ones.
type objectKey struct {
	namespace, name string
}

// role is the entry of a role that exists or that a binding refers to. Grants point to the entry, so
// that a change of the role is one write, however many subjects are bound to it.
type role struct {
	// current is nil while the role does not exist.
	current atomic.Pointer[roleVersion]
	// grants is the number of bindings that point to the entry.
	grants int
}

// roleVersion is a role in one version. It does not change.
type roleVersion struct {
	rules  []rbacv1.PolicyRule
	object diagnostics.Object
}

// grant is a binding with its role.
type grant struct {
	key objectKey
	// object is the current version of the binding.
	object   atomic.Pointer[diagnostics.Object]
	roleRef  rbacv1.RoleRef
	subjects []rbacv1.Subject
	// role is nil if the kind of the reference is unknown.
	role *role
	// first is the first index of each subject in the list.
	first map[subject]int
}

// current returns the role, or an error if it is missing.
func (g *grant) current() (*roleVersion, error) {
	if g.role == nil {
		return nil, fmt.Errorf("unsupported role reference kind: %q", g.roleRef.Kind)
	}
	current := g.role.current.Load()
	if current == nil {
		return nil, missing(g.roleRef)
	}
	return current, nil
}

func missing(ref rbacv1.RoleRef) error {
	resource := "role"
	if ref.Kind == kindClusterRole {
		resource = "clusterrole"
	}
	return apierrors.NewNotFound(schema.GroupResource{Group: rbacv1.GroupName, Resource: resource}, ref.Name)
}

// grants are in the order in which they were added. A list is appended to, or replaced as a whole on a
// removal, so that readers may iterate over a list that they have read without the lock.
type grants map[subject][]*grant

// index finds the bindings of a subject, cluster-wide and in a namespace.
type index struct {
	lock sync.RWMutex
	// roles and clusterRoles have an entry for each role that exists or is referred to.
	roles        map[objectKey]*role
	clusterRoles map[string]*role
	// roleBindings are cluster-wide if the key has no namespace.
	roleBindings map[objectKey]*grant
	// bySubject has one set per namespace, and the cluster-wide one under "".
	bySubject map[string]grants
}

func newIndex() *index {
	return &index{
		roles:        map[objectKey]*role{},
		clusterRoles: map[string]*role{},
		roleBindings: map[objectKey]*grant{},
		bySubject:    map[string]grants{},
	}
}

// granted appends the grants of a user and its groups to lists: first the cluster-wide ones, then those
// of the namespace, if any. A grant may appear more than once.
func (x *index) granted(u user.Info, namespace string, lists [][]*grant) [][]*grant {
	x.lock.RLock()
	defer x.lock.RUnlock()
	lists = x.bySubject[""].appendOf(u, lists)
	if namespace != "" {
		lists = x.bySubject[namespace].appendOf(u, lists)
	}
	return lists
}

// appendOf appends the grants of a user and its groups to lists.
func (g grants) appendOf(u user.Info, lists [][]*grant) [][]*grant {
	if len(g) == 0 {
		return lists
	}
	if list := g[subject{name: u.GetName()}]; len(list) > 0 {
		lists = append(lists, list)
	}
	for _, group := range u.GetGroups() {
		if list := g[subject{group: true, name: group}]; len(list) > 0 {
			lists = append(lists, list)
		}
	}
	return lists
}

// firstSubject returns the first subject of the binding that matches the user or one of its groups, for
// the reason of a decision.
func (g *grant) firstSubject(u user.Info) *rbacv1.Subject {
	found := -1
	look := func(s subject) {
		if i, ok := g.first[s]; ok && (found < 0 || i < found) {
			found = i
		}
	}
	look(subject{name: u.GetName()})
	for _, group := range u.GetGroups() {
		look(subject{group: true, name: group})
	}
	if found < 0 {
		return nil
	}
	return &g.subjects[found]
}

// roleRules returns the rules of the role that a binding in the namespace refers to.
func (x *index) roleRules(ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	x.lock.RLock()
	defer x.lock.RUnlock()
	var place *role
	switch ref.Kind {
	case kindRole:
		place = x.roles[objectKey{namespace, ref.Name}]
	case kindClusterRole:
		place = x.clusterRoles[ref.Name]
	default:
		return nil, fmt.Errorf("unsupported role reference kind: %q", ref.Kind)
	}
	if place == nil {
		return nil, missing(ref)
	}
	current := place.current.Load()
	if current == nil {
		return nil, missing(ref)
	}
	return current.rules, nil
}

// setRole stores a version of a role; nil for a deleted one.
func (x *index) setRole(key objectKey, version *roleVersion) {
	x.lock.Lock()
	defer x.lock.Unlock()
	set(x.roles, key, version)
}

func (x *index) setClusterRole(name string, version *roleVersion) {
	x.lock.Lock()
	defer x.lock.Unlock()
	set(x.clusterRoles, name, version)
}

func set[K comparable](places map[K]*role, key K, version *roleVersion) {
	place := places[key]
	if place == nil {
		if version == nil {
			return
		}
		place = &role{}
		places[key] = place
	}
	place.current.Store(version)
	forget(places, key)
}

// forget deletes an entry without a role and without a binding.
func forget[K comparable](places map[K]*role, key K) {
	if place := places[key]; place != nil && place.grants == 0 && place.current.Load() == nil {
		delete(places, key)
	}
}

func hold[K comparable](places map[K]*role, key K) *role {
	place := places[key]
	if place == nil {
		place = &role{}
		places[key] = place
	}
	place.grants++
	return place
}

func release[K comparable](places map[K]*role, key K) {
	if place := places[key]; place != nil {
		place.grants--
		forget(places, key)
	}
}

// setRoleBinding stores a binding. object is its version.
func (x *index) setRoleBinding(key objectKey, subjects []rbacv1.Subject, ref rbacv1.RoleRef, object *diagnostics.Object) {
	x.lock.Lock()
	defer x.lock.Unlock()
	if old := x.roleBindings[key]; old != nil {
		if old.roleRef == ref && slices.Equal(old.subjects, subjects) {
			old.object.Store(object)
			return
		}
		x.remove(old)
	}
	g := &grant{key: key, roleRef: ref, subjects: subjects, first: make(map[subject]int, len(subjects))}
	g.object.Store(object)
	switch ref.Kind {
	case kindRole:
		g.role = hold(x.roles, objectKey{key.namespace, ref.Name})
	case kindClusterRole:
		g.role = hold(x.clusterRoles, ref.Name)
	}
	x.roleBindings[key] = g
	for i := range subjects {
		s, ok := subjectOf(&subjects[i], key.namespace)
		if !ok {
			continue
		}
		if _, again := g.first[s]; again {
			continue
		}
		g.first[s] = i
		set := x.bySubject[key.namespace]
		if set == nil {
			set = grants{}
			x.bySubject[key.namespace] = set
		}
		set[s] = append(set[s], g)
	}
}

// deleteRoleBinding deletes a binding.
func (x *index) deleteRoleBinding(key objectKey) {
	x.lock.Lock()
	defer x.lock.Unlock()
	if g := x.roleBindings[key]; g != nil {
		x.remove(g)
	}
}

func (x *index) remove(g *grant) {
	delete(x.roleBindings, g.key)
	set := x.bySubject[g.key.namespace]
	for s := range g.first {
		list := set[s]
		if len(list) == 1 {
			delete(set, s)
			continue
		}
		rest := make([]*grant, 0, len(list)-1)
		for _, other := range list {
			if other != g {
				rest = append(rest, other)
			}
		}
		set[s] = rest
	}
	if len(set) == 0 {
		delete(x.bySubject, g.key.namespace)
	}
	switch g.roleRef.Kind {
	case kindRole:
		release(x.roles, objectKey{g.key.namespace, g.roleRef.Name})
	case kindClusterRole:
		release(x.clusterRoles, g.roleRef.Name)
	}
}
