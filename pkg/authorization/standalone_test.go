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

package authorization

import (
	"context"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// may is a request and its expected decision.
type may struct {
	name       string
	user       user.Info
	attributes authorizer.AttributesRecord
	want       authorizer.Decision
}

var (
	admin     = &user.DefaultInfo{Name: "admin", Groups: []string{"system:masters", "system:authenticated"}}
	guest     = &user.DefaultInfo{Name: "guest", Groups: []string{"system:authenticated"}}
	anonymous = &user.DefaultInfo{Name: "system:anonymous", Groups: []string{"system:unauthenticated"}}
)

func urlPath(verb, path string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{Verb: verb, Path: path}
}

func hosts(verb string) authorizer.AttributesRecord {
	return authorizer.AttributesRecord{Verb: verb, APIGroup: "fleet.gatehouse.dev", APIVersion: "v1alpha1", Resource: "hosts", Name: "edge-1", ResourceRequest: true, Path: "/apis/fleet.gatehouse.dev/v1alpha1/hosts/edge-1"}
}

// healthRows apply to every authorizer.
func healthRows() []may {
	return []may{
		{"the administrator reads hosts", admin, hosts("get"), authorizer.DecisionAllow},
		{"the administrator deletes hosts", admin, hosts("delete"), authorizer.DecisionAllow},
		{"the administrator reads metrics", admin, urlPath("get", "/metrics"), authorizer.DecisionAllow},
		{"the administrator may impersonate", admin, authorizer.AttributesRecord{Verb: "impersonate", Resource: "users", Name: "guest", ResourceRequest: true}, authorizer.DecisionAllow},
		{"all users may read /livez", anonymous, urlPath("get", "/livez"), authorizer.DecisionAllow},
		{"all users may read /readyz", anonymous, urlPath("get", "/readyz"), authorizer.DecisionAllow},
		{"all users may read /healthz", guest, urlPath("get", "/healthz"), authorizer.DecisionAllow},
	}
}

func (m may) check(t *testing.T, a authorizer.Authorizer) {
	t.Helper()
	m.attributes.User = m.user
	got, reason, err := a.Authorize(t.Context(), m.attributes)
	if err != nil {
		t.Fatalf("failed: %v", err)
	}
	if got != m.want {
		t.Errorf("decided %v (%s), want %v", got, reason, m.want)
	}
}

// standalone has authorizers of hosts and roles that have no opinion.
func standalone(healthPaths ...string) Standalone {
	silent := authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
		return authorizer.DecisionNoOpinion, "", nil
	})
	return Standalone{HealthPaths: healthPaths, Hosts: silent, Roles: silent}
}

func TestTheStandaloneModeNeedsBothAuthorizers(t *testing.T) {
	for name, c := range map[string]Standalone{"none": {}, "hosts only": {Hosts: standalone().Hosts}, "roles only": {Roles: standalone().Roles}} {
		if _, err := NewStandalone(c); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A host is authorized as a host even if roles allow everything.
func TestNoRoleGrantsWhatHostsAreDenied(t *testing.T) {
	decides := func(decision authorizer.Decision) authorizer.Authorizer {
		return authorizer.AuthorizerFunc(func(context.Context, authorizer.Attributes) (authorizer.Decision, string, error) {
			return decision, "", nil
		})
	}
	a, err := NewStandalone(Standalone{Hosts: decides(authorizer.DecisionDeny), Roles: decides(authorizer.DecisionAllow)})
	if err != nil {
		t.Fatal(err)
	}
	may{user: guest, attributes: hosts("get"), want: authorizer.DecisionDeny}.check(t, a)
	may{user: admin, attributes: hosts("get"), want: authorizer.DecisionAllow}.check(t, a)
}

func TestStandaloneAllowsAdministratorsEverythingAndOthersOnlyHealth(t *testing.T) {
	a, err := NewStandalone(standalone("/healthz", "/livez", "/readyz"))
	if err != nil {
		t.Fatal(err)
	}
	rows := append(healthRows(),
		may{"an authenticated user reads nothing", guest, hosts("get"), authorizer.DecisionNoOpinion},
		may{"an authenticated user creates nothing", guest, hosts("create"), authorizer.DecisionNoOpinion},
		may{"an authenticated user does not read metrics", guest, urlPath("get", "/metrics"), authorizer.DecisionNoOpinion},
		may{"an authenticated user does not discover", guest, urlPath("get", "/apis"), authorizer.DecisionNoOpinion},
		may{"an authenticated user may not impersonate", guest, authorizer.AttributesRecord{Verb: "impersonate", Resource: "users", Name: "admin", ResourceRequest: true}, authorizer.DecisionNoOpinion},
		may{"one check of many is not open", anonymous, urlPath("get", "/readyz/etcd"), authorizer.DecisionNoOpinion},
		may{"what only begins like a health path is not open", anonymous, urlPath("get", "/livezz"), authorizer.DecisionNoOpinion},
		may{"a resource is not opened by a path of that name", anonymous, authorizer.AttributesRecord{Verb: "get", Resource: "healthz", ResourceRequest: true, Path: "/healthz"}, authorizer.DecisionNoOpinion},
		may{"the name of a group is no prefix", &user.DefaultInfo{Name: "x", Groups: []string{"system:masters2", "system:master"}}, hosts("get"), authorizer.DecisionNoOpinion},
		may{"the name of a user is no group", &user.DefaultInfo{Name: "system:masters"}, hosts("get"), authorizer.DecisionNoOpinion},
	)
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { row.check(t, a) })
	}
}

func TestAnInvalidHealthPathIsRefused(t *testing.T) {
	if _, err := NewStandalone(standalone("/a*b")); err == nil {
		t.Error("a star in the middle of a path was accepted")
	}
}
