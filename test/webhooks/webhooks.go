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
	"net/http"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

var (
	instances = []string{"instances"}
	ignore    = ptr.To(admissionregistrationv1.Ignore)
	fail      = ptr.To(admissionregistrationv1.Fail)
)

const addSidecar = `[{"op":"add","path":"/spec/containers/-","value":{"name":"sidecar","image":"registry.example/sidecar:1"}}]`

// injector adds a sidecar to instances without one, like common injectors.
func injector(_ *http.Request, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	if strings.Contains(string(request.Object.Raw), `"sidecar"`) {
		return allow(nil, nil)
	}
	return patch(addSidecar)(nil, nil)
}

func sidecar(s *scene) {
	s.hooks.set("sidecar", injector)
	s.mutate(admissionregistrationv1.MutatingWebhook{Name: "sidecar.gates.example.com", ClientConfig: s.hooks.client("sidecar"), Rules: rule(instances, admissionregistrationv1.Create)})
	created := s.mustCreate(s.name("created"))
	applied, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).Patch(s.Context(), s.name("applied"), types.ApplyYAMLPatchType,
		[]byte(`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Instance","metadata":{"name":"`+s.name("applied")+`"},"spec":{"containers":[{"name":"web","image":"registry.example/web:1"}]}}`),
		metav1.PatchOptions{FieldManager: "gates"})
	if err != nil {
		s.Fatal(err)
	}
	for _, instance := range []*v1alpha1.Instance{created, applied} {
		if len(instance.Spec.Containers) != 2 || instance.Spec.Containers[1].Name != "sidecar" {
			s.Errorf("%s has the containers %+v", instance.Name, instance.Spec.Containers)
			continue
		}
		// An object that a webhook changes is defaulted and validated afterwards.
		if policy := instance.Spec.Containers[1].ImagePullPolicy; policy != v1alpha1.PullIfNotPresent {
			s.Errorf("the sidecar of %s has the pull policy %q", instance.Name, policy)
		}
	}
	s.hooks.set("sidecar", patch(`[{"op":"add","path":"/spec/containers/-","value":{"name":"Not a name","image":"registry.example/sidecar:1"}}]`))
	_, err = s.create(s.instance(s.name("spoilt")))
	s.refused("an instance that a webhook has spoilt", err, http.StatusUnprocessableEntity, "spec.containers[1].name")
}

func again(s *scene) {
	s.hooks.set("first", func(_ *http.Request, request *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
		if strings.Contains(string(request.Object.Raw), `"sidecar"`) {
			return patch(`[{"op":"add","path":"/metadata/labels","value":{"has-sidecar":"true"}}]`)(nil, nil)
		}
		return allow(nil, nil)
	})
	s.hooks.set("second", injector)
	s.mutate(
		admissionregistrationv1.MutatingWebhook{
			Name: "a-first.gates.example.com", ClientConfig: s.hooks.client("first"), Rules: rule(instances, admissionregistrationv1.Create),
			ReinvocationPolicy: ptr.To(admissionregistrationv1.IfNeededReinvocationPolicy),
		},
		admissionregistrationv1.MutatingWebhook{Name: "b-second.gates.example.com", ClientConfig: s.hooks.client("second"), Rules: rule(instances, admissionregistrationv1.Create)},
	)
	created := s.mustCreate(s.name("twice"))
	if created.Labels["has-sidecar"] != "true" || len(created.Spec.Containers) != 2 {
		s.Errorf("labels %v, containers %+v", created.Labels, created.Spec.Containers)
	}
	if first, second := len(s.hooks.calls("first")), len(s.hooks.calls("second")); first != 2 || second != 1 {
		s.Errorf("the first webhook was called %d times and the second %d times, not twice and once", first, second)
	}
}

func denied(s *scene) {
	s.hooks.set("no", deny("team is missing: add the label team"))
	s.validate(admissionregistrationv1.ValidatingWebhook{Name: "no.gates.example.com", ClientConfig: s.hooks.client("no"), Rules: rule([]string{"instances", "hosts"}, admissionregistrationv1.Create)})
	_, err := s.create(s.instance(s.name("denied")))
	s.refused("a create", err, http.StatusForbidden, `admission webhook "no.gates.example.com" denied the request: team is missing: add the label team`, "ValidatingAdmissionWebhook")
	if _, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).Get(s.Context(), s.name("denied"), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		s.Errorf("what was refused is there: %v", err)
	}
	// A namespace selector does not exclude cluster-scoped objects.
	_, err = s.fleet.FleetV1alpha1().Hosts().Create(s.Context(), &v1alpha1.Host{ObjectMeta: metav1.ObjectMeta{Name: s.name("denied")}}, metav1.CreateOptions{})
	s.refused("a create outside of namespaces", err, http.StatusForbidden, `admission webhook "no.gates.example.com" denied the request`)
}

// nobody returns the address of a server that has ended.
func (s *scene) nobody() admissionregistrationv1.WebhookClientConfig {
	gone := startHooks(s.T)
	client := gone.client("nobody")
	gone.server.Close()
	return client
}

func down(s *scene) {
	webhook := admissionregistrationv1.ValidatingWebhook{Name: "down.gates.example.com", ClientConfig: s.nobody(), Rules: rule(instances, admissionregistrationv1.Create, admissionregistrationv1.Delete)}
	before := s.mustCreate(s.name("before"))
	s.Run("Fail", func(t *testing.T) {
		s := s.within(t)
		webhook.FailurePolicy = fail
		s.validate(webhook)
		_, err := s.create(s.instance(s.name("down")))
		s.refused("a create", err, http.StatusInternalServerError, `failed calling webhook "down.gates.example.com"`, "connection refused", "admission plugin ValidatingAdmissionWebhook", "failurePolicy")
		err = s.fleet.FleetV1alpha1().Instances(s.Namespace).Delete(s.Context(), before.Name, metav1.DeleteOptions{})
		s.refused("a delete", err, http.StatusInternalServerError, `failed calling webhook "down.gates.example.com"`)
	})
	s.Run("Ignore", func(t *testing.T) {
		s := s.within(t)
		webhook.FailurePolicy = ignore
		s.validate(webhook)
		s.mustCreate(s.name("ignored"))
	})
}

func slow(s *scene) {
	s.hooks.set("slow", silent)
	webhook := admissionregistrationv1.MutatingWebhook{Name: "slow.gates.example.com", ClientConfig: s.hooks.client("slow"), Rules: rule(instances, admissionregistrationv1.Create), TimeoutSeconds: ptr.To[int32](1)}
	s.Run("Fail", func(t *testing.T) {
		s := s.within(t)
		webhook.FailurePolicy = fail
		s.mutate(webhook)
		_, err := s.create(s.instance(s.name("slow")))
		s.refused("a create", err, http.StatusInternalServerError, `failed calling webhook "slow.gates.example.com"`, "context deadline exceeded", "admission plugin MutatingAdmissionWebhook")
	})
	s.Run("Ignore", func(t *testing.T) {
		s := s.within(t)
		webhook.FailurePolicy = ignore
		s.mutate(webhook)
		s.mustCreate(s.name("ignored"))
	})
}

func dryRun(s *scene) {
	s.hooks.set("dry", injector)
	s.mutate(admissionregistrationv1.MutatingWebhook{Name: "dry.gates.example.com", ClientConfig: s.hooks.client("dry"), Rules: rule(instances, admissionregistrationv1.Create)})
	all := s.fleet.FleetV1alpha1().Instances(s.Namespace)
	answer, err := all.Create(s.Context(), s.instance(s.name("dry")), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		s.Fatal(err)
	}
	if len(answer.Spec.Containers) != 2 {
		s.Errorf("the answer does not show what the webhook does: %+v", answer.Spec.Containers)
	}
	calls := s.hooks.calls("dry")
	if len(calls) != 1 || calls[0].DryRun == nil || !*calls[0].DryRun {
		s.Errorf("the review is not marked as a dry run: %+v", calls)
	}
	if _, err := all.Get(s.Context(), s.name("dry"), metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		s.Errorf("the dry run stored something: %v", err)
	}
}

func conditions(s *scene) {
	s.hooks.set("condition", deny("only where the condition holds"))
	s.validate(admissionregistrationv1.ValidatingWebhook{
		Name: "condition.gates.example.com", ClientConfig: s.hooks.client("condition"), Rules: rule(instances, admissionregistrationv1.Create),
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "many", Expression: "object.spec.containers.size() > 1"}},
	})
	s.mustCreate(s.name("one"))
	two := s.instance(s.name("two"))
	two.Spec.Containers = append(two.Spec.Containers, v1alpha1.Container{Name: "second", Image: "registry.example/second:1"})
	_, err := s.create(two)
	s.refused("an instance for which the condition holds", err, http.StatusForbidden, "only where the condition holds")
	if calls := s.hooks.calls("condition"); len(calls) != 1 || calls[0].Name != two.Name {
		s.Errorf("the webhook was called %d times", len(calls))
	}
}

// lockout runs a failing webhook that matches everything, which can lock up a cluster.
func lockout(s *scene) {
	everything := []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.OperationAll},
		Rule:       admissionregistrationv1.Rule{APIGroups: s.CatchAll, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
	}}
	s.validate(admissionregistrationv1.ValidatingWebhook{Name: "everything.gates.example.com", ClientConfig: s.nobody(), Rules: everything, FailurePolicy: fail, NamespaceSelector: &metav1.LabelSelector{}})
	_, err := s.create(s.instance(s.name("locked")))
	s.refused("a create", err, http.StatusInternalServerError, `failed calling webhook "everything.gates.example.com"`)
	if _, err := s.cluster.AuthorizationV1().SelfSubjectAccessReviews().Create(s.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Group: v1alpha1.GroupName, Resource: "instances"}},
	}, metav1.CreateOptions{}); err != nil {
		s.Errorf("access reviews fail: %v", err)
	}
	if _, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).List(s.Context(), metav1.ListOptions{}); err != nil {
		s.Errorf("reads fail: %v", err)
	}
	if err := s.cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(s.Context(), s.name("gates-validating"), metav1.DeleteOptions{}); err != nil {
		s.Fatalf("it cannot be removed: %v", err)
	}
	s.eventually("writes go through again", func() (bool, error) {
		_, err := s.create(s.instance(s.name("free")))
		return err == nil, nil
	})
}

// warnings records the warnings of a server.
type warnings struct {
	mu   sync.Mutex
	seen []string
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(_ int, _ string, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, text)
}

func (w *warnings) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.seen, "\n")
}

var _ rest.WarningHandler = &warnings{}
