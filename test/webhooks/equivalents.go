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
	"context"
	"net/http"
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// way is one API version through which an object can be written.
type way struct {
	version metav1.GroupVersionResource
	kind    string
	write   func(ctx context.Context, name string) error
}

// rule matches creates through this version only, unless equivalent matching is on.
func (w way) rule() admissionregistrationv1.RuleWithOperations {
	return admissionregistrationv1.RuleWithOperations{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{w.version.Group}, APIVersions: []string{w.version.Version}, Resources: []string{w.version.Resource}},
	}
}

// ways returns versions of the same storage. The fleet has one version; kinds with two versions
// exist only on a server that stores Kubernetes' own kinds.
func (s *scene) ways() []way {
	if !s.Standalone {
		return []way{{
			version: metav1.GroupVersionResource(v1alpha1.SchemeGroupVersion.WithResource("instances")), kind: "Instance",
			write: func(ctx context.Context, name string) error {
				_, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).Create(ctx, s.instance(name), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
				return err
			},
		}}
	}
	about := corev1.ObjectReference{Namespace: s.Namespace, Kind: "Instance", Name: "some"}
	return []way{{
		version: metav1.GroupVersionResource(corev1.SchemeGroupVersion.WithResource("events")), kind: "Event",
		write: func(ctx context.Context, name string) error {
			_, err := s.cluster.CoreV1().Events(s.Namespace).Create(ctx, &corev1.Event{
				ObjectMeta: metav1.ObjectMeta{Name: name}, InvolvedObject: about, Type: corev1.EventTypeNormal, Reason: "Played", Message: "in a scene",
			}, metav1.CreateOptions{})
			return err
		},
	}, {
		version: metav1.GroupVersionResource(eventsv1.SchemeGroupVersion.WithResource("events")), kind: "Event",
		write: func(ctx context.Context, name string) error {
			_, err := s.cluster.EventsV1().Events(s.Namespace).Create(ctx, &eventsv1.Event{
				ObjectMeta: metav1.ObjectMeta{Name: name}, Regarding: about, Type: corev1.EventTypeNormal, Reason: "Played", Note: "in a scene",
				EventTime: metav1.NowMicro(), ReportingController: "example.com/gates", ReportingInstance: "gates", Action: "Play",
			}, metav1.CreateOptions{})
			return err
		},
	}}
}

var (
	exact      = ptr.To(admissionregistrationv1.Exact)
	equivalent = ptr.To(admissionregistrationv1.Equivalent)
)

// equivalents registers for each version a webhook with exact matching and one with equivalent
// matching; and one for a version that is not served.
func equivalents(s *scene) {
	var webhooks []admissionregistrationv1.ValidatingWebhook
	add := func(name string, policy *admissionregistrationv1.MatchPolicyType, rule admissionregistrationv1.RuleWithOperations) {
		s.hooks.set(name, allow)
		webhooks = append(webhooks, admissionregistrationv1.ValidatingWebhook{
			Name: name + ".gates.example.com", ClientConfig: s.hooks.client(name), MatchPolicy: policy, Rules: []admissionregistrationv1.RuleWithOperations{rule},
		})
	}
	ways := s.ways()
	hooks := []string{"unserved"}
	unserved := ways[0].rule()
	unserved.APIVersions = []string{"v9"}
	add("unserved", equivalent, unserved)
	for _, w := range ways {
		name := label(w)
		add("exact-"+name, exact, w.rule())
		add("equivalent-"+name, equivalent, w.rule())
		hooks = append(hooks, "exact-"+name, "equivalent-"+name)
	}
	s.validate(webhooks...)
	for i, w := range ways {
		for _, hook := range hooks {
			s.hooks.forget(hook)
		}
		if err := w.write(s.Context(), s.name("way"+string(rune('a'+i)))); err != nil {
			s.Errorf("%v: %v", w.version, err)
			continue
		}
		want := []string{"exact-" + label(w)}
		for _, other := range ways {
			want = append(want, "equivalent-"+label(other))
		}
		for _, hook := range hooks {
			calls := s.hooks.calls(hook)
			if wanted := slices.Contains(want, hook); len(calls) != map[bool]int{true: 1}[wanted] {
				s.Errorf("%v: the webhook %s was called %d times", w.version, hook, len(calls))
			}
			for _, call := range calls {
				// The request has the version of the rule, and requestKind the version of the caller.
				if as := call.Kind.Group + "/" + call.Kind.Version; hook != "exact-"+label(w) && as != groupOf(ways, hook) {
					s.Errorf("%v: the webhook %s got the object as %s", w.version, hook, as)
				}
				if call.RequestResource == nil || *call.RequestResource != w.version || call.RequestKind.Kind != w.kind {
					s.Errorf("%v: the webhook %s got a review with requestResource %v and requestKind %v", w.version, hook, call.RequestResource, call.RequestKind)
				}
			}
		}
	}
}

// label returns the version as a part of a webhook's name.
func label(w way) string {
	if w.version.Group == "" {
		return "core"
	}
	return w.version.Group
}

// groupOf returns the version in the webhook's rule.
func groupOf(ways []way, hook string) string {
	for _, w := range ways {
		if hook == "equivalent-"+label(w) {
			return w.version.Group + "/" + w.version.Version
		}
	}
	return ""
}

// equivalentsOfPolicies does the same with policies that refuse.
func equivalentsOfPolicies(s *scene) {
	ways := s.ways()
	for _, policy := range []*admissionregistrationv1.MatchPolicyType{exact, equivalent} {
		s.Run(string(*policy), func(t *testing.T) {
			s := s.within(t)
			// The policy of the other row may still be in force.
			words := "not this way: " + s.id
			s.judge(admissionregistrationv1.ValidatingAdmissionPolicySpec{
				MatchConstraints: &admissionregistrationv1.MatchResources{
					MatchPolicy: policy,
					ResourceRules: []admissionregistrationv1.NamedRuleWithOperations{
						{RuleWithOperations: ways[0].rule()}, {RuleWithOperations: rule(instances, admissionregistrationv1.Create)[0]},
					},
				},
				Validations: []admissionregistrationv1.Validation{{Expression: "object.metadata.name.startsWith('way')", Message: words}},
			}, admissionregistrationv1.Deny)
			s.inForce(s.instance(s.name("never")), words)
			for i, w := range ways {
				if err := w.write(s.Context(), s.name("way"+string(rune('a'+i)))); err != nil {
					t.Errorf("%v: %v", w.version, err)
				}
				err := w.write(s.Context(), s.name("stray"+string(rune('a'+i))))
				if i > 0 && policy == exact {
					if err != nil {
						t.Errorf("%v: %v", w.version, err)
					}
					continue
				}
				s.refused(w.version.String(), err, http.StatusUnprocessableEntity, words)
			}
		})
	}
}
