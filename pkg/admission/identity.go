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
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	mutatingwebhook "k8s.io/apiserver/pkg/admission/plugin/webhook/mutating"
)

// identity identifies the object of a request. Authorization, quota and policies decide about that
// object: a webhook or a policy may change the content of the object, not its identity. A name in
// place of a generated one is a change, too.
type identity struct {
	kind                               reflect.Type
	name, generateName, namespace, uid string
}

// identityOf returns false for objects without metadata, such as the options of a connect.
func identityOf(object runtime.Object) (identity, bool) {
	if object == nil {
		return identity{}, false
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return identity{}, false
	}
	return identity{reflect.TypeOf(object), accessor.GetName(), accessor.GetGenerateName(), accessor.GetNamespace(), string(accessor.GetUID())}, true
}

// change returns the first difference by its path, as "metadata.name", or an empty string. The values are
// those of a webhook's patch, and errors are logged, so it returns none of them.
func (i identity) change(to identity) string {
	for _, field := range []struct{ path, was, is string }{
		{"metadata.name", i.name, to.name},
		{"metadata.generateName", i.generateName, to.generateName},
		{"metadata.namespace", i.namespace, to.namespace},
		{"metadata.uid", i.uid, to.uid},
	} {
		if field.was != field.is {
			return field.path
		}
	}
	if i.kind != to.kind {
		return "the kind of the object"
	}
	return ""
}

// sameObject refuses changes of the identity of an object by mutating plugins.
type sameObject struct{}

// Decorate implements admission.Decorator.
func (sameObject) Decorate(handler admission.Interface, _ string) admission.Interface {
	if _, mutates := handler.(admission.MutationInterface); !mutates {
		return handler
	}
	return &sameObjectPlugin{handler}
}

type sameObjectPlugin struct{ admission.Interface }

var (
	_ admission.MutationInterface   = &sameObjectPlugin{}
	_ admission.ValidationInterface = &sameObjectPlugin{}
)

// Admit implements admission.MutationInterface.
func (s *sameObjectPlugin) Admit(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	plugin := s.Interface.(admission.MutationInterface)
	before, ok := identityOf(a.GetObject())
	if !ok {
		return plugin.Admit(ctx, a, o)
	}
	watch := &identityWatch{before: before}
	err := plugin.Admit(ctx, watched{a, watch}, watchedInterfaces{o, watch})
	if watch.by != "" {
		// After a change of kind the library fails with an error that names no webhook.
		return apierrors.NewInternalError(fmt.Errorf("admission webhook %s changed %s: a webhook must not change which object the request is about: correct its patch, or delete the configuration", watch.by, watch.what))
	}
	if err != nil {
		return err
	}
	if after, ok := identityOf(a.GetObject()); ok {
		if what := before.change(after); what != "" {
			return apierrors.NewInternalError(fmt.Errorf("a mutation changed %s: admission must not change which object the request is about: correct the mutation", what))
		}
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (s *sameObjectPlugin) Validate(ctx context.Context, a admission.Attributes, o admission.ObjectInterfaces) error {
	if plugin, ok := s.Interface.(admission.ValidationInterface); ok {
		return plugin.Validate(ctx, a, o)
	}
	return nil
}

// identityWatch finds the webhook that changed the identity. After each patch that it applies, the
// library's dispatcher calls the defaulter with the result, and after each webhook it adds an
// annotation with the webhook's name.
type identityWatch struct {
	before identity
	// what is the first change, and by the webhook that made it.
	what, by string
}

// saw records the first change in the result of a patch, which has the version that the webhook requested.
func (w *identityWatch) saw(object runtime.Object) {
	if w.what != "" {
		return
	}
	after, ok := identityOf(object)
	if !ok {
		w.what = "the kind of the object"
		return
	}
	// The type is that of a version and not the hub type; the library finds a change of kind when it
	// converts the object back.
	after.kind = w.before.kind
	w.what = w.before.change(after)
}

// called records the name of the webhook after the first change.
func (w *identityWatch) called(key, value string) {
	if w.what == "" || w.by != "" || !strings.HasPrefix(key, mutatingwebhook.MutationAuditAnnotationPrefix) {
		return
	}
	var annotation mutatingwebhook.MutationAuditAnnotation
	if err := json.Unmarshal([]byte(value), &annotation); err != nil {
		return // Admit compares the object at the end
	}
	w.by = fmt.Sprintf("%q of MutatingWebhookConfiguration %q", annotation.Webhook, annotation.Configuration)
}

type watched struct {
	admission.Attributes
	watch *identityWatch
}

// AddAnnotation implements admission.Attributes.
func (w watched) AddAnnotation(key, value string) error {
	w.watch.called(key, value)
	return w.Attributes.AddAnnotation(key, value)
}

type watchedInterfaces struct {
	admission.ObjectInterfaces
	watch *identityWatch
}

// GetObjectDefaulter implements admission.ObjectInterfaces.
func (w watchedInterfaces) GetObjectDefaulter() runtime.ObjectDefaulter {
	return watchedDefaulter{w.ObjectInterfaces.GetObjectDefaulter(), w.watch}
}

type watchedDefaulter struct {
	runtime.ObjectDefaulter
	watch *identityWatch
}

// Default implements runtime.ObjectDefaulter.
func (w watchedDefaulter) Default(object runtime.Object) {
	w.watch.saw(object)
	w.ObjectDefaulter.Default(object)
}
