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

package controllers

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

func TestAnAppIsRolledBack(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.NewFleetClient(t, server.Config)
	raw := harness.NewRawClient(t, server.Config)
	app := harness.SeedRevisions(t, client)
	get := func() *v1alpha1.App {
		t.Helper()
		got, err := client.FleetV1alpha1().Apps("default").Get(t.Context(), "web", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	post := func(query, revision string, code int, message string) {
		t.Helper()
		answer := raw.Do(t, http.MethodPost, harness.AppsPath+"/web/rollback"+query, harness.JSONBody, "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"AppRollback","toRevision":`+revision+`}`)
		if answer.Code != code || !strings.Contains(string(answer.Body), message) {
			t.Fatalf("a rollback to %s: %d %s", revision, answer.Code, answer.Body)
		}
	}
	unchanged := func(what string, before *v1alpha1.App) {
		t.Helper()
		if after := get(); after.ResourceVersion != before.ResourceVersion {
			t.Errorf("%s changed the app to %v", what, after.Spec)
		}
	}

	post("?dryRun=All", "1", http.StatusCreated, "Success")
	unchanged("a dry run", app)
	post("", "7", http.StatusNotFound, `has no revision 7: its revisions are 1, 2, 3`)
	unchanged("a rollback to nowhere", app)
	post("", "3", http.StatusCreated, "Success")
	unchanged("a rollback to where it is", app)

	post("?fieldManager=undo", "1", http.StatusCreated, "Success")
	after := get()
	if image := after.Spec.Template.Spec.Containers[0].Image; image != "web:1" || after.Generation != app.Generation+1 {
		t.Errorf("the app runs %s in generation %d", image, after.Generation)
	}
	if _, hash := after.Spec.Template.Labels[v1alpha1.TemplateHashLabel]; hash {
		t.Error("the template has the hash that belongs to the release")
	}
	if !owns(after, "undo") {
		t.Errorf("the caller does not manage the image: %v", after.ManagedFields)
	}

	// Revision 0 is the one before the newest, here for a generated client that sets no manager.
	status, err := client.FleetV1alpha1().Apps("default").Rollback(t.Context(), "web", &v1alpha1.AppRollback{}, metav1.CreateOptions{})
	if err != nil || status.Status != metav1.StatusSuccess {
		t.Fatalf("%v %v", status, err)
	}
	after = get()
	if image := after.Spec.Template.Spec.Containers[0].Image; image != "web:2" {
		t.Errorf("the app runs %s", image)
	}
	if owns(after, "undo") || !owns(after, filepath.Base(os.Args[0])) {
		t.Errorf("the program does not manage the image: %v", after.ManagedFields)
	}
}

// owns reports whether a manager owns the image of the app's template, by updates.
func owns(app *v1alpha1.App, manager string) bool {
	return slices.ContainsFunc(app.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
		return entry.Manager == manager && entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Subresource == "" &&
			strings.Contains(string(entry.FieldsV1.GetRawBytes()), `"f:image"`)
	})
}
