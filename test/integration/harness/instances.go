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

package harness

import (
	"context"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/binary"
)

// CreateOnServer stores a small instance.
func CreateOnServer(ctx context.Context, t *testing.T, server *binary.Server, name string) *fleetv1alpha1.Instance {
	t.Helper()
	created, err := versioned.NewForConfigOrDie(server.Config).FleetV1alpha1().Instances("default").Create(ctx, SmallInstance(name), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(fmt.Errorf("creating %s: %w", name, err))
	}
	return created
}

// SmallInstance returns a valid instance with one container.
func SmallInstance(name string) *fleetv1alpha1.Instance {
	return &fleetv1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       fleetv1alpha1.InstanceSpec{Containers: []fleetv1alpha1.Container{{Name: "main", Image: "registry.example/app:1"}}},
	}
}
