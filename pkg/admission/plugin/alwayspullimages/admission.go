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

package alwayspullimages

import (
	"context"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/admission"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// PluginName is its name in flags and messages.
const PluginName = "AlwaysPullImages"

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin implements admission.MutationInterface and admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
}

var (
	_ admission.MutationInterface   = &Plugin{}
	_ admission.ValidationInterface = &Plugin{}
)

// New returns the plugin.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Create, admission.Update)} }

// Admit sets the policy. It is immutable in a stored instance, so Validate refuses another one there.
func (*Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if _, isInstance := a.GetObject().(*fleet.Instance); isInstance && a.GetOperation() == admission.Update {
		return nil
	}
	for _, c := range concerned(a) {
		if c.container.ImagePullPolicy != fleet.PullAlways {
			c.container.ImagePullPolicy = fleet.PullAlways
			diagnostics.From(ctx).Changed("spec.containers.imagePullPolicy")
		}
	}
	return nil
}

// Validate refuses another policy, which a webhook may have set.
func (*Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	for _, c := range concerned(a) {
		if c.container.ImagePullPolicy == fleet.PullAlways {
			continue
		}
		cure := "set it"
		if _, isInstance := a.GetObject().(*fleet.Instance); isInstance && a.GetOperation() == admission.Update {
			cure = "create a new instance with the new image"
		}
		return admission.NewForbidden(a, fmt.Errorf("%s: it must be %s, not %s: %s", c.path.Child("imagePullPolicy"), fleet.PullAlways, c.container.ImagePullPolicy, cure))
	}
	return nil
}

type concernedContainer struct {
	container *fleet.Container
	path      *field.Path
}

// concerned returns the containers that must have the policy Always: all of a new object, and those with
// a new image in an update.
func concerned(a admission.Attributes) []concernedContainer {
	if a.GetSubresource() != "" || a.GetResource().Group != fleet.GroupName || copyOfApp(a.GetObject()) {
		return nil
	}
	containers, path := containersOf(a.GetObject())
	images := map[string]string{}
	if a.GetOperation() == admission.Update {
		old, _ := containersOf(a.GetOldObject())
		for i := range old {
			images[old[i].Name] = old[i].Image
		}
	}
	var all []concernedContainer
	for i := range containers {
		if image, known := images[containers[i].Name]; known && image == containers[i].Image {
			continue
		}
		all = append(all, concernedContainer{&containers[i], path.Index(i)})
	}
	return all
}

func containersOf(object runtime.Object) ([]fleet.Container, *field.Path) {
	template := field.NewPath("spec", "template", "spec", "containers")
	switch o := object.(type) {
	case *fleet.Instance:
		return o.Spec.Containers, field.NewPath("spec", "containers")
	case *fleet.App:
		return o.Spec.Template.Spec.Containers, template
	case *fleet.Release:
		return o.Spec.Template.Spec.Containers, template
	}
	return nil, nil
}

// copyOfApp reports whether the object is the release of an App. A forged owner reference has no
// effect: the plugin changes the release's instances.
func copyOfApp(object runtime.Object) bool {
	release, ok := object.(*fleet.Release)
	if !ok {
		return false
	}
	owner := metav1.GetControllerOf(release)
	return owner != nil && owner.Kind == "App" && schema.FromAPIVersionAndKind(owner.APIVersion, "").Group == fleet.GroupName
}
