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

package fleet_test

import (
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	fleetfuzzer "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/fuzzer"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/install"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// fills is the number of random objects of each kind in a test.
const fills = 50

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}

// newFiller fills hub objects at random, by a seed that it logs.
func newFiller(t *testing.T, codecs serializer.CodecFactory) *randfill.Filler {
	t.Helper()
	funcs := fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, fleetfuzzer.Funcs)
	return fuzzer.FuzzerFor(funcs, rand.NewSource(int64(kit.Seed(t))), codecs).NumElements(0, 3)
}

// ownKinds are the kinds that we define, in the hub or in the versions, lists included; not
// the options and the watch event that every group has.
func ownKinds(scheme *runtime.Scheme, hub bool) []schema.GroupVersionKind {
	home := reflect.TypeFor[fleet.Host]().PkgPath()
	var kinds []schema.GroupVersionKind
	for kind, goType := range scheme.AllKnownTypes() {
		if strings.HasPrefix(goType.PkgPath(), home) && (kind.Version == runtime.APIVersionInternal) == hub {
			kinds = append(kinds, kind)
		}
	}
	slices.SortFunc(kinds, func(a, b schema.GroupVersionKind) int { return strings.Compare(a.String(), b.String()) })
	return kinds
}

func TestEveryHubKindSurvivesEveryVersionInJSONAndProtobuf(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	filler := newFiller(t, codecs)
	kinds := ownKinds(scheme, true)
	if len(kinds) == 0 {
		t.Fatal("no hub kinds are registered")
	}
	for _, kind := range kinds {
		t.Run(kind.Kind, func(t *testing.T) {
			roundtrip.RoundTripSpecificKind(t, kind, scheme, codecs, filler, nil)
		})
	}
}

func TestEveryVersionedKindSurvivesJSONAndProtobuf(t *testing.T) {
	scheme := newScheme()
	codecs := serializer.NewCodecFactory(scheme)
	filler := newFiller(t, codecs)
	for _, kind := range ownKinds(scheme, false) {
		t.Run(kind.Version+"."+kind.Kind, func(t *testing.T) {
			roundtrip.RoundTripSpecificKind(t, kind, scheme, codecs, filler, nil)
		})
	}
}

func TestEveryKindIsInTheHubAndInEachVersion(t *testing.T) {
	scheme := newScheme()
	for _, hub := range ownKinds(scheme, true) {
		for _, version := range scheme.PrioritizedVersionsForGroup(fleet.GroupName) {
			if !scheme.Recognizes(version.WithKind(hub.Kind)) {
				t.Errorf("%s is not registered in %s", hub.Kind, version)
			}
		}
	}
	for _, kind := range ownKinds(scheme, false) {
		if !scheme.Recognizes(fleet.SchemeGroupVersion.WithKind(kind.Kind)) {
			t.Errorf("%s has no hub type", kind)
		}
	}
}

func TestDefaultingTwiceIsTheSameAsOnce(t *testing.T) {
	scheme := newScheme()
	filler := newFiller(t, serializer.NewCodecFactory(scheme))
	for _, kind := range ownKinds(scheme, false) {
		t.Run(kind.Version+"."+kind.Kind, func(t *testing.T) {
			for range fills {
				once, err := scheme.New(kind)
				if err != nil {
					t.Fatal(err)
				}
				filler.Fill(once)
				scheme.Default(once)
				twice := once.DeepCopyObject()
				scheme.Default(twice)
				if !reflect.DeepEqual(once, twice) {
					t.Fatalf("the second defaulting changed the object:\n%s", cmp.Diff(once, twice))
				}
			}
		})
	}
}

// What the fuzzer leaves to defaults would make the round trips above fail now and then; here
// it fails with a sentence.
func TestTheFuzzerLeavesNothingToDefaults(t *testing.T) {
	scheme := newScheme()
	filler := newFiller(t, serializer.NewCodecFactory(scheme))
	for _, hub := range ownKinds(scheme, true) {
		for _, version := range scheme.PrioritizedVersionsForGroup(fleet.GroupName) {
			t.Run(version.Version+"."+hub.Kind, func(t *testing.T) {
				for range fills {
					filled, err := scheme.New(hub)
					if err != nil {
						t.Fatal(err)
					}
					filler.Fill(filled)
					versioned, err := scheme.ConvertToVersion(filled.DeepCopyObject(), version)
					if err != nil {
						t.Fatal(err)
					}
					scheme.Default(versioned)
					back, err := scheme.ConvertToVersion(versioned, fleet.SchemeGroupVersion)
					if err != nil {
						t.Fatal(err)
					}
					if !apiequality.Semantic.DeepEqual(filled, back) {
						t.Fatalf("a default changed what the fuzzer had filled; set it in pkg/apis/fleet/fuzzer, too:\n%s", cmp.Diff(filled, back))
					}
				}
			})
		}
	}
}

func TestADeepCopySharesNothingWithItsOriginal(t *testing.T) {
	scheme := newScheme()
	filler := newFiller(t, serializer.NewCodecFactory(scheme))
	for _, kind := range append(ownKinds(scheme, true), ownKinds(scheme, false)...) {
		t.Run(kind.Version+"."+kind.Kind, func(t *testing.T) {
			for range fills {
				original, err := scheme.New(kind)
				if err != nil {
					t.Fatal(err)
				}
				filler.Fill(original)
				first, second := original.DeepCopyObject(), original.DeepCopyObject()
				if !reflect.DeepEqual(original, first) {
					t.Fatalf("the copy differs:\n%s", cmp.Diff(original, first))
				}
				fuzzer.ValueFuzz(first)
				if !reflect.DeepEqual(original, second) {
					t.Fatalf("a change of the copy changed the original:\n%s", cmp.Diff(second, original))
				}
			}
		})
	}
}

// The fixtures are what earlier versions wrote to etcd and to the wire: a change of one
// breaks stored objects and clients. A new field or kind adds to them:
//
//	UPDATE_COMPATIBILITY_FIXTURE_DATA=true go test ./pkg/apis/fleet
func TestTheWireFormatIsThatOfTheFixtures(t *testing.T) {
	scheme := newScheme()
	options := roundtrip.NewCompatibilityTestOptions(scheme)
	for _, kind := range ownKinds(scheme, false) {
		if !strings.HasSuffix(kind.Kind, "List") {
			options.Kinds = append(options.Kinds, kind)
		}
	}
	options.FillFuncs = map[reflect.Type]roundtrip.FillFunc{
		// The library would leave amounts at zero.
		reflect.TypeFor[*v1alpha1.ResourceList](): func(name string, i int, obj any) {
			*obj.(*v1alpha1.ResourceList) = v1alpha1.ResourceList{
				v1alpha1.ResourceName(name + "Milli"):  *resource.NewMilliQuantity(int64(1000*i+500), resource.DecimalSI),
				v1alpha1.ResourceName(name + "Binary"): *resource.NewQuantity(int64(i)<<30, resource.BinarySI),
			}
		},
	}
	options.Complete(t).Run(t)
	for _, kind := range options.Kinds {
		for _, format := range []string{"json", "yaml", "pb"} {
			name := filepath.Join("testdata", "HEAD", kind.Group+"."+kind.Version+"."+kind.Kind+"."+format)
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s has no fixture: run UPDATE_COMPATIBILITY_FIXTURE_DATA=true go test ./pkg/apis/fleet and add the new files (%v)", kind, err)
			}
		}
	}
}
