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

package requests

import (
	"net/http"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// A selector, and a template that it matches.
const (
	goodSelector = `"selector":{"matchLabels":{"app":"web"}}`
	goodTemplate = `"template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"web","image":"web:1"}]}}`
)

// anApp returns the body of a valid app with additional spec fields.
func anApp(name, spec string) string {
	return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"App","metadata":{"name":"` + name + `"},"spec":{` + goodSelector + `,` + goodTemplate + `,` + spec + `}}`
}

// aRelease returns the body of a valid release with additional spec fields.
func aRelease(name, spec string) string {
	return strings.Replace(anApp(name, spec), `"App"`, `"Release"`, 1)
}

// templateOf returns a body with additional fields inside the template's spec.
func templateOf(body, spec string) string {
	return strings.Replace(body, `"image":"web:1"}]`, `"image":"web:1"}],`+spec, 1)
}

func changed(name, path, patch, message string, fields ...string) harness.WrongRequest {
	row := invalidObject(name, path, patch, message, fields...)
	row.Method, row.ContentType = http.MethodPatch, harness.MergePatch
	return row
}

func wrongApps() []harness.WrongRequest {
	good := anApp("wrong", `"replicas":1`)
	create := func(name, body, message string, fields ...string) harness.WrongRequest {
		return invalidObject(name, harness.AppsPath, body, message, fields...)
	}
	rolling := func(unavailable, surge string) string {
		return anApp("wrong", `"strategy":{"rollingUpdate":{"maxUnavailable":`+unavailable+`,"maxSurge":`+surge+`}}`)
	}
	const update = "spec.strategy.rollingUpdate"
	return []harness.WrongRequest{
		create("An app without a selector is refused", strings.Replace(good, goodSelector+",", "", 1), "name the labels of the template", "spec.selector"),
		create("An app with an empty selector is refused", strings.Replace(good, goodSelector, `"selector":{}`, 1), "it would choose every instance of the namespace", "spec.selector"),
		create("An app whose selector does not find its template is refused", strings.Replace(good, goodSelector, `"selector":{"matchLabels":{"app":"other"}}`, 1), "must match the labels of the template, which are app=web", "spec.selector"),
		create("An app with a negative number of replicas is refused", anApp("wrong", `"replicas":-1`), "must be greater than or equal to 0", "spec.replicas"),
		create("An app with a negative number of old releases is refused", anApp("wrong", `"revisionHistoryLimit":-1`), "must be greater than or equal to 0", "spec.revisionHistoryLimit"),
		create("An app that is no sooner ready than its deadline is refused", anApp("wrong", `"minReadySeconds":600`), "must be greater than minReadySeconds", "spec.progressDeadlineSeconds"),
		create("An app without a container is refused", strings.Replace(good, `[{"name":"web","image":"web:1"}]`, "[]", 1), "Required value", "spec.template.spec.containers"),
		create("An app whose template names a host is refused", templateOf(good, `"hostName":"edge-1"`), "use hostSelector to narrow the choice", "spec.template.spec.hostName"),
		create("An app whose instances would not be started again is refused", templateOf(good, `"restartPolicy":"Never"`), `supported values: "Always"`, "spec.template.spec.restartPolicy"),
		create("An app whose instances have a deadline is refused", templateOf(good, `"activeDeadlineSeconds":5`), "a deadline would restart them forever", "spec.template.spec.activeDeadlineSeconds"),
		create("A strategy that nobody knows is refused", anApp("wrong", `"strategy":{"type":"BlueGreen"}`), `supported values: "Recreate", "RollingUpdate"`, "spec.strategy.type"),
		create("A strategy Recreate with shares is refused", anApp("wrong", `"strategy":{"type":"Recreate","rollingUpdate":{"maxSurge":1}}`), "remove it", update),
		create("A rollout that could replace nothing is refused", rolling("0", `"0%"`), "no instance could ever be replaced", update+".maxUnavailable"),
		create("A share of more than all is refused", rolling(`"101%"`, "1"), "must not be greater than 100%", update+".maxUnavailable"),
		create("A share that is no number is refused", rolling("1", `"many"`), "a valid percent string must be", update+".maxSurge"),
		create("A negative share is refused", rolling("1", "-1"), "must be greater than or equal to 0", update+".maxSurge"),
		changed("The selector of an app cannot change", harness.AppsPath+"/seed", `{"spec":{"selector":{"matchLabels":{"app":null,"tier":"web"}},"template":{"metadata":{"labels":{"tier":"web"}}}}}`, "field is immutable", "spec.selector"),
		changed("An app cannot lose its template's labels", harness.AppsPath+"/seed", `{"spec":{"template":{"metadata":{"labels":null}}}}`, "must match the labels of the template", "spec.selector"),
	}
}

func wrongAppStatuses() []harness.WrongRequest {
	const path = harness.AppsPath + "/seed/status"
	return []harness.WrongRequest{
		changed("A negative count of instances is refused", path, `{"status":{"updatedReplicas":-1}}`, "must be greater than or equal to 0", "status.updatedReplicas"),
		changed("More ready instances than there are, are refused", path, `{"status":{"replicas":1,"readyReplicas":2}}`, "cannot be greater than status.replicas", "status.readyReplicas"),
		changed("More available instances than are ready, are refused", path, `{"status":{"replicas":2,"readyReplicas":1,"availableReplicas":2}}`, "cannot be greater than status.readyReplicas", "status.availableReplicas"),
	}
}

func wrongReleases() []harness.WrongRequest {
	good := aRelease("wrong", `"replicas":1`)
	const path = harness.ReleasesPath + "/seed"
	return []harness.WrongRequest{
		invalidObject("A release with a negative number of replicas is refused", harness.ReleasesPath, aRelease("wrong", `"replicas":-1`), "must be greater than or equal to 0", "spec.replicas"),
		invalidObject("A release without a selector is refused", harness.ReleasesPath, strings.Replace(good, goodSelector+",", "", 1), "name the labels of the template", "spec.selector"),
		invalidObject("A release whose template names a host is refused", harness.ReleasesPath, templateOf(good, `"hostName":"edge-1"`), "the scheduler chooses its host", "spec.template.spec.hostName"),
		changed("The template of a release cannot change", path, `{"spec":{"template":{"metadata":{"annotations":{"a":"b"}}}}}`, "change the template of the app, which makes a new release", "spec.template"),
		changed("A release with more available instances than it has is refused", path+"/status", `{"status":{"replicas":1,"readyReplicas":1,"availableReplicas":2}}`, "cannot be greater than status.", "status.availableReplicas", "status.availableReplicas"),
	}
}

func wrongScales() []harness.WrongRequest {
	return []harness.WrongRequest{
		changed("An app is not scaled below 0", harness.AppsPath+"/seed/scale", `{"spec":{"replicas":-1}}`, "must be greater than or equal to 0", "spec.replicas"),
		changed("A release is not scaled below 0", harness.ReleasesPath+"/seed/scale", `{"spec":{"replicas":-1}}`, "must be greater than or equal to 0", "spec.replicas"),
		{Name: "A scale of what does not exist is not found", Method: http.MethodPatch, Path: harness.AppsPath + "/wrong/scale", Body: `{"spec":{"replicas":1}}`,
			Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `"wrong" not found`},
		{Name: "A scale from a stale resourceVersion is a conflict", Method: http.MethodPatch, Path: harness.AppsPath + "/seed/scale", Body: `{"metadata":{"resourceVersion":"1"},"spec":{"replicas":3}}`,
			Code: http.StatusConflict, Reason: metav1.StatusReasonConflict, Message: "the object has been modified"},
	}
}

func wrongRollbacks() []harness.WrongRequest {
	const path = harness.AppsPath + "/seed/rollback"
	body := func(rest string) string {
		return `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"AppRollback",` + rest + `}`
	}
	return []harness.WrongRequest{
		invalidObject("A rollback to a negative revision is refused", path, body(`"toRevision":-1`), "0 is the revision before the newest", "toRevision"),
		{Name: "A rollback of an app that has no revisions is not found", Path: path, Body: body(`"toRevision":3`), Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `app "seed" has no revision 3: it has no revisions yet`},
		{Name: "A rollback of an app that does not exist is not found", Path: harness.AppsPath + "/wrong/rollback", Body: body(`"toRevision":1`), Code: http.StatusNotFound, Reason: metav1.StatusReasonNotFound, Message: `apps.fleet.gatehouse.dev "wrong" not found`},
		{Name: "A rollback that names another app than the URL is refused", Path: path, Body: body(`"metadata":{"name":"other"}`), Code: http.StatusBadRequest, Reason: metav1.StatusReasonBadRequest, Message: `but the URL names the app "seed"`},
		{Name: "A get of a rollback is not allowed", Method: http.MethodGet, Path: path, Code: http.StatusMethodNotAllowed, Reason: metav1.StatusReasonMethodNotAllowed, Message: "the server does not allow this method on the requested resource"},
	}
}
