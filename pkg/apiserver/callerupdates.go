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
	"errors"
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
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/app"
)

// CallerUpdates implements app.CallerUpdates: it runs updates of objects that a request does not
// name with everything that belongs to an update of a resource, which is managedFields, mutating
// and validating admission.
type CallerUpdates struct {
	scheme *runtime.Scheme
	admit  admission.Interface
}

var _ app.CallerUpdates = &CallerUpdates{}

// NewCallerUpdates returns updates of kinds of the fleet scheme. admit is the admission chain; a
// nil chain is refused, because updates would be stored without admission.
func NewCallerUpdates(scheme *runtime.Scheme, admit admission.Interface) (*CallerUpdates, error) {
	if admit == nil {
		return nil, errors.New("updates on behalf of callers need an admission chain: pass an empty one to run none")
	}
	return &CallerUpdates{scheme: scheme, admit: fieldmanager.NewManagedFieldsValidatingAdmissionController(admission.WithAudit(admit))}, nil
}

// Prepare implements app.CallerUpdates.
func (u *CallerUpdates) Prepare(store *base.Store, resource schema.GroupVersionResource, kind schema.GroupVersionKind) app.CallerUpdate {
	// Building the models is slow, and most servers run no such update.
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
		validate := rest.AdmissionToValidateObjectUpdateFunc(u.admit, attributes(nil, nil), objects)
		obj, _, err := store.Update(ctx, name, rest.DefaultUpdatedObjectInfo(nil, steps...), rest.ValidateAllObjectFunc, validate, false, options)
		return obj, err
	}
}

// fieldManager returns one like that of the resource's own endpoint, which the library does not
// export.
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

// withUserAgent adds the User-Agent to the context: it is the manager of the fields that a request
// writes, unless the request names a manager.
func withUserAgent(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userAgentKey{}, r.UserAgent())))
	})
}

// userAgent returns the program's name in the form of a manager's name.
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
