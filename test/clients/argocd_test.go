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

package clients

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// argoHealth runs the script of the ConfigMap for the kind, in an interpreter with the
// libraries that Argo CD opens: base, table, package, and the clock of os.
func argoHealth(t *testing.T, kind string, object map[string]any) (status, message string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(artifacts, "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var settings corev1.ConfigMap
	if err := yaml.UnmarshalStrict(content, &settings); err != nil {
		t.Fatal(err)
	}
	key := "resource.customizations.health.fleet.gatehouse.dev_" + kind
	script, ok := settings.Data[key]
	if !ok {
		t.Fatalf("the ConfigMap has no key %q", key)
	}
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.LoadLibName: lua.OpenPackage, lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", luaValue(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("%s returns a %s, not a table", key, state.Get(-1).Type())
	}
	status, message = result.RawGetString("status").String(), result.RawGetString("message").String()
	if !strings.Contains(" Healthy Progressing Degraded Suspended Missing Unknown ", " "+status+" ") {
		t.Errorf("%s: %q is no health that Argo CD knows", key, status)
	}
	if message == "nil" || message == "" {
		t.Errorf("%s: %s without a message", key, status)
	}
	return status, message
}

func luaValue(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, child := range value {
			table.RawSetString(key, luaValue(state, child))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, child := range value {
			table.Append(luaValue(state, child))
		}
		return table
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	default:
		return lua.LString(fmt.Sprint(value))
	}
}

func TestArgoCDSeesTheHealthOfEveryKind(t *testing.T) {
	const (
		ready       = `{type: Ready, status: "True", reason: Available, message: 2 of 2 instances are available}`
		notReady    = `{type: Ready, status: "False", reason: Progressing, message: 1 of 2 instances are available}`
		reconciling = `{type: Reconciling, status: "True", reason: Progressing, message: a new release takes over}`
		stalled     = `{type: Stalled, status: "True", reason: ProgressDeadlineExceeded, message: "ImagePullBackOff: web:bad"}`
		notStalled  = `{type: Stalled, status: "False", reason: Progressing, message: ""}`
	)
	seen := func(generation, observed int, spec string, conditions ...string) string {
		return fmt.Sprintf("metadata: {name: x, generation: %d}\nspec: %s\nstatus: {observedGeneration: %d, conditions: [%s]}",
			generation, spec, observed, strings.Join(conditions, ", "))
	}
	workload := map[string]struct{ object, status, message string }{
		"just created, without a status": {"metadata: {name: x, generation: 1}\nspec: {replicas: 2}", "Progressing", "has not seen"},
		"an empty status":                {"metadata: {name: x, generation: 1}\nspec: {replicas: 2}\nstatus: {}", "Progressing", "has not seen"},
		"healthy":                        {seen(1, 1, "{replicas: 2}", ready, notStalled), "Healthy", "2 of 2"},
		"healthy, but the spec has been changed since": {seen(2, 1, "{replicas: 2}", ready), "Progressing", "has not seen"},
		"stalled, but the spec has been changed since": {seen(2, 1, "{replicas: 2}", stalled), "Progressing", "has not seen"},
		"progressing":                   {seen(2, 2, "{replicas: 2}", notReady, reconciling, notStalled), "Progressing", "takes over"},
		"neither ready nor reconciling": {seen(2, 2, "{replicas: 2}", notReady), "Progressing", "1 of 2"},
		"no conditions":                 {seen(2, 2, "{replicas: 2}"), "Progressing", "available"},
		"stalled":                       {seen(2, 2, "{replicas: 2}", notReady, stalled), "Degraded", "ImagePullBackOff"},
		"stalled while the old instances are available": {seen(2, 2, "{replicas: 2}", ready, stalled), "Degraded", "ImagePullBackOff"},
		"scaled to zero":     {seen(3, 3, "{replicas: 0}", ready), "Healthy", "scaled to zero"},
		"on its way to zero": {seen(3, 3, "{replicas: 0}", notReady, reconciling), "Progressing", "takes over"},
		"being deleted": {"metadata: {name: x, generation: 2, deletionTimestamp: 2026-01-01T00:00:00Z}\nspec: {}\nstatus: {observedGeneration: 2, conditions: [" +
			ready + "]}", "Progressing", "being deleted"},
	}
	for _, kind := range []string{"App", "Release"} {
		for name, c := range workload {
			t.Run(kind+" "+name, func(t *testing.T) { argoSays(t, kind, c.object, c.status, c.message) })
		}
	}

	pending := func(waiting string) string {
		return "metadata: {name: x, generation: 1}\nspec: {}\nstatus: {phase: Pending, conditions: [{type: Ready, status: \"False\"}, {type: Scheduled, status: \"True\"}]," +
			" containerStatuses: [{name: server, state: {waiting: " + waiting + "}}]}"
	}
	for name, c := range map[string]struct{ kind, object, status, message string }{
		"paused": {"App", seen(2, 2, "{replicas: 2, paused: true}", ready), "Suspended", "paused"},

		"new":                       {"Instance", "metadata: {name: x, generation: 1}\nspec: {}", "Progressing", "not ready"},
		"that no host has room for": {"Instance", "metadata: {name: x, generation: 1}\nspec: {}\nstatus: {phase: Pending, conditions: [{type: Scheduled, status: \"False\", message: 0/3 hosts}]}", "Progressing", "0/3 hosts"},
		"that starts":               {"Instance", pending("{reason: ContainerCreating}"), "Progressing", "not ready"},
		"with a broken image":       {"Instance", pending("{reason: ImagePullBackOff, message: no such image}"), "Degraded", "server: no such image"},
		"that crashes":              {"Instance", pending("{reason: CrashLoopBackOff}"), "Degraded", "server: CrashLoopBackOff"},
		"that runs":                 {"Instance", "metadata: {name: x, generation: 1}\nspec: {}\nstatus: {phase: Running, conditions: [" + ready + "]}", "Healthy", "2 of 2"},
		"that has ended well":       {"Instance", "metadata: {name: x}\nspec: {}\nstatus: {phase: Succeeded, conditions: [" + notReady + "]}", "Healthy", "without error"},
		"that has failed":           {"Instance", "metadata: {name: x}\nspec: {}\nstatus: {phase: Failed, reason: Evicted, message: \"\"}", "Degraded", "Evicted"},
		"that is stalled":           {"Instance", seen(1, 1, "{}", stalled), "Degraded", "ImagePullBackOff"},
		"on a host that is lost":    {"Instance", "metadata: {name: x}\nspec: {}\nstatus: {phase: Unknown}", "Unknown", "not been heard of"},
		"that is being deleted":     {"Instance", "metadata: {name: x, deletionTimestamp: 2026-01-01T00:00:00Z}\nspec: {}\nstatus: {phase: Running}", "Progressing", "being deleted"},

		"that has not reported":           {"Host", "metadata: {name: x}\nspec: {}", "Progressing", "not reported"},
		"that the server has just made":   {"Host", "metadata: {name: x}\nstatus: {conditions: [{type: Ready, status: Unknown, reason: NotReported, message: wait}]}", "Progressing", "not reported"},
		"that is ready":                   {"Host", "metadata: {name: x}\nstatus: {conditions: [{type: Ready, status: \"True\", reason: AgentReady, message: \"\"}]}", "Healthy", "AgentReady"},
		"that is not heard of":            {"Host", "metadata: {name: x}\nstatus: {conditions: [{type: Ready, status: Unknown, reason: LeaseExpired, message: not heard of}]}", "Degraded", "not heard of"},
		"that cannot run instances":       {"Host", "metadata: {name: x}\nstatus: {conditions: [{type: Ready, status: \"False\", reason: DiskFull, message: full}]}", "Degraded", "full"},
		"that takes no new instances":     {"Host", "metadata: {name: x}\nspec: {unschedulable: true}\nstatus: {conditions: [{type: Ready, status: \"True\", reason: AgentReady}]}", "Suspended", "no new instances"},
		"that is lost and takes none":     {"Host", "metadata: {name: x}\nspec: {unschedulable: true}\nstatus: {conditions: [{type: Ready, status: Unknown, reason: LeaseExpired}]}", "Degraded", "LeaseExpired"},
		"that is being deleted and ready": {"Host", "metadata: {name: x, deletionTimestamp: 2026-01-01T00:00:00Z}\nstatus: {conditions: [" + ready + "]}", "Progressing", "being deleted"},
	} {
		t.Run(c.kind+" "+name, func(t *testing.T) { argoSays(t, c.kind, c.object, c.status, c.message) })
	}
}

// argoSays checks the health of an object in YAML, decoded as Argo CD does: integers are int64.
func argoSays(t *testing.T, kind, object, status, message string) {
	t.Helper()
	var content map[string]any
	if err := yaml.Unmarshal([]byte(object), &content); err != nil {
		t.Fatal(err)
	}
	gotStatus, gotMessage := argoHealth(t, kind, content)
	if gotStatus != status || !strings.Contains(gotMessage, message) {
		t.Errorf("%s (%s), want %s (%s)", gotStatus, gotMessage, status, message)
	}
}
