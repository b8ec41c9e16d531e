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

// identity is what makes an object the one that a request is about. The caller was authorized,
// and quota and policies are asked, for that object: a webhook or a policy may change what an
// object says, not which object it is. A name where the caller asked for a generated one is a
// change, too.
type identity struct {
	kind                               reflect.Type
	name, generateName, namespace, uid string
}

// identityOf is false for what has no metadata, such as the options of a connect.
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

// change is the first difference as "metadata.name from "a" to "b""; nothing where there is none.
func (i identity) change(to identity) string {
	for _, field := range []struct{ path, was, is string }{
		{"metadata.name", i.name, to.name},
		{"metadata.generateName", i.generateName, to.generateName},
		{"metadata.namespace", i.namespace, to.namespace},
		{"metadata.uid", i.uid, to.uid},
	} {
		if field.was != field.is {
			return fmt.Sprintf("%s from %q to %q", field.path, cut(field.was, maxShortText), cut(field.is, maxShortText))
		}
	}
	if i.kind != to.kind {
		return "the kind of the object"
	}
	return ""
}

// sameObject keeps mutating plugins from making another object of the one that they are asked
// about.
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
		// A change of kind makes the library fail with words of its own.
		return apierrors.NewInternalError(fmt.Errorf("admission webhook %s changed %s: a webhook must not change which object the request is about", watch.by, watch.what))
	}
	if err != nil {
		return err
	}
	if after, ok := identityOf(a.GetObject()); ok {
		if what := before.change(after); what != "" {
			return apierrors.NewInternalError(fmt.Errorf("a mutation changed %s: admission must not change which object the request is about", what))
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

// identityWatch finds out which of several webhooks changed the identity. The library's
// dispatcher calls, for each webhook whose patch it applied, the defaulter with the result, and
// after each webhook it adds an annotation that names it.
type identityWatch struct {
	before identity
	// what is the first change, and by the webhook that made it.
	what, by string
}

// saw looks at an object that a patch has made, in a version of the webhook's choice.
func (w *identityWatch) saw(object runtime.Object) {
	if w.what != "" {
		return
	}
	after, ok := identityOf(object)
	if !ok {
		w.what = "the kind of the object"
		return
	}
	// The type is that of a version and not the hub's; a kind that changed is noticed when the
	// library converts it back.
	after.kind = w.before.kind
	w.what = w.before.change(after)
}

// called hears of a webhook that was called.
func (w *identityWatch) called(key, value string) {
	if w.what == "" || w.by != "" || !strings.HasPrefix(key, mutatingwebhook.MutationAuditAnnotationPrefix) {
		return
	}
	var says mutatingwebhook.MutationAuditAnnotation
	if err := json.Unmarshal([]byte(value), &says); err != nil {
		return // the change itself is noticed at the end
	}
	w.by = fmt.Sprintf("%q of MutatingWebhookConfiguration %q", says.Webhook, says.Configuration)
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
