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

package limitranger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/client-go/informers"
	corelisters "k8s.io/client-go/listers/core/v1"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1/helper"
	"github.com/gatehouse-dev/gatehouse/pkg/diagnostics"
)

// PluginName is its name in flags and messages.
const PluginName = "LimitRanger"

// annotation names what the plugin has set, as on a pod.
const annotation = "kubernetes.io/limit-ranger"

// Register adds the plugin's factory.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) { return New(), nil })
}

// Plugin implements admission.MutationInterface and admission.ValidationInterface.
type Plugin struct {
	*admission.Handler
	limits corelisters.LimitRangeLister
}

var (
	_ admission.MutationInterface                  = &Plugin{}
	_ admission.ValidationInterface                = &Plugin{}
	_ admission.InitializationValidator            = &Plugin{}
	_ initializer.WantsExternalKubeInformerFactory = &Plugin{}
)

// New returns the plugin. It handles creates only: the resources of an instance do not change.
func New() *Plugin { return &Plugin{Handler: admission.NewHandler(admission.Create)} }

// SetExternalKubeInformerFactory implements initializer.WantsExternalKubeInformerFactory.
func (p *Plugin) SetExternalKubeInformerFactory(factory informers.SharedInformerFactory) {
	limits := factory.Core().V1().LimitRanges()
	p.limits = limits.Lister()
	p.SetReadyFunc(limits.Informer().HasSynced)
}

// ValidateInitialization implements admission.InitializationValidator.
func (p *Plugin) ValidateInitialization() error {
	if p.limits == nil {
		return fmt.Errorf("%s needs a lister of limit ranges", PluginName)
	}
	return nil
}

// Admit sets the defaults. The first limit range by name that has a default counts, and in it the last
// item.
func (p *Plugin) Admit(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	instance, ranges, err := p.read(a)
	if err != nil || len(ranges) == 0 {
		return err
	}
	var set []string
	for _, limits := range ranges {
		set = append(set, setDefaults(instance, defaultsOf(limits))...)
	}
	if len(set) > 0 {
		if instance.Annotations == nil {
			instance.Annotations = map[string]string{}
		}
		instance.Annotations[annotation] = PluginName + " plugin set: " + strings.Join(set, "; ")
		diagnostics.From(ctx).Changed("spec.containers.resources")
	}
	return nil
}

// Validate refuses what is outside of the bounds, and names all of it.
func (p *Plugin) Validate(_ context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	instance, ranges, err := p.read(a)
	if err != nil {
		return err
	}
	var refusals []string
	for _, limits := range ranges {
		for i := range limits.Spec.Limits {
			for _, refusal := range check(instance, &limits.Spec.Limits[i]) {
				refusals = append(refusals, refusal+" (limit range "+limits.Name+")")
			}
		}
	}
	if len(refusals) > 0 {
		return admission.NewForbidden(a, errors.New(strings.Join(refusals, "; ")))
	}
	return nil
}

// read returns the instance of the request and the limit ranges of its namespace, sorted by name. It
// returns none for other objects.
func (p *Plugin) read(a admission.Attributes) (*fleet.Instance, []*corev1.LimitRange, error) {
	if a.GetResource().GroupResource() != fleet.Resource("instances") || a.GetSubresource() != "" {
		return nil, nil, nil
	}
	instance, ok := a.GetObject().(*fleet.Instance)
	if !ok {
		return nil, nil, nil
	}
	if !p.WaitForReady() {
		return nil, nil, admission.NewForbidden(a, errors.New("the limit ranges have not been read yet: try again"))
	}
	ranges, err := p.limits.LimitRanges(a.GetNamespace()).List(labels.Everything())
	slices.SortFunc(ranges, func(a, b *corev1.LimitRange) int { return cmp.Compare(a.Name, b.Name) })
	return instance, ranges, err
}

// defaultsOf returns the defaults for containers of a limit range. As for pods, the last item that has a
// default counts.
func defaultsOf(limits *corev1.LimitRange) *corev1.LimitRangeItem {
	all := &corev1.LimitRangeItem{Default: corev1.ResourceList{}, DefaultRequest: corev1.ResourceList{}}
	for i := range limits.Spec.Limits {
		if item := &limits.Spec.Limits[i]; item.Type == corev1.LimitTypeContainer {
			maps.Copy(all.Default, item.Default)
			maps.Copy(all.DefaultRequest, item.DefaultRequest)
		}
	}
	return all
}

// setDefaults sets what the containers do not, and returns a sentence for each container and list
// that it changed.
func setDefaults(instance *fleet.Instance, item *corev1.LimitRangeItem) []string {
	var changes []string
	for i := range instance.Spec.Containers {
		container := &instance.Spec.Containers[i]
		for _, list := range []struct {
			name  string
			set   *fleet.ResourceList
			given corev1.ResourceList
		}{
			{"request", &container.Resources.Requests, item.DefaultRequest},
			{"limit", &container.Resources.Limits, item.Default},
		} {
			if added := complete(list.set, list.given); len(added) > 0 {
				changes = append(changes, fmt.Sprintf("%s %s for container %s", strings.Join(added, ", "), list.name, container.Name))
			}
		}
	}
	return changes
}

// complete adds defaults to a list, and returns their names.
func complete(list *fleet.ResourceList, defaults corev1.ResourceList) []string {
	var added []string
	for _, name := range slices.Sorted(maps.Keys(defaults)) {
		if _, found := (*list)[fleet.ResourceName(name)]; found || !helper.IsContainerResource(string(name)) {
			continue
		}
		if *list == nil {
			*list = fleet.ResourceList{}
		}
		(*list)[fleet.ResourceName(name)] = defaults[name].DeepCopy()
		added = append(added, string(name))
	}
	return added
}
