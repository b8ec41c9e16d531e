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

package app_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apiserver"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/app"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/fleet/release"
	"github.com/gatehouse-dev/gatehouse/test/kit"
	"github.com/gatehouse-dev/gatehouse/test/registrytest"
)

// judge is an admission plugin that labels objects and returns refuse.
type judge struct {
	refuse error
	seen   []string
	// meanwhile runs once, between the read of the app and the write.
	meanwhile func()
}

func (*judge) Handles(admission.Operation) bool { return true }

func (j *judge) Admit(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if meanwhile := j.meanwhile; meanwhile != nil {
		j.meanwhile = nil
		meanwhile()
	}
	a.GetObject().(*fleet.App).Labels = map[string]string{"admitted": a.GetUserInfo().GetName()}
	return nil
}

func (j *judge) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	j.seen = append(j.seen, strings.Join([]string{string(a.GetOperation()), a.GetResource().Resource, a.GetSubresource(), a.GetName(), strconv.FormatBool(a.IsDryRun())}, " "))
	return j.refuse
}

// stage is an app with the image web:2 in revision 2, and its release of revision 1 with web:1.
type stage struct {
	*app.Storage
	ctx   context.Context
	judge *judge
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{judge: &judge{}}
	scheme, codecs := apiserver.NewFleetScheme()
	options := registrytest.StartEtcd(t).StorageOptions(scheme, codecs)
	updates, err := apiserver.NewCallerUpdates(scheme, s.judge)
	if err != nil {
		t.Fatal(err)
	}
	releases, err := release.NewStorage(scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(releases.Release.Destroy)
	if s.Storage, err = app.NewStorage(scheme, options, releases.Release, updates); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.App.Destroy)
	for _, storage := range []*base.Store{s.App, releases.Release} {
		kit.Eventually(t, "the storage is ready", func(context.Context) bool { return storage.ReadinessCheck() == nil })
	}
	s.ctx = request.WithNamespace(request.WithUser(t.Context(), &user.DefaultInfo{Name: "alice"}), "test")
	s.ctx = request.WithRequestInfo(s.ctx, &request.RequestInfo{IsResourceRequest: true, Verb: "create", APIGroup: fleet.GroupName, APIVersion: "v1alpha1", Namespace: "test", Resource: "apps", Name: "web"})

	created := create(s.ctx, t, s.App, with(func(o *fleet.App) {
		o.Spec.Template.Spec.Containers[0].Image = "web:2"
		// managedFields must exist since the first write.
		o.ManagedFields = []metav1.ManagedFieldsEntry{{
			Manager: "maker", Operation: metav1.ManagedFieldsOperationUpdate, APIVersion: v1alpha1.SchemeGroupVersion.String(),
			FieldsType: "FieldsV1", FieldsV1: metav1.NewFieldsV1(`{"f:spec":{"f:replicas":{}}}`),
		}}
	})).(*fleet.App)
	for number, image := range map[string]string{"1": "web:1", "2": "web:2"} {
		template := created.Spec.Template.DeepCopy()
		template.Spec.Containers[0].Image = image
		template.Labels[v1alpha1.TemplateHashLabel] = "hash-" + number
		create(s.ctx, t, releases.Release, &fleet.Release{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: "test", Name: "web-" + number, Annotations: map[string]string{v1alpha1.RevisionAnnotation: number},
				OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(created, v1alpha1.SchemeGroupVersion.WithKind("App"))},
			},
			Spec: fleet.ReleaseSpec{Replicas: ptr.To[int32](1), Selector: created.Spec.Selector.DeepCopy(), Template: *template},
		})
	}
	return s
}

func create(ctx context.Context, t *testing.T, storage *base.Store, obj runtime.Object) runtime.Object {
	t.Helper()
	created, err := storage.Create(ctx, obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func (s *stage) app(t *testing.T) *fleet.App {
	t.Helper()
	obj, err := s.App.Get(s.ctx, "web", &metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return obj.(*fleet.App)
}

func (s *stage) rollback(revision int64, options metav1.CreateOptions) error {
	ctx := s.ctx
	if info, ok := request.RequestInfoFrom(ctx); ok {
		below := *info
		below.Subresource = "rollback"
		ctx = request.WithRequestInfo(ctx, &below)
	}
	_, err := s.Rollback.Create(ctx, "web", &fleet.AppRollback{ToRevision: revision}, rest.ValidateAllObjectFunc, &options)
	return err
}

func TestARollbackIsAnUpdateOfTheAppByItsCaller(t *testing.T) {
	for _, revision := range []int64{0, 1} {
		s := newStage(t)
		before := s.app(t)
		if err := s.rollback(revision, metav1.CreateOptions{FieldManager: "undo"}); err != nil {
			t.Fatalf("to %d: %v", revision, err)
		}
		after := s.app(t)
		if image := after.Spec.Template.Spec.Containers[0].Image; image != "web:1" {
			t.Errorf("to %d: the image is %s", revision, image)
		}
		if _, hash := after.Spec.Template.Labels[v1alpha1.TemplateHashLabel]; hash {
			t.Error("the template has the hash that belongs to the release")
		}
		if after.Generation != before.Generation+1 {
			t.Errorf("the generation went from %d to %d", before.Generation, after.Generation)
		}
		if after.Labels["admitted"] != "alice" {
			t.Errorf("admission changed nothing: the labels are %v", after.Labels)
		}
		if want := "UPDATE apps  web false"; strings.Join(s.judge.seen, ",") != want {
			t.Errorf("admission was called for %q, not %q", s.judge.seen, want)
		}
		if !slices.ContainsFunc(after.ManagedFields, func(entry metav1.ManagedFieldsEntry) bool {
			return entry.Manager == "undo" && entry.Operation == metav1.ManagedFieldsOperationUpdate && entry.Subresource == "" &&
				strings.Contains(string(entry.FieldsV1.GetRawBytes()), `"f:image"`)
		}) {
			t.Errorf("the managed fields are %v", after.ManagedFields)
		}
	}
}

func TestARollbackThatAdmissionRefusesChangesNothing(t *testing.T) {
	s := newStage(t)
	s.judge.refuse = apierrors.NewForbidden(fleet.Resource("apps"), "web", errors.New("web:1 is forbidden"))
	before := s.app(t)
	if err := s.rollback(1, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "web:1 is forbidden") {
		t.Errorf("got %v", err)
	}
	if after := s.app(t); after.ResourceVersion != before.ResourceVersion {
		t.Error("the app was written")
	}
}

func TestARollbackThatChangesNothingIsNoWrite(t *testing.T) {
	for name, test := range map[string]struct {
		revision int64
		options  metav1.CreateOptions
		check    func(error) bool
		message  string
		asked    int
	}{
		"a dry run runs admission":             {1, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}, nil, "", 1},
		"the app is in the revision already":   {2, metav1.CreateOptions{}, nil, "", 0},
		"there is no such revision":            {7, metav1.CreateOptions{}, apierrors.IsNotFound, `app "web" has no revision 7: its revisions are 1, 2`, 0},
		"a revision below 0 is not a revision": {-1, metav1.CreateOptions{}, apierrors.IsInvalid, "toRevision", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			before := s.app(t)
			err := s.rollback(test.revision, test.options)
			if test.check == nil && err != nil || test.check != nil && (!test.check(err) || !strings.Contains(err.Error(), test.message)) {
				t.Errorf("got %v", err)
			}
			if after := s.app(t); after.ResourceVersion != before.ResourceVersion {
				t.Error("the app was written")
			}
			if len(s.judge.seen) != test.asked {
				t.Errorf("admission was called for %q", s.judge.seen)
			}
		})
	}
}

func TestARollbackKeepsConcurrentWrites(t *testing.T) {
	s := newStage(t)
	s.judge.meanwhile = func() {
		changed := s.app(t)
		changed.Spec.Replicas = ptr.To[int32](9)
		if _, _, err := s.App.Update(s.ctx, "web", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.rollback(1, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if after := s.app(t); *after.Spec.Replicas != 9 || after.Spec.Template.Spec.Containers[0].Image != "web:1" {
		t.Errorf("the app has %d replicas of %s", *after.Spec.Replicas, after.Spec.Template.Spec.Containers[0].Image)
	}
}
