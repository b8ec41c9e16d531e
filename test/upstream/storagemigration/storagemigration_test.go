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

package storagemigration

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	internal "k8s.io/kubernetes/pkg/apis/storagemigration"
	"k8s.io/kubernetes/pkg/apis/storagemigration/install"
	upstream "k8s.io/kubernetes/pkg/apis/storagemigration/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/storagemigration/validation"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// rounds is enough for every pair of a field and a word.
const rounds = 20000

type migration = storagemigrationv1.StorageVersionMigration

func one[T any](random *rand.Rand, of ...T) T { return of[random.IntN(len(of))] }

// newMigration returns a random migration of a few words.
func newMigration(random *rand.Rand) *migration {
	m := &migration{ObjectMeta: metav1.ObjectMeta{Name: one(random, "a", "a.b", "A", ""), ResourceVersion: "1", UID: "1"}}
	if random.IntN(8) == 0 {
		m.Finalizers = []string{one(random, "a", "orphan", "example.com/a")}
	}
	m.Spec.Resource = metav1.GroupResource{Group: one(random, "", "apps", "a.b", "A", "a/b"), Resource: one(random, "configmaps", "", "a/status", "A", "1a", "a.b")}
	m.Status.ResourceVersion = one(random, "", "", "7", "8", "07", "-1", "x")
	for range random.IntN(4) {
		m.Status.Conditions = append(m.Status.Conditions, metav1.Condition{
			Type: one(random, "Running", "Succeeded", "Succeeded", "Failed", "Failed", ""), Status: one(random, metav1.ConditionTrue, metav1.ConditionTrue, metav1.ConditionFalse, "Maybe"),
			Reason: one(random, "Tested", "Tested", ""), LastTransitionTime: one(random, metav1.NewTime(time.Unix(1, 0)), metav1.NewTime(time.Unix(1, 0)), metav1.Time{}),
		})
	}
	return m
}

// errorsOf returns the field and the type of each error, sorted and each once.
func errorsOf(list field.ErrorList) []string {
	var out []string
	for _, err := range list {
		out = append(out, err.Field+" "+string(err.Type))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestRandomMigrationsAreRefusedForTheSameFields(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	convert := func(m *migration) *internal.StorageVersionMigration {
		out := &internal.StorageVersionMigration{}
		if err := scheme.Convert(m, out, nil); err != nil {
			t.Fatal(err)
		}
		return out
	}
	random := rand.New(rand.NewPCG(kit.Seed(t), 0))
	valid := map[string]int{}
	for range rounds {
		m, old := newMigration(random), newMigration(random)
		if random.IntN(2) == 0 {
			old.Spec = m.Spec
		}
		// The library checks metadata in an update: see docs/decisions/0004-metadata-validation-on-update.md.
		old.ObjectMeta = m.ObjectMeta
		ours, theirs := convert(m), convert(old)
		for write, results := range map[string][2]field.ErrorList{
			"create": {validation.ValidateStorageVersionMigration(m), upstream.ValidateStorageVersionMigration(ours)},
			"update": {validation.ValidateStorageVersionMigrationUpdate(m, old), upstream.ValidateStorageVersionMigrationUpdate(ours, theirs)},
		} {
			compare(t, write, m, old, results, valid)
		}
		// The metadata of a status update is that of the stored object, which is valid.
		m.Name, old.Name, m.Finalizers, old.Finalizers = "a", "a", nil, nil
		ours, theirs = convert(m), convert(old)
		compare(t, "status", m, old, [2]field.ErrorList{validation.ValidateStorageVersionMigrationStatusUpdate(m, old), upstream.ValidateStorageVersionMigrationStatusUpdate(ours, theirs)}, valid)
		if t.Failed() {
			return
		}
	}
	for _, write := range []string{"create", "update", "status"} {
		if valid[write] == 0 || valid[write] == rounds {
			t.Errorf("%d of %d are valid in %s", valid[write], rounds, write)
		}
	}
}

func compare(t *testing.T, write string, m, old *migration, results [2]field.ErrorList, valid map[string]int) {
	t.Helper()
	got, want := errorsOf(results[0]), errorsOf(results[1])
	if !slices.Equal(got, want) {
		t.Errorf("%s of %+v before %+v: got %q, upstream returns %q", write, m, old, got, want)
	}
	if len(want) == 0 {
		valid[write]++
	}
}
