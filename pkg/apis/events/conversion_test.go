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

package events_test

import (
	"math/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	coreinstall "github.com/gatehouse-dev/gatehouse/pkg/apis/core/install"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/events"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/events/install"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	coreinstall.Install(scheme)
	install.Install(scheme)
	return scheme
}

func TestAnEventIsOfTheCoreGroupFirst(t *testing.T) {
	kinds, _, err := newScheme().ObjectKinds(&corev1.Event{})
	if err != nil || kinds[0] != corev1.SchemeGroupVersion.WithKind("Event") {
		t.Errorf("got %v, %v", kinds, err)
	}
}

func TestEventsComeBackFromTheOtherGroupAsTheyWere(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	filler := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(int64(kit.Seed(t))), codecs)
	hub := schema.GroupVersion{Group: events.GroupName, Version: runtime.APIVersionInternal}
	encode := codecs.LegacyCodec(eventsv1.SchemeGroupVersion)
	decode := codecs.UniversalDecoder(hub)
	for _, empty := range []runtime.Object{&corev1.Event{}, &corev1.EventList{}} {
		for range 50 {
			before := empty.DeepCopyObject()
			filler.Fill(before)
			before.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			data, err := runtime.Encode(encode, before.DeepCopyObject())
			if err != nil {
				t.Fatal(err)
			}
			after, err := runtime.Decode(decode, data)
			if err != nil {
				t.Fatal(err)
			}
			after.GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
			if !apiequality.Semantic.DeepEqual(before, after) {
				t.Fatalf("%T changed on the way:\n%+v\n%+v", before, before, after)
			}
		}
	}
}

func TestSelectorsOfTheOtherGroupNameTheSameFields(t *testing.T) {
	scheme := newScheme()
	kind := eventsv1.SchemeGroupVersion.WithKind("Event")
	for given, want := range map[string]string{
		"regarding.name": "involvedObject.name", "reportingController": "reportingComponent", "reason": "reason", "metadata.name": "metadata.name",
	} {
		if got, value, err := scheme.ConvertFieldLabel(kind, given, "v"); got != want || value != "v" || err != nil {
			t.Errorf("%s: got %s=%s, %v, want %s", given, got, value, err, want)
		}
	}
	for _, other := range []string{"involvedObject.name", "source", "nothing"} {
		if got, _, err := scheme.ConvertFieldLabel(kind, other, "v"); err == nil {
			t.Errorf("%s is taken, as %s", other, got)
		}
	}
}
