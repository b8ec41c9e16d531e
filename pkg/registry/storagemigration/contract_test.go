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

package storagemigration_test

import (
	"context"
	"slices"
	"testing"
	"time"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	storagemigrationregistry "github.com/gatehouse-dev/gatehouse/pkg/registry/storagemigration"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

type migration = storagemigrationv1.StorageVersionMigration

func condition(kind storagemigrationv1.MigrationConditionType, status metav1.ConditionStatus) metav1.Condition {
	return metav1.Condition{Type: string(kind), Status: status, Reason: "Tested", LastTransitionTime: metav1.NewTime(time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC))}
}

func newMigration() *migration {
	return &migration{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		Spec:       storagemigrationv1.StorageVersionMigrationSpec{Resource: metav1.GroupResource{Group: "apps", Resource: "deployments"}},
		Status: storagemigrationv1.StorageVersionMigrationStatus{
			Conditions: []metav1.Condition{condition(storagemigrationv1.MigrationRunning, metav1.ConditionTrue)}, ResourceVersion: "7",
		},
	}
}

func TestEveryResourceKeepsTheContract(t *testing.T) {
	scheme, codecs := apiserver.NewBuiltinScheme()
	registrytest.Contract(t, registrytest.Group{
		Name:       storagemigration.GroupName,
		Scheme:     scheme,
		Codecs:     codecs,
		NewStorage: registrytest.NewStorage(storagemigrationregistry.StorageProvider{}, storagemigration.GroupName),
		Builtin:    true,
		Resources: []registrytest.Resource{{
			Name:         "storageversionmigrations",
			Singular:     "storageversionmigration",
			Kind:         "StorageVersionMigration",
			Verbs:        registrytest.StandardVerbs,
			Columns:      []string{"NAME", "RESOURCE", "STATUS"},
			Key:          "/registry/storageversionmigrations/all",
			NoGeneration: true,
			Sample:       func() runtime.Object { return newMigration() },
			Subresources: []registrytest.Subresource{{Name: "status", Kind: "StorageVersionMigration", Verbs: []string{"get", "patch", "update"}}},
		}},
	})
}

func newEndpoints(t *testing.T) map[string]rest.Storage {
	t.Helper()
	scheme, codecs := apiserver.NewBuiltinScheme()
	built, err := registrytest.NewStorage(storagemigrationregistry.StorageProvider{}, storagemigration.GroupName)(scheme, registrytest.StartEtcd(t).StorageOptions(scheme, codecs))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, storage := range built["v1"] {
			storage.Destroy()
		}
	})
	return built["v1"]
}

func write(ctx context.Context, storage rest.Storage, object *migration) (*migration, error) {
	written, _, err := storage.(rest.Updater).Update(ctx, object.Name, rest.DefaultUpdatedObjectInfo(object), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return written.(*migration), nil
}

func TestWritesAreValidated(t *testing.T) {
	const main, status = "storageversionmigrations", "storageversionmigrations/status"
	storages := newEndpoints(t)
	ctx := request.WithNamespace(request.NewContext(), metav1.NamespaceNone)
	creater := storages[main].(rest.Creater)
	invalid := newMigration()
	invalid.Name, invalid.Spec.Resource.Resource = "invalid", ""
	if _, err := creater.Create(ctx, invalid, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !slices.Equal(registrytest.RefusedFields(err), []string{"spec.resource.resource"}) {
		t.Errorf("a migration of no resource: %v", err)
	}
	created, err := creater.Create(ctx, newMigration(), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stored := created.(*migration)
	for _, tc := range []struct {
		name, path string
		change     func(*migration)
		fields     []string
	}{
		{"the resource is changed", main, func(m *migration) { m.Spec.Resource.Group = "" }, []string{"spec"}},
		{"a label is added", main, func(m *migration) { m.Labels = map[string]string{"a": "b"} }, nil},
		{"the version is set", status, func(m *migration) { m.Status.ResourceVersion = "7" }, nil},
		{"the version is changed", status, func(m *migration) { m.Status.ResourceVersion = "8" }, []string{"status.resourceVersion"}},
		{"it ends", status, func(m *migration) {
			m.Status.Conditions = []metav1.Condition{condition(storagemigrationv1.MigrationSucceeded, metav1.ConditionTrue)}
		}, nil},
		{"its end is taken back", status, func(m *migration) { m.Status.Conditions = nil }, []string{"status.conditions"}},
	} {
		changed := stored.DeepCopy()
		tc.change(changed)
		written, err := write(ctx, storages[tc.path], changed)
		if got := registrytest.RefusedFields(err); !slices.Equal(got, tc.fields) {
			t.Fatalf("%s: the error names %q, want %q: %v", tc.name, got, tc.fields, err)
		}
		if err == nil {
			stored = written
		}
	}
}

func TestTheTableHasTheLastConditionThatIsTrue(t *testing.T) {
	convertor := newEndpoints(t)["storageversionmigrations"].(rest.TableConvertor)
	const running, succeeded, failed = storagemigrationv1.MigrationRunning, storagemigrationv1.MigrationSucceeded, storagemigrationv1.MigrationFailed
	for _, tc := range []struct {
		conditions []metav1.Condition
		want       string
	}{
		{nil, "Unknown"},
		{[]metav1.Condition{condition("Other", metav1.ConditionTrue)}, "Unknown"},
		{[]metav1.Condition{condition(running, metav1.ConditionTrue)}, "Running"},
		{[]metav1.Condition{condition(running, metav1.ConditionTrue), condition(failed, metav1.ConditionTrue)}, "Failed"},
		{[]metav1.Condition{condition(running, metav1.ConditionFalse), condition(succeeded, metav1.ConditionTrue)}, "Succeeded"},
		{[]metav1.Condition{condition(failed, metav1.ConditionTrue), condition(running, metav1.ConditionFalse)}, "Failed"},
	} {
		object := newMigration()
		object.Status.Conditions = tc.conditions
		table, err := convertor.ConvertToTable(t.Context(), object, &metav1.TableOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if cells := table.Rows[0].Cells; !slices.Equal(cells, []any{"all", "deployments.apps", tc.want}) {
			t.Errorf("%v: the row is %v", tc.conditions, cells)
		}
	}
}
