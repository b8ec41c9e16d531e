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

package admissionregistration_test

import (
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"

	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// told records warnings.
type told struct{ warnings []string }

func (w *told) AddWarning(_, text string) { w.warnings = append(w.warnings, text) }

func TestWebhooksForExcludedResourcesCauseAWarning(t *testing.T) {
	_, built := storages(t, &rights{all: true})
	for _, name := range []string{"mutatingwebhookconfigurations", "validatingwebhookconfigurations"} {
		w := &told{}
		ctx := warning.WithWarningRecorder(as("ann"), w)
		obj := sample(name)
		switch o := obj.(type) {
		case *admissionregistrationv1.MutatingWebhookConfiguration:
			o.Webhooks[0].Rules[0].APIGroups, o.Webhooks[0].Rules[0].Resources = []string{"authentication.k8s.io"}, []string{"tokenreviews"}
		case *admissionregistrationv1.ValidatingWebhookConfiguration:
			o.Webhooks[0].Rules[0].APIGroups, o.Webhooks[0].Rules[0].Resources = []string{"authentication.k8s.io"}, []string{"tokenreviews"}
		}
		storage := built[name].(registrytest.Storage)
		if _, err := storage.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := update(ctx, storage, "a", change); err != nil {
			t.Fatal(err)
		}
		if len(w.warnings) != 2 || !strings.Contains(w.warnings[0], "tokenreviews.authentication.k8s.io") || w.warnings[1] != w.warnings[0] {
			t.Errorf("%s: warnings are %q", name, w.warnings)
		}
	}
}
