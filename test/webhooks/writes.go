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

package webhooks

import (
	"fmt"
	"slices"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// write is one kind of write, and the reviews that webhooks must get for it.
type write struct {
	name string
	do   func() error
	// want has the operation, the resource with subresource, the kind, and which of object and old object
	// are set.
	want []string
}

// told formats a review like write.want.
func told(r *admissionv1.AdmissionRequest) string {
	resource := r.Resource.Resource
	if r.SubResource != "" {
		resource += "/" + r.SubResource
	}
	has := ""
	if len(r.Object.Raw) > 0 {
		has += " object"
	}
	if len(r.OldObject.Raw) > 0 {
		has += " old"
	}
	if ptr.Deref(r.DryRun, false) {
		has += " dry"
	}
	return fmt.Sprintf("%s %s %s%s", r.Operation, resource, r.Kind.Kind, has)
}

// everyWrite registers a mutating and a validating webhook for all writes of the fleet.
func everyWrite(s *scene) {
	s.hooks.set("mutating", allow)
	s.hooks.set("validating", allow)
	all := rule([]string{"*/*"}, admissionregistrationv1.OperationAll)
	s.mutate(admissionregistrationv1.MutatingWebhook{Name: "all.gates.example.com", ClientConfig: s.hooks.client("mutating"), Rules: all})
	s.validate(admissionregistrationv1.ValidatingWebhook{Name: "all.gates.example.com", ClientConfig: s.hooks.client("validating"), Rules: all})
	for _, w := range s.writes() {
		s.hooks.forget("mutating")
		s.hooks.forget("validating")
		if err := w.do(); err != nil {
			s.Errorf("%s: %v", w.name, err)
			continue
		}
		for _, hook := range []string{"mutating", "validating"} {
			var got []string
			for _, call := range s.hooks.calls(hook) {
				// Controllers and agents write, too.
				if call.UserInfo.Username == s.me() {
					got = append(got, told(call))
				}
			}
			// A deletion repeats admission if the watch cache was behind, as for pods.
			if got = slices.Compact(got); !slices.Equal(got, w.want) {
				s.Errorf("%s: the %s webhook was called for %q, not %q", w.name, hook, got, w.want)
			}
		}
	}
	s.hooks.forget("mutating")
	s.hooks.forget("validating")
	s.reads()
	for _, hook := range []string{"mutating", "validating"} {
		for _, call := range s.hooks.calls(hook) {
			if call.UserInfo.Username == s.me() {
				s.Errorf("the %s webhook was called for a read: %s", hook, told(call))
			}
		}
	}
}

// me returns the user's name as in admission requests.
func (s *scene) me() string {
	s.Helper()
	if s.user == "" {
		review, err := s.cluster.AuthenticationV1().SelfSubjectReviews().Create(s.Context(), selfReview(), metav1.CreateOptions{})
		if err != nil {
			s.Fatal(err)
		}
		s.user = review.Status.UserInfo.Username
	}
	return s.user
}

// app returns an app with zero replicas and the image.
func (s *scene) app(image string) *v1alpha1.App {
	labels := map[string]string{"app": s.name("web")}
	return &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: s.name("web")},
		Spec: v1alpha1.AppSpec{
			Replicas: ptr.To[int32](0), Paused: true, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1alpha1.InstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: image}}},
			},
		},
	}
}

// release returns a revision of the app, as its controller creates it.
func (s *scene) release(app *v1alpha1.App, image string, revision int) *v1alpha1.Release {
	template := *s.app(image).Spec.Template.DeepCopy()
	template.Labels[v1alpha1.TemplateHashLabel] = fmt.Sprint(revision)
	return &v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.Namespace, Name: fmt.Sprintf("%s-%d", app.Name, revision), Labels: template.Labels,
			Annotations:     map[string]string{v1alpha1.RevisionAnnotation: fmt.Sprint(revision)},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(app, v1alpha1.SchemeGroupVersion.WithKind("App"))},
		},
		Spec: v1alpha1.ReleaseSpec{Replicas: ptr.To[int32](0), Selector: &metav1.LabelSelector{MatchLabels: template.Labels}, Template: template},
	}
}

// writes returns all kinds of writes of the fleet's resources. Each depends on the ones before.
func (s *scene) writes() []write {
	ctx, client := s.Context(), s.fleet.FleetV1alpha1()
	instances, apps, releases, hosts, leases := client.Instances(s.Namespace), client.Apps(s.Namespace), client.Releases(s.Namespace), client.Hosts(), client.HostLeases()
	name := s.name("w")
	now := metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}
	app := &v1alpha1.App{}
	s.Cleanup(func() { _ = apps.Delete(s.background(), s.name("web"), metav1.DeleteOptions{}) })
	simple := []write{
		{"create, dry run", func() error {
			_, err := instances.Create(ctx, s.instance(name), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}, []string{"CREATE instances Instance object dry"}},
		{"create", func() error { _, err := instances.Create(ctx, s.instance(name), metav1.CreateOptions{}); return err }, []string{"CREATE instances Instance object"}},
		{"update", func() error {
			instance, err := instances.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			instance.Labels = map[string]string{"updated": "true"}
			_, err = instances.Update(ctx, instance, metav1.UpdateOptions{})
			return err
		}, []string{"UPDATE instances Instance object old"}},
		{"patch", func() error {
			_, err := instances.Patch(ctx, name, types.MergePatchType, []byte(`{"metadata":{"labels":{"patched":"true"}}}`), metav1.PatchOptions{})
			return err
		}, []string{"UPDATE instances Instance object old"}},
		{"patch of the status", func() error {
			_, err := instances.Patch(ctx, name, types.MergePatchType, []byte(`{"status":{"message":"seen"}}`), metav1.PatchOptions{}, "status")
			return err
		}, []string{"UPDATE instances/status Instance object old"}},
		{"create of a host", func() error {
			_, err := hosts.Create(ctx, &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
			return err
		}, []string{"CREATE hosts Host object"}},
		{"create of a lease", func() error {
			_, err := leases.Create(ctx, &v1alpha1.HostLease{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.HostLeaseSpec{HolderIdentity: name}}, metav1.CreateOptions{})
			return err
		}, []string{"CREATE hostleases HostLease object"}},
		{"binding", func() error {
			_, err := instances.Bind(ctx, name, &v1alpha1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name}, Target: v1alpha1.BindingTarget{Kind: "Host", Name: name}}, metav1.CreateOptions{})
			return err
		}, []string{"CREATE instances/binding Binding object"}},
		{"delete of a lease", func() error { return leases.Delete(ctx, name, metav1.DeleteOptions{}) }, []string{"DELETE hostleases HostLease old"}},
	}
	applied := []byte(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"` + s.name("applied") + `","labels":{"gates":"applied"}},"spec":{"containers":[{"name":"web","image":"registry.example/web:1"}]}}`)
	apply := func() error {
		_, err := instances.Patch(ctx, s.name("applied"), types.ApplyYAMLPatchType, applied, metav1.PatchOptions{FieldManager: "gates"})
		return err
	}
	return append(simple, []write{
		{"apply of what is not there", apply, []string{"CREATE instances Instance object"}},
		{"apply of what is there", apply, []string{"UPDATE instances Instance object old"}},
		{"create of an app", func() error {
			created, err := apps.Create(ctx, s.app("web:2"), metav1.CreateOptions{})
			if err == nil {
				*app = *created
			}
			return err
		}, []string{"CREATE apps App object"}},
		{"create of its releases", func() error {
			for revision, image := range []string{"web:1", "web:2"} {
				if _, err := releases.Create(ctx, s.release(app, image, revision+1), metav1.CreateOptions{}); err != nil {
					return err
				}
			}
			return nil
		}, []string{"CREATE releases Release object"}},
		{"scale", func() error {
			scale, err := apps.GetScale(ctx, app.Name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			_, err = apps.UpdateScale(ctx, app.Name, scale, metav1.UpdateOptions{})
			return err
		}, []string{"UPDATE apps/scale Scale object old"}},
		{"patch of the scale", func() error {
			return client.RESTClient().Patch(types.MergePatchType).Namespace(s.Namespace).Resource("releases").Name(app.Name + "-2").SubResource("scale").
				Body([]byte(`{"spec":{"replicas":0}}`)).Do(ctx).Error()
		}, []string{"UPDATE releases/scale Scale object old"}},
		// A rollback is a separate request, and an update of the app.
		{"rollback", func() error {
			_, err := apps.Rollback(ctx, app.Name, &v1alpha1.AppRollback{ToRevision: 1}, metav1.CreateOptions{})
			return err
		}, []string{"CREATE apps/rollback AppRollback object", "UPDATE apps App object old"}},
		{"rollback, dry run", func() error {
			_, err := apps.Rollback(ctx, app.Name, &v1alpha1.AppRollback{ToRevision: 2}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return err
		}, []string{"CREATE apps/rollback AppRollback object dry", "UPDATE apps App object old dry"}},
		{"delete, dry run", func() error {
			return instances.Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0), DryRun: []string{metav1.DryRunAll}})
		}, []string{"DELETE instances Instance old dry"}},
		{"delete", func() error { return instances.Delete(ctx, name, now) }, []string{"DELETE instances Instance old"}},
		{"delete of a collection", func() error {
			return instances.DeleteCollection(ctx, now, metav1.ListOptions{LabelSelector: "gates=applied"})
		}, []string{"DELETE instances Instance old"}},
		{"delete of a host", func() error { return hosts.Delete(ctx, name, metav1.DeleteOptions{}) }, []string{"DELETE hosts Host old"}},
	}...)
}

// reads sends all kinds of reads.
func (s *scene) reads() {
	s.Helper()
	created := s.mustCreate(s.name("read"))
	s.hooks.forget("mutating")
	s.hooks.forget("validating")
	instances := s.fleet.FleetV1alpha1().Instances(s.Namespace)
	if _, err := instances.Get(s.Context(), created.Name, metav1.GetOptions{}); err != nil {
		s.Error(err)
	}
	list, err := instances.List(s.Context(), metav1.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	watcher, err := instances.Watch(s.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion, AllowWatchBookmarks: true})
	if err != nil {
		s.Fatal(err)
	}
	watcher.Stop()
	if _, err := s.fleet.FleetV1alpha1().Apps(s.Namespace).GetScale(s.Context(), s.name("web"), metav1.GetOptions{}); err != nil {
		s.Error(err)
	}
}
