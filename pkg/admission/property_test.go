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

package admission

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/alwayspullimages"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hostrestriction"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/hosttaints"
	"github.com/gatehouse-dev/gatehouse/pkg/admission/plugin/serviceaccount"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	fleetfuzzer "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/fuzzer"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// propertyRounds is the number of objects; a few hundred cover every field that a plugin
// reads.
const propertyRounds = 2000

// newChains builds a chain of every selection of the plugins except webhooks and policies, which run
// users' code; test/webhooks tests them.
func newChains(t *testing.T, namespace string) [][2]admission.Interface {
	t.Helper()
	client := fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "default"}},
	)
	factory := informers.NewSharedInformerFactory(client, 0)
	names := []string{lifecycle.PluginName, serviceaccount.PluginName, hostrestriction.PluginName, hosttaints.PluginName, alwayspullimages.PluginName}
	var chains [][2]admission.Interface
	for selection := range 1 << len(names) {
		var enabled []string
		for i, name := range names {
			if selection&(1<<i) != 0 {
				enabled = append(enabled, name)
			}
		}
		var pair [2]admission.Interface
		for i := range pair {
			chain, err := New(Config{
				Enabled:        enabled,
				Initializers:   admission.PluginInitializers{initializer.New(client, nil, factory, nil, nil, nil, nil, nil)},
				Informers:      factory,
				Services:       NoServices{},
				BoundInstances: nothingBound{},
			})
			if err != nil {
				t.Fatal(err)
			}
			pair[i] = chain
		}
		chains = append(chains, pair)
	}
	factory.Start(t.Context().Done())
	factory.WaitForCacheSync(t.Context().Done())
	return chains
}

// randomOperation returns an operation on object with its old object: nil for a create; the same or
// another one for an update.
func randomOperation(random *rand.Rand, object, other runtime.Object) (admission.Operation, runtime.Object) {
	if random.Intn(2) != 0 {
		return admission.Create, nil
	}
	if random.Intn(2) == 0 {
		return admission.Update, object.DeepCopyObject()
	}
	return admission.Update, other
}

func TestASecondPassThroughTheChainChangesNothing(t *testing.T) {
	const namespace = "shop"
	chains := newChains(t, namespace)
	random := rand.New(rand.NewSource(int64(kit.Seed(t))))
	fill := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, fleetfuzzer.Funcs), random, serializer.NewCodecFactory(runtime.NewScheme()))
	users := []user.Info{
		&user.DefaultInfo{Name: "operator", Groups: []string{user.SystemPrivilegedGroup}},
		&user.DefaultInfo{Name: v1alpha1.HostUserPrefix + "edge-1", Groups: []string{v1alpha1.HostsGroup}},
	}
	resources := []struct {
		resource, namespace string
		object              func() runtime.Object
	}{
		{"instances", namespace, func() runtime.Object { return &fleet.Instance{} }},
		{"apps", namespace, func() runtime.Object { return &fleet.App{} }},
		{"releases", namespace, func() runtime.Object { return &fleet.Release{} }},
		{"hosts", "", func() runtime.Object { return &fleet.Host{} }},
	}
	changed := map[string]int{}
	for range propertyRounds {
		r := resources[random.Intn(len(resources))]
		object, other := r.object(), r.object()
		fill.Fill(object)
		fill.Fill(other)
		operation, old := randomOperation(random, object, other)
		accessor, err := meta.Accessor(object)
		if err != nil {
			t.Fatal(err)
		}
		accessor.SetNamespace(r.namespace)
		pick := chains[random.Intn(len(chains))]
		by := users[random.Intn(len(users))]
		pass := func(chain admission.Interface, object runtime.Object) error {
			a := admission.NewAttributesRecord(object, old, fleet.Kind("K").WithVersion("v1alpha1"), r.namespace, accessor.GetName(),
				fleet.Resource(r.resource).WithVersion("v1alpha1"), "", operation, &metav1.CreateOptions{}, false, by)
			if !chain.Handles(operation) {
				return nil
			}
			return chain.(admission.MutationInterface).Admit(t.Context(), a, admission.NewObjectInterfacesFromScheme(runtime.NewScheme()))
		}
		before := object.DeepCopyObject()
		if err := pass(pick[0], object); err != nil {
			continue // refused, and never stored
		}
		if !apiequality.Semantic.DeepEqual(before, object) {
			changed[r.resource]++
		}
		once := object.DeepCopyObject()
		for i, chain := range pick {
			if err := pass(chain, object); err != nil {
				t.Fatalf("pass %d is refused, and the first was not: %v", i+2, err)
			}
			if !apiequality.Semantic.DeepEqual(once, object) {
				t.Fatalf("pass %d changed something:\n%s", i+2, cmp.Diff(once, object))
			}
		}
	}
	// Without any change the property would hold trivially.
	for _, r := range resources {
		if changed[r.resource] == 0 {
			t.Errorf("no plugin changed any of %s: %v", r.resource, changed)
		}
	}
	t.Logf("objects that the first pass changed: %v", changed)
}
