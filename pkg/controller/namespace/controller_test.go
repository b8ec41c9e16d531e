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

package namespace

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes/fake"
	corelisters "k8s.io/client-go/listers/core/v1"
	metadatafake "k8s.io/client-go/metadata/fake"
	"k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
)

func TestConditionsHaveTheTimeOfTheControllersClock(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	leaving := &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{Name: "leaving", DeletionTimestamp: &metav1.Time{Time: now}, Finalizers: []string{"kept-by-the-tracker"}},
		Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
	}
	scheme := metadatafake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	held := &metav1.PartialObjectMetadata{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "leaving", Name: "held", DeletionTimestamp: &metav1.Time{Time: now}, Finalizers: []string{"example.com/hold"}},
	}
	namespaces := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	if err := namespaces.Add(leaving); err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(leaving)
	client.Resources = []*metav1.APIResourceList{{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "configmaps", Kind: "ConfigMap", Namespaced: true, Verbs: metav1.Verbs{"list", "delete"}},
	}}}
	c := &Controller{
		client: client, metadata: metadatafake.NewSimpleMetadataClient(scheme, held), discovery: client.Discovery().(discovery.DiscoveryInterfaceWithContext),
		namespaces: corelisters.NewNamespaceLister(namespaces), clock: clocktesting.NewFakePassiveClock(now),
	}
	if err := c.sync(t.Context(), "leaving"); err == nil {
		t.Fatal("the namespace is emptied though an object is left")
	}
	got, err := client.CoreV1().Namespaces().Get(t.Context(), "leaving", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Status.Conditions) != 5 {
		t.Errorf("conditions %+v", got.Status.Conditions)
	}
	for _, condition := range got.Status.Conditions {
		if !condition.LastTransitionTime.Time.Equal(now) {
			t.Errorf("%s changed at %s, want %s", condition.Type, condition.LastTransitionTime, now)
		}
	}
}
