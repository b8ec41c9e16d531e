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

package app

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// RollbackREST is the rollback endpoint of apps: creating an AppRollback there sets the template of
// the app to that of one of its releases. The write is an update of the app by the caller, with
// managedFields and admission.
type RollbackREST struct {
	apps     rest.Getter
	releases rest.Lister
	update   CallerUpdate
}

// CallerUpdates prepares updates of a resource by endpoints that write another object than the
// one that the request names. Each is an update by the caller, with managedFields and admission.
type CallerUpdates interface {
	Prepare(store *base.Store, resource schema.GroupVersionResource, kind schema.GroupVersionKind) CallerUpdate
}

// CallerUpdate stores what change returns for a copy of the stored object. After a conflict it
// calls change again with the newer object.
type CallerUpdate func(ctx context.Context, name string, options *metav1.UpdateOptions, change rest.TransformFunc) (runtime.Object, error)

var _ rest.NamedCreater = &RollbackREST{}

// New returns an empty AppRollback.
func (*RollbackREST) New() runtime.Object { return &fleet.AppRollback{} }

// Destroy does nothing: the apps' own storage closes what both share.
func (*RollbackREST) Destroy() {}

// NamespaceScoped is true, as for apps.
func (*RollbackREST) NamespaceScoped() bool { return true }

// Create rolls the named app back. It does not write an app that already has the template.
func (r *RollbackREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	rollback, ok := obj.(*fleet.AppRollback)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not an AppRollback: %T", obj))
	}
	if rollback.Name != "" && rollback.Name != name {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("metadata.name of the AppRollback is %q, but the URL names the app %q", rollback.Name, name))
	}
	rollback.Name = name
	if rollback.ToRevision < 0 {
		return nil, apierrors.NewInvalid(fleet.Kind("AppRollback"), name, field.ErrorList{
			field.Invalid(field.NewPath("toRevision"), rollback.ToRevision, apivalidation.IsNegativeErrorMsg+"; 0 is the revision before the newest"),
		})
	}
	if createValidation != nil {
		if err := createValidation(ctx, rollback.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	stored, err := r.apps.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	app, ok := stored.(*fleet.App)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is no App", stored))
	}
	template, err := r.template(ctx, app, rollback.ToRevision)
	if err != nil {
		return nil, err
	}
	done := &metav1.Status{Status: metav1.StatusSuccess}
	if apiequality.Semantic.DeepEqual(&app.Spec.Template, template) {
		return done, nil
	}
	// The update starts from the app as stored at that time: it may have changed.
	_, err = r.update(ctx, name, &metav1.UpdateOptions{
		TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "UpdateOptions"},
		DryRun:   options.DryRun, FieldManager: options.FieldManager, FieldValidation: options.FieldValidation,
	}, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		changed, ok := old.DeepCopyObject().(*fleet.App)
		if !ok {
			return nil, fmt.Errorf("%T is no App", old)
		}
		switch changed.UID {
		case app.UID:
		case "":
			return nil, apierrors.NewNotFound(fleet.Resource("apps"), name)
		default:
			return nil, apierrors.NewConflict(fleet.Resource("apps/rollback"), name, fmt.Errorf("the app was deleted and created again meanwhile: look at it, and try again"))
		}
		changed.Spec.Template = *template.DeepCopy()
		return changed, nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// template returns the template of a revision; 0 is the revision before the newest.
func (r *RollbackREST) template(ctx context.Context, app *fleet.App, wanted int64) (*fleet.InstanceTemplateSpec, error) {
	list, err := r.releases.List(ctx, &internalversion.ListOptions{})
	if err != nil {
		return nil, err
	}
	releases, ok := list.(*fleet.ReleaseList)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("%T is no ReleaseList", list))
	}
	all := make([]*fleet.Release, len(releases.Items))
	for i := range releases.Items {
		all[i] = &releases.Items[i]
	}
	revisions := helper.RevisionsOf(app, all)
	if wanted == 0 && len(revisions) > 1 {
		return templateOf(revisions[len(revisions)-2]), nil
	}
	for _, release := range revisions {
		if helper.ValidRevision(release) == wanted {
			return templateOf(release), nil
		}
	}
	return nil, noRevision(app.Name, wanted, revisions)
}

// templateOf returns the app's template of a release, without the hash that the controller added.
func templateOf(release *fleet.Release) *fleet.InstanceTemplateSpec {
	template := release.Spec.Template.DeepCopy()
	helper.RemoveTemplateHash(template)
	return template
}

// noRevision returns a 404 that lists the existing revisions.
func noRevision(name string, wanted int64, revisions []*fleet.Release) error {
	numbers := make([]string, len(revisions))
	for i, release := range revisions {
		numbers[i] = strconv.FormatInt(helper.ValidRevision(release), 10)
	}
	there := "it has no revisions yet"
	if len(numbers) > 0 {
		there = "its revisions are " + strings.Join(numbers, ", ")
	}
	missing := fmt.Sprintf("revision %d", wanted)
	if wanted == 0 {
		missing = "revision before the newest"
	}
	err := apierrors.NewGenericServerResponse(http.StatusNotFound, "create", fleet.Resource("apps/rollback"), name, "", 0, false)
	err.ErrStatus.Message = fmt.Sprintf("app %q has no %s: %s", name, missing, there)
	return err
}
