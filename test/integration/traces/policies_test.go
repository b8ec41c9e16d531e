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
	"net/http"
	"slices"
	"strings"
	"testing"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// storePolicy creates a policy about new config maps, with bindings. elsewhere does not match.
func storePolicy(t *testing.T, admin harness.RawClient, kind, name, more string, bindings ...string) {
	t.Helper()
	must(t, admin, registrationPath+kind+"admissionpolicies", fmt.Sprintf(`{"metadata":{"name":%q},"spec":{"matchConstraints":{"resourceRules":[
		{"operations":["CREATE"],"apiGroups":[""],"apiVersions":["v1"],"resources":["configmaps"]}]},%s}}`, name, more))
	for _, binding := range bindings {
		spec := fmt.Sprintf(`"policyName":%q`, name)
		if kind == "validating" {
			spec += `,"validationActions":["Deny"]`
		}
		if binding == "elsewhere" {
			spec += `,"matchResources":{"namespaceSelector":{"matchLabels":{"a":"b"}}}`
		}
		if binding == "parameters" {
			spec += `,"paramRef":{"selector":{"matchLabels":{"parameter":"yes"}},"parameterNotFoundAction":"Allow"}`
		}
		must(t, admin, registrationPath+kind+"admissionpolicybindings", fmt.Sprintf(`{"metadata":{"name":"%s-%s"},"spec":{%s}}`, name, binding, spec))
	}
}

func TestPoliciesHaveTheConditionThatWasFalseAndWhatTheirBindingsChanged(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	const yes, no = `{"name":"yes","expression":"true"}`, `{"name":"never-so","expression":"object.metadata.name == 'never'"}`
	patch := func(key string) string {
		return `"reinvocationPolicy":"IfNeeded","mutations":[{"patchType":"JSONPatch","jsonPatch":{"expression":"[JSONPatch{op: 'add', path: '/data/` + key + `', value: '` + secret + `'}]"}}]`
	}
	const config = `"mutations":[{"patchType":"ApplyConfiguration","applyConfiguration":{"expression":"Object{metadata: Object.metadata{annotations: {'by/policy': '` + secret + `'}}}"}}]`
	for _, parameter := range []string{"on", "off"} {
		must(t, admin, mapsPath, fmt.Sprintf(`{"metadata":{"name":"parameter-%s","labels":{"parameter":"yes"}},"data":{"state":%q}}`, parameter, parameter))
	}
	storePolicy(t, admin, "mutating", "adds", `"matchConditions":[`+yes+`],`+patch("one"), "here", "elsewhere")
	storePolicy(t, admin, "mutating", "annotates", `"reinvocationPolicy":"Never",`+config, "here")
	storePolicy(t, admin, "mutating", "skipped", `"matchConditions":[`+yes+`,`+no+`],`+patch("two"), "here")
	storePolicy(t, admin, "validating", "skips", `"matchConditions":[`+yes+`,`+no+`],"validations":[{"expression":"false"}]`, "here")
	storePolicy(t, admin, "validating", "ignores", `"failurePolicy":"Ignore","matchConditions":[{"name":"broken","expression":"object.data.none == 'x'"}],"validations":[{"expression":"false"}]`, "here")
	storePolicy(t, admin, "validating", "passes", `"matchConditions":[`+yes+`],"validations":[{"expression":"true"}]`, "here")
	storePolicy(t, admin, "validating", "some", `"paramKind":{"apiVersion":"v1","kind":"ConfigMap"},"matchConditions":[{"name":"is-on","expression":"params.data.state == 'on'"}],"validations":[{"expression":"true"}]`, "parameters")
	number := 0
	harness.ComesTrue(t, func(context) string {
		number++
		answer := admin.Do(t, http.MethodPost, mapsPath, harness.JSONBody, "", createMap(fmt.Sprint("map-", number), secret))
		if answer.Code != http.StatusCreated {
			t.Fatalf("%s", answer.Body)
		}
		trace := traceBy(t, admin, answer)
		for _, row := range []struct {
			by, reason string
			verdict    v1alpha1.StopVerdict
			paths      []string
		}{
			{"adds/adds-here", "", v1alpha1.StopPassed, []string{"/data/one"}},
			{"adds/adds-elsewhere", "namespaceSelector does not match the labels of the namespace", v1alpha1.StopNotCalled, nil},
			{"annotates/annotates-here", "", v1alpha1.StopPassed, []string{"/metadata/annotations"}},
			{"skipped/skipped-here", "matchConditions: never-so is false", v1alpha1.StopNotCalled, nil},
			{"skips/skips-here", "matchConditions: never-so is false", v1alpha1.StopNotCalled, nil},
			{"ignores/ignores-here", "matchConditions: an expression failed, and failurePolicy is Ignore", v1alpha1.StopNotCalled, nil},
			{"passes/passes-here", "", v1alpha1.StopPassed, nil},
			{"some/some-parameters", "matchConditions: is-on is false with other parameters", v1alpha1.StopPassed, nil},
		} {
			got := entry(trace, row.by)
			if got.Verdict != row.verdict || got.Reason != row.reason || got.Changed != (row.paths != nil) || !slices.Equal(got.ChangedPaths, row.paths) || len(got.Objects) == 0 {
				return fmt.Sprintf("%s: %+v", row.by, got)
			}
		}
		if !entry(trace, "MutatingAdmissionPolicy").Changed || !strings.Contains(string(answer.Body), `"one":"`) {
			t.Errorf("the object is %s", answer.Body)
		}
		return ""
	})
}
