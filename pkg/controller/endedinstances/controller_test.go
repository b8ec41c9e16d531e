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

package endedinstances

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
	listers "github.com/gatehouse-dev/gatehouse/pkg/generated/listers/fleet/v1alpha1"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// made returns an instance of an age in minutes.
func made(name string, phase v1alpha1.InstancePhase, age int) *v1alpha1.Instance {
	return &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(noon.Add(-time.Duration(age) * time.Minute))},
		Status:     v1alpha1.InstanceStatus{Phase: phase},
	}
}

func TestEndedInstancesAreDeletedBeyondTheThreshold(t *testing.T) {
	const failed, succeeded, running = v1alpha1.InstanceFailed, v1alpha1.InstanceSucceeded, v1alpha1.InstanceRunning
	going := made("going", failed, 90)
	going.DeletionTimestamp = &metav1.Time{Time: noon}
	all := []*v1alpha1.Instance{made("young", failed, 1), made("old", failed, 60), made("older", succeeded, 70), made("b", failed, 30), made("a", failed, 30), made("oldest", running, 100), going}
	for _, tc := range []struct {
		name      string
		threshold int
		want      string
	}{
		{"as many as are kept", 5, ""},
		{"one too many: the oldest that has ended", 4, "older"},
		{"the oldest first", 3, "older old"},
		{"of like age, by name", 2, "older old a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var names []string
			for _, i := range Excess(slices.Clone(all), tc.threshold) {
				names = append(names, i.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("deletes %q, want %q", got, tc.want)
			}
		})
	}
}

func TestWhatIsDeletedIsWhatWasLookedAt(t *testing.T) {
	client, indexer := fake.NewClientset(), cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for n := range 5 {
		if err := indexer.Add(made(fmt.Sprint("ended-", n), v1alpha1.InstanceFailed, n)); err != nil {
			t.Fatal(err)
		}
	}
	var deleted []string
	client.PrependReactor("delete", "instances", func(action clienttesting.Action) (bool, runtime.Object, error) {
		d := action.(clienttesting.DeleteActionImpl)
		if p := d.DeleteOptions.Preconditions; p == nil || p.UID == nil || string(*p.UID) != d.Name {
			t.Errorf("%s is deleted whatever its uid is", d.Name)
		}
		deleted = append(deleted, d.Name)
		return true, nil, apierrors.NewNotFound(v1alpha1.Resource("instances"), d.Name)
	})
	c := &Controller{client: client, instances: listers.NewInstanceLister(indexer), threshold: 4}
	c.collect(t.Context())
	if !slices.Equal(deleted, []string{"ended-4"}) {
		t.Errorf("deleted %v", deleted)
	}
}
