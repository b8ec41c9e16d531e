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

package apiserver

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/endpoints/handlers/fieldmanager"
	"k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/kube-openapi/pkg/builder3"
	"k8s.io/kube-openapi/pkg/util"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	generatedopenapi "github.com/gatehouse-dev/gatehouse/pkg/generated/openapi"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// CallerUpdates makes updates of objects that a request does not name: what the library does
// around an update of a resource (who manages which field, admission that changes, admission
// that refuses) happens around these, too.
type CallerUpdates struct {
	scheme *runtime.Scheme
	admit  admission.Interface
}

var _ base.CallerUpdates = &CallerUpdates{}

// NewCallerUpdates is for kinds of the fleet scheme. admit, which may be nil, is asked as it
// is about every other request.
func NewCallerUpdates(scheme *runtime.Scheme, admit admission.Interface) *CallerUpdates {
	if admit != nil {
		admit = fieldmanager.NewManagedFieldsValidatingAdmissionController(admission.WithAudit(admit))
	}
	return &CallerUpdates{scheme: scheme, admit: admit}
}

// Of prepares updates of a resource.
func (u *CallerUpdates) Of(store *base.Store, resource schema.GroupVersionResource, kind schema.GroupVersionKind) base.CallerUpdate {
	// The models take a while, and most servers are never asked.
	fields := sync.OnceValues(func() (*managedfields.FieldManager, error) { return u.fieldManager(store, kind) })
	return func(ctx context.Context, name string, options *metav1.UpdateOptions, change rest.TransformFunc) (runtime.Object, error) {
		manager, err := fields()
		if err != nil {
			return nil, err
		}
		writer := options.FieldManager
		if writer == "" {
			writer = userAgent(ctx)
		}
		manage := func(_ context.Context, obj, old runtime.Object) (runtime.Object, error) {
			return manager.UpdateNoErrors(old, obj, writer), nil
		}
		user, _ := request.UserFrom(ctx)
		attributes := func(obj, old runtime.Object) admission.Attributes {
			return admission.NewAttributesRecord(obj, old, kind, request.NamespaceValue(ctx), name, resource, "", admission.Update, options, dryrun.IsDryRun(options.DryRun), user)
		}
		objects := admission.NewObjectInterfacesFromScheme(u.scheme)
		steps := []rest.TransformFunc{change, manage}
		if mutating, ok := u.admit.(admission.MutationInterface); ok && mutating.Handles(admission.Update) {
			steps = append(steps, func(ctx context.Context, obj, old runtime.Object) (runtime.Object, error) {
				return obj, mutating.Admit(ctx, attributes(obj, old), objects)
			})
		}
		validate := rest.ValidateAllObjectUpdateFunc
		if u.admit != nil {
			validate = rest.AdmissionToValidateObjectUpdateFunc(u.admit, attributes(nil, nil), objects)
		}
		obj, _, err := store.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, steps...), rest.ValidateAllObjectFunc, validate, false, options)
		return obj, err
	}
}

// fieldManager is one like that of the resource's own endpoint, which the library keeps to
// itself.
func (u *CallerUpdates) fieldManager(store *base.Store, kind schema.GroupVersionKind) (*managedfields.FieldManager, error) {
	sample, err := u.scheme.New(kind)
	if err != nil {
		return nil, err
	}
	config := genericapiserver.DefaultOpenAPIV3Config(generatedopenapi.GetOpenAPIDefinitions, openapi.NewDefinitionNamer(external(u.scheme)))
	models, err := builder3.BuildOpenAPIDefinitionsForResources(config, util.GetCanonicalTypeName(sample))
	if err != nil {
		return nil, err
	}
	types, err := managedfields.NewTypeConverter(models, false)
	if err != nil {
		return nil, err
	}
	hub := schema.GroupVersion{Group: kind.Group, Version: runtime.APIVersionInternal}
	return managedfields.NewDefaultFieldManager(types, runtime.UnsafeObjectConvertor(u.scheme), u.scheme, u.scheme, kind, hub, "", fieldpath.NewExcludeFilterSetMap(store.GetResetFields()))
}

type userAgentKey struct{}

// withUserAgent lets storages know which program calls: it manages the fields that it writes,
// where the caller does not name a manager.
func withUserAgent(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userAgentKey{}, r.UserAgent())))
	})
}

// userAgent is the program's name, fit for the name of a manager.
func userAgent(ctx context.Context) string {
	agent, _ := ctx.Value(userAgentKey{}).(string)
	program, _, _ := strings.Cut(agent, "/")
	name := make([]byte, 0, len(program))
	for _, r := range program {
		if !unicode.IsPrint(r) {
			continue
		}
		if len(name)+utf8.RuneLen(r) > validation.FieldManagerMaxLength {
			break
		}
		name = utf8.AppendRune(name, r)
	}
	return string(name)
}
