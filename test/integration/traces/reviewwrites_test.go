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
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const fleetVersion = "/apis/fleet.gatehouse.dev/v1alpha1"

// specialWrites are the writes that do more than to store one object, each of which succeeds.
func specialWrites() map[string]v1alpha1.RequestReviewSpec {
	const fleet, core = "fleet.gatehouse.dev", ""
	specs := map[string]v1alpha1.RequestReviewSpec{}
	add := func(name, verb, group, version, resource, object, subresource, body string) {
		spec := v1alpha1.RequestReviewSpec{User: administrator, Verb: verb, FieldValidation: "Warn"}
		spec.Resource = v1alpha1.ReviewedResource{Group: group, Version: version, Resource: resource, Subresource: subresource, Namespace: "default", Name: object}
		switch resource {
		case "namespaces", "hosts", "certificatesigningrequests", "tokenreviews", "subjectaccessreviews", "storageversionmigrations":
			spec.Resource.Namespace = ""
		}
		switch {
		case verb == "patch":
			spec.Patch, spec.PatchType = body, v1alpha1.ReviewPatchMerge
		case body != "":
			spec.Object = &runtime.RawExtension{Raw: []byte(body)}
		}
		specs[name] = spec
	}
	add("the binding of an instance", "create", fleet, "v1alpha1", "instances", "web", "binding", `{"metadata":{"name":"web"},"target":{"kind":"Host","name":"edge"}}`)
	add("the scale of an app", "patch", fleet, "v1alpha1", "apps", "shop", "scale", `{"spec":{"replicas":3}}`)
	add("the status of an instance", "patch", fleet, "v1alpha1", "instances", "web", "status", `{"status":{"message":"x"}}`)
	add("the removal of the last finalizer of what is being deleted", "patch", core, "v1", "configmaps", "leaving", "", `{"metadata":{"finalizers":null}}`)
	add("the delete of a namespace", "delete", core, "v1", "namespaces", "old", "", "")
	add("the finalize of a namespace", "update", core, "v1", "namespaces", "old", "finalize", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"old"},"spec":{}}`)
	add("the delete of an instance", "delete", fleet, "v1alpha1", "instances", "web", "", "")
	add("the delete of all config maps", "deletecollection", core, "v1", "configmaps", "", "", "")
	add("a token of a service account", "create", core, "v1", "serviceaccounts", "robot", "token", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{}}`)
	add("a review of a token", "create", "authentication.k8s.io", "v1", "tokenreviews", "", "", `{"apiVersion":"authentication.k8s.io/v1","kind":"TokenReview","spec":{"token":"x"}}`)
	add("a review of access", "create", "authorization.k8s.io", "v1", "subjectaccessreviews", "", "", `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","spec":{"user":"x","nonResourceAttributes":{"path":"/","verb":"get"}}}`)
	add("an event", "create", core, "v1", "events", "", "", `{"apiVersion":"v1","kind":"Event","metadata":{"name":"e"},"involvedObject":{"namespace":"default"}}`)
	add("an apply that creates", "patch", fleet, "v1alpha1", "hosts", "new", "", `{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Host","metadata":{"name":"new"}}`)
	add("a migration", "create", "storagemigration.k8s.io", "v1", "storageversionmigrations", "", "", `{"apiVersion":"storagemigration.k8s.io/v1","kind":"StorageVersionMigration","metadata":{"name":"m"},"spec":{"resource":{"group":"","resource":"configmaps"}}}`)
	apply := specs["an apply that creates"]
	apply.PatchType, apply.FieldManager = v1alpha1.ReviewPatchApply, "m"
	specs["an apply that creates"] = apply
	return specs
}

func TestNoReviewOfASpecialWriteChangesTheStore(t *testing.T) {
	server := servertesting.Start(t)
	admin := harness.NewRawClient(t, server.Config)
	template := `{"metadata":{"labels":{"app":"shop"}},"spec":{"containers":[{"name":"main","image":"registry.example/app:1"}]}}`
	for _, object := range [][2]string{
		{fleetVersion + "/hosts", `{"metadata":{"name":"edge"}}`},
		{instancesPath, `{"metadata":{"name":"web"},"spec":{"containers":[{"name":"main","image":"registry.example/app:1"}]}}`},
		{fleetVersion + "/namespaces/default/apps", `{"metadata":{"name":"shop"},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"shop"}},"template":` + template + `}}`},
		{"/api/v1/namespaces", `{"metadata":{"name":"old"}}`},
		{"/api/v1/namespaces/default/serviceaccounts", `{"metadata":{"name":"robot"}}`},
		{mapsPath, `{"metadata":{"name":"leaving","finalizers":["example.com/x"]}}`},
	} {
		must(t, admin, object[0], object[1])
	}
	if answer := admin.Do(t, http.MethodDelete, mapsPath+"/leaving", "", "", ""); answer.Code != http.StatusOK {
		t.Fatal(string(answer.Body))
	}
	etcd := harness.EtcdClient(t, server.DataDir)
	defer func() { _ = etcd.Close() }()
	// Controllers of the server write sometimes; a review that writes would do so each time.
	harness.ComesTrue(t, func(context) string {
		before := contentOf(t, etcd)
		for name, spec := range specialWrites() {
			out, answer := review(t, admin, spec)
			if s := out.Status; answer.Code != http.StatusCreated || s.Verdict != v1alpha1.VerdictAllowed {
				t.Fatalf("%s: %d, the review is %s %d %s by %v", name, answer.Code, s.Verdict, s.Code, s.Reason, s.DecidedBy)
			}
		}
		if after := contentOf(t, etcd); after != before {
			return fmt.Sprintf("etcd had\n%s\nand has\n%s", before, after)
		}
		return ""
	})
}
