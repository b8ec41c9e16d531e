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
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/kubernetes/pkg/kubeapiserver/options"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
)

type class string

const (
	// library plugins come from k8s.io/apiserver and have the same name in our chain.
	library class = "from the library"
	// ours are plugins of this module, for its kinds.
	ours class = "ours"
	// notForUs are plugins for kinds that are not served here.
	notForUs class = "not for us"
	// quota is charged by the library's plugin with evaluators of this module.
	quota class = "quota"
)

// verdict is the classification of a plugin of kube-apiserver's default chain.
type verdict struct {
	class class
	// as is the name of our plugin if it differs.
	as string
	// why is the reason of the classification.
	why string
}

var verdicts = map[string]verdict{
	"NamespaceLifecycle":            {library, "", "our kinds live in namespaces"},
	"MutatingAdmissionPolicy":       {library, "", "users' policies are about our kinds, too"},
	"MutatingAdmissionWebhook":      {library, "", "users' webhooks are about our kinds, too"},
	"ValidatingAdmissionPolicy":     {library, "", "users' policies are about our kinds, too"},
	"ValidatingAdmissionWebhook":    {library, "", "users' webhooks are about our kinds, too"},
	"ResourceQuota":                 {quota, "", "it counts our kinds, and sums up what instances ask for"},
	"ServiceAccount":                {ours, "", "upstream's looks at pods only; instances have accounts as pods have"},
	"TaintNodesByCondition":         {ours, "HostTaints", "upstream's taints nodes; hosts register themselves as nodes do"},
	"DefaultTolerationSeconds":      {notForUs, "", "the host lifecycle controller knows how long an instance tolerates a host that is not ready, without its being written into each"},
	"LimitRanger":                   {ours, "", "upstream's is about pods only; containers of instances have requests and limits as those of pods have"},
	"Priority":                      {notForUs, "", "instances have no priority class"},
	"RuntimeClass":                  {notForUs, "", "instances have no runtime class"},
	"PodSecurity":                   {notForUs, "", "it is about the security context of pods, which instances do not have"},
	"PodTopologyLabels":             {notForUs, "", "instances get no labels of their host"},
	"PodGroupProtection":            {notForUs, "", "pod groups are not served"},
	"PodResizeValidator":            {notForUs, "", "the resources of an instance do not change"},
	"NodeDeclaredFeatureValidator":  {notForUs, "", "hosts declare no features that instances could need"},
	"DefaultStorageClass":           {notForUs, "", "volumes are not served"},
	"PersistentVolumeClaimResize":   {notForUs, "", "volumes are not served"},
	"StorageObjectInUseProtection":  {notForUs, "", "volumes are not served"},
	"CertificateApproval":           {ours, "", "upstream's are for its internal types; the rights are the same"},
	"CertificateSigning":            {ours, "", "as CertificateApproval"},
	"CertificateSubjectRestriction": {ours, "", "upstream's refuses the group of administrators; ours refuses every reserved name"},
	"ClusterTrustBundleAttest":      {ours, "", "as CertificateApproval"},
	"DefaultIngressClass":           {notForUs, "", "ingresses are not served"},
}

// offAndOurs are plugins that kube-apiserver does not run by default, and that our chain has.
var offAndOurs = map[string]string{
	"AlwaysPullImages":                     "AlwaysPullImages",
	"EventRateLimit":                       "EventRateLimit",
	"NodeRestriction":                      "HostRestriction", // on by default in its installers, not in kube-apiserver
	"OwnerReferencesPermissionEnforcement": "OwnerReferencesPermissionEnforcement",
}

// onlyHere are plugins without a counterpart in kube-apiserver, each with the reason.
var onlyHere = map[string]string{
	"RevocationRestriction": "kube-apiserver revokes no certificates",
}

// TestEveryPluginThatKubeAPIServerRunsByDefaultIsClassified fails if an upgrade of
// Kubernetes adds a plugin. Classify it, and add it to verdicts with the reason.
func TestEveryPluginThatKubeAPIServerRunsByDefaultIsClassified(t *testing.T) {
	on := sets.New(options.AllOrderedPlugins...).Difference(options.DefaultOffAdmissionPlugins())
	for _, name := range sets.List(on) {
		v, known := verdicts[name]
		if !known {
			t.Errorf("kube-apiserver runs %s by default, and it is not classified: add it to verdicts", name)
			continue
		}
		if v.why == "" {
			t.Errorf("%s: no reason", name)
		}
	}
	for name := range verdicts {
		if !on.Has(name) {
			t.Errorf("%s is classified, but kube-apiserver no longer runs it by default", name)
		}
	}
}

func TestTheChainHoldsWhatItIsSaidToHold(t *testing.T) {
	names := admission.Names()
	accounted := sets.New[string]()
	for name, v := range verdicts {
		if v.as != "" {
			name = v.as
		}
		switch v.class {
		case library, ours:
			accounted.Insert(name)
			if !slices.Contains(names, name) {
				t.Errorf("%s is %s, and not in our chain", name, v.class)
			}
		case notForUs:
			if slices.Contains(names, name) {
				t.Errorf("%s is %s, but it is in our chain", name, v.class)
			}
		case quota:
			accounted.Insert(name)
		}
	}
	for upstream, name := range offAndOurs {
		accounted.Insert(name)
		if !options.DefaultOffAdmissionPlugins().Has(upstream) {
			t.Errorf("kube-apiserver has no %s, or runs it by default: move it to verdicts", upstream)
		}
		if !slices.Contains(names, name) {
			t.Errorf("%s is not in our chain", name)
		}
	}
	for name, why := range onlyHere {
		accounted.Insert(name)
		if why == "" || !slices.Contains(names, name) {
			t.Errorf("%s is not in our chain, or has no reason", name)
		}
	}
	for _, name := range names {
		if !accounted.Has(name) {
			t.Errorf("%s is in our chain, and nobody says where it comes from", name)
		}
	}
}

// Plugins that both chains have run in the same order, so that knowledge of one applies to the other.
func TestTheOrderIsThatOfKubeAPIServer(t *testing.T) {
	place := func(name string) int {
		for upstream, v := range verdicts {
			if v.as == name {
				name = upstream
			}
		}
		for upstream, own := range offAndOurs {
			if own == name {
				name = upstream
			}
		}
		return slices.Index(options.AllOrderedPlugins, name)
	}
	last, before := -1, ""
	for _, name := range admission.Names() {
		at := place(name)
		if at < 0 {
			continue // only here; the test above requires the reason
		}
		if at < last {
			t.Errorf("%s comes after %s here and before it in kube-apiserver", name, before)
		}
		last, before = at, name
	}
}
