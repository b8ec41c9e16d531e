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

package security

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	flowControl = "/apis/flowcontrol.apiserver.k8s.io/v1"
	schemas     = flowControl + "/flowschemas"
	levels      = flowControl + "/prioritylevelconfigurations"
)

// FlowControl plays attacks on the FlowSchemas and priority levels of a standalone server, which decide about the
// requests of all users.
func FlowControl(t *testing.T, env Env) {
	t.Helper()
	admin := newClient(t, env.Admin)
	for user, role := range map[string]string{"attack-editor": "admin", "attack-viewer": "view"} {
		admin.apply(t, rbac+"/clusterrolebindings/"+user, fmt.Sprintf(`{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"ClusterRoleBinding","metadata":{"name":%q},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":%q},"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":%q}]}`, user, role, user))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	// Allowed requests first, so that the refusals below do not come from missing bindings.
	for _, user := range []string{"attack-editor", "attack-viewer"} {
		newClient(t, env.As(user)).awaitCode(ctx, t, attack{path: core + "/configmaps"}, http.StatusOK)
	}
	awaitConditions(ctx, t, admin)
	play(t, env, map[string]person{
		"a user":           {"attack-user", nil},
		"a viewer":         {"attack-viewer", nil},
		"an editor":        {"attack-editor", nil},
		"a host":           {"system:host:attack-flow", []string{"system:hosts"}},
		"an administrator": {"attack-administrator", []string{"system:masters"}},
	}, flowControlRows(), []string{schemas, levels})
	starve(t, env, admin)
}

// exemptAll is a FlowSchema that exempts the requests of all users.
func exemptAll(name string, precedence int) string {
	return fmt.Sprintf(`{"apiVersion":"flowcontrol.apiserver.k8s.io/v1","kind":"FlowSchema","metadata":{"name":%q},"spec":{"priorityLevelConfiguration":{"name":"exempt"},"matchingPrecedence":%d,`+everything+`}}`, name, precedence, "system:authenticated")
}

const everything = `"rules":[{"subjects":[{"kind":"Group","group":{"name":%q}}],"resourceRules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"],"namespaces":["*"],"clusterScope":true}],"nonResourceRules":[{"verbs":["*"],"nonResourceURLs":["*"]}]}]`

func flowControlRows() []attack {
	const forbidden, invalid = http.StatusForbidden, http.StatusUnprocessableEntity
	const one = `{"spec":{"limited":{"nominalConcurrencyShares":1}}}`
	rows := []attack{
		{name: "An administrator gives a second level no limit", as: "an administrator", method: http.MethodPost, path: levels, body: `{"apiVersion":"flowcontrol.apiserver.k8s.io/v1","kind":"PriorityLevelConfiguration","metadata":{"name":"attack"},"spec":{"type":"Exempt"}}`, code: invalid, says: "spec.type"},
		{name: "An administrator takes the precedence of the mandatory exemption", as: "an administrator", method: http.MethodPost, path: schemas, body: exemptAll("attack", 1), code: invalid, says: "spec.matchingPrecedence"},
		{name: "An administrator exempts all users by the mandatory FlowSchema", as: "an administrator", method: http.MethodPut, path: schemas + "/exempt", body: exemptAll("exempt", 1), code: invalid, says: "mandatory"},
		{name: "An administrator narrows the mandatory exemption", as: "an administrator", method: http.MethodPatch, path: schemas + "/exempt", body: `{"spec":{"rules":[]}}`, code: invalid, says: "mandatory"},
		{name: "An administrator limits the exempt level", as: "an administrator", method: http.MethodPatch, path: levels + "/exempt", body: `{"spec":{"type":"Limited","exempt":null,"limited":{"limitResponse":{"type":"Reject"}}}}`, code: invalid, says: "spec"},
		{name: "An administrator takes the seats of the last resort", as: "an administrator", method: http.MethodPatch, path: levels + "/catch-all", body: `{"spec":{"limited":{"nominalConcurrencyShares":0}}}`, code: invalid, says: "mandatory"},
		{name: "An administrator creates more queues than memory has", as: "an administrator", method: http.MethodPatch, path: levels + "/workload-low", body: `{"spec":{"limited":{"limitResponse":{"queuing":{"queues":2000000000,"handSize":1}}}}}`, code: invalid, says: "queues"},
	}
	for _, who := range []string{"a user", "a viewer", "an editor", "a host"} {
		rows = append(rows,
			attack{name: who + " exempts all users", as: who, method: http.MethodPost, path: schemas, body: exemptAll("attack", 2), code: forbidden},
			attack{name: who + " creates a FlowSchema by apply", as: who, method: http.MethodPatch, path: schemas + "/attack?fieldManager=x", contentType: "application/apply-patch+yaml", body: exemptAll("attack", 2), code: forbidden},
			attack{name: who + " changes a priority level", as: who, method: http.MethodPatch, path: levels + "/workload-low", body: one, code: forbidden},
			attack{name: who + " changes the status of a FlowSchema", as: who, method: http.MethodPatch, path: schemas + "/probes/status", body: `{"status":{"conditions":[]}}`, code: forbidden},
			attack{name: who + " deletes a FlowSchema", as: who, method: http.MethodDelete, path: schemas + "/global-default", code: forbidden},
			attack{name: who + " deletes all priority levels", as: who, method: http.MethodDelete, path: levels, code: forbidden},
			// The same people, which have their roles in all namespaces, create no other objects of the whole server.
			attack{name: who + " has every secret stored again", as: who, method: http.MethodPost, path: "/apis/storagemigration.k8s.io/v1/storageversionmigrations", body: `{"apiVersion":"storagemigration.k8s.io/v1","kind":"StorageVersionMigration","metadata":{"name":"attack"},"spec":{"resource":{"resource":"secrets"}}}`, code: forbidden},
			attack{name: who + " reads who has which priority", as: who, path: schemas, code: forbidden},
			attack{name: who + " dumps the requests that wait", as: who, path: "/debug/api_priority_and_fairness/dump_requests", code: forbidden},
		)
	}
	return rows
}

// awaitConditions waits until flow control has written the condition of every FlowSchema.
func awaitConditions(ctx context.Context, t *testing.T, admin client) {
	t.Helper()
	for {
		list := string(admin.must(t, http.MethodGet, schemas, "", ""))
		if count := strings.Count(list, `"type":"Dangling"`); count > 0 && count == strings.Count(list, `"matchingPrecedence":`) {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("a FlowSchema has no condition: %s", list)
		}
	}
}

// starve assigns the requests of all users to a level without seats, which runs one at a time, and deletes
// everything that is mandatory. Administrators and health checks are served, and can undo it.
func starve(t *testing.T, env Env, admin client) {
	t.Helper()
	t.Run("A level without seats takes all requests, and administrators undo it", func(t *testing.T) {
		user, victim := newClient(t, env.As("attack-victim")), "system:authenticated"
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		admin.must(t, http.MethodPost, levels, "", `{"apiVersion":"flowcontrol.apiserver.k8s.io/v1","kind":"PriorityLevelConfiguration","metadata":{"name":"attack-jail"},"spec":{"type":"Limited","limited":{"nominalConcurrencyShares":0,"borrowingLimitPercent":0,"limitResponse":{"type":"Reject"}}}}`)
		admin.must(t, http.MethodPost, schemas, "", fmt.Sprintf(`{"apiVersion":"flowcontrol.apiserver.k8s.io/v1","kind":"FlowSchema","metadata":{"name":"attack-jail"},"spec":{"priorityLevelConfiguration":{"name":"attack-jail"},"matchingPrecedence":3,`+everything+`}}`, victim))
		awaitRejection(ctx, t, user)
		for _, name := range []string{"exempt", "catch-all"} {
			admin.must(t, http.MethodDelete, schemas+"/"+name, "", "")
			admin.must(t, http.MethodDelete, levels+"/"+name, "", "")
		}
		for _, path := range []string{"/readyz", schemas, hosts} {
			if code, body := admin.send(t, attack{path: path}); code != http.StatusOK {
				t.Errorf("an administrator gets %d at %s: %.300s", code, path, body)
			}
		}
		admin.must(t, http.MethodDelete, schemas+"/attack-jail", "", "")
		admin.must(t, http.MethodDelete, levels+"/attack-jail", "", "")
		user.awaitCode(ctx, t, attack{path: "/version"}, http.StatusOK)
		for _, name := range []string{"exempt", "catch-all"} {
			admin.awaitCode(ctx, t, attack{path: schemas + "/" + name}, http.StatusOK)
			admin.awaitCode(ctx, t, attack{path: levels + "/" + name}, http.StatusOK)
		}
	})
}

// awaitRejection sends requests of a user, some of them at the same time, until one gets 429.
func awaitRejection(ctx context.Context, t *testing.T, user client) {
	t.Helper()
	var rejected atomic.Bool
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for ctx.Err() == nil && !rejected.Load() {
				if code, _, _ := user.try(ctx, attack{path: "/version"}); code == http.StatusTooManyRequests {
					rejected.Store(true)
				}
			}
		})
	}
	senders.Wait()
	if !rejected.Load() {
		t.Error("no request is rejected")
	}
}
