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
	"fmt"
	"strconv"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

// Env is the environment of the scenes.
type Env struct {
	// Admin may do everything. It connects to the kube-apiserver if there is one.
	Admin *rest.Config
	// Servers connect to each server directly, to check that all of them have a webhook.
	Servers []*rest.Config
	// Namespace is the prefix of the namespaces of the scenes. Each scene has its own, because a
	// policy stays in force for a second after its deletion.
	Namespace string
	// Standalone is true if there is no cluster, and so no services.
	Standalone bool
	// CatchAll are the API groups of a webhook that matches everything: all groups if the server
	// is not shared, because the webhook blocks all other writers.
	CatchAll []string
	// AuditLogs are the paths of the servers' audit logs.
	AuditLogs []string
	// Measured runs an attack of a hostile webhook or policy, and measures its cost to the server:
	// test/security. It is nil if the cost is not measured.
	Measured func(t *testing.T, name, size string, attack func() (answer string))
}

// scene is one test with its clients and names.
type scene struct {
	*testing.T
	Env
	id      string
	hooks   *hooks
	fleet   versioned.Interface
	cluster kubernetes.Interface
	user    string
	servers []versioned.Interface
}

// row is a scene and its name.
type row struct {
	sentence string
	play     func(*scene)
}

// Run runs every scene, one after the other.
func Run(t *testing.T, env Env) {
	t.Helper()
	run(t, env, append([]row{
		{"webhooks are called for every kind of write, and for no read", everyWrite},
		{"a webhook puts a sidecar into instances", sidecar},
		{"a webhook that changes the object causes a reinvocation of an earlier one", again},
		{"a webhook refuses, and its message reaches the caller", denied},
		{"a webhook that is down stops writes or not, by its failurePolicy", down},
		{"a webhook that is slow stops writes after its timeout, or does not", slow},
		{"a dry run is marked in reviews, and stores nothing", dryRun},
		{"a webhook is called only if its conditions are true", conditions},
		{"a webhook by service is resolved, or the refusal has the cure", service},
		{"a webhook for one version is called for its equivalents, unless it matches exactly", equivalents},
		{"a webhook and a policy are called for tokens of instances", tokens},
		{"a broken webhook for everything can be removed", lockout},
		{"a policy refuses images of registries that its parameters do not name", registries},
		{"a policy is evaluated for scaling, binding and deletion", subresources},
		{"a policy that only warns allows the request", warns},
		{"a policy for one version is evaluated for its equivalents, unless it matches exactly", equivalentsOfPolicies},
		{"annotations of a policy and of a webhook are in the audit log", audited},
		{"a policy adds a label", addsLabel},
		{"a policy changes a scale, and a request for a token, which are not of the fleet's kinds", borrowed},
	}, hostile...))
}

// hostile are the scenes of webhooks and policies that attack the server or its clients.
var hostile = []row{
	{"a webhook that redirects is not followed", redirects},
	{"a webhook cannot change the identity of the object", renames},
	{"the texts of a webhook are truncated, and its codes are those of a refusal", boasts},
	{"policies without a time limit of their own are interrupted", endlessPolicies},
}

// Hostile runs only the scenes of hostile webhooks and policies.
func Hostile(t *testing.T, env Env) {
	t.Helper()
	run(t, env, hostile)
}

func run(t *testing.T, env Env, rows []row) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.sentence, func(t *testing.T) {
			s := &scene{T: t, Env: env, id: utilrand.String(6), hooks: startHooks(t)}
			s.fleet, s.cluster = clients(t, env.Admin)
			for _, server := range env.Servers {
				direct, _ := clients(t, server)
				s.servers = append(s.servers, direct)
			}
			s.makeNamespace()
			row.play(s)
		})
	}
}

// makeNamespace creates the namespace of the scene.
func (s *scene) makeNamespace() {
	s.Helper()
	s.Namespace = s.name(s.Namespace)
	if _, err := s.cluster.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = s.cluster.CoreV1().Namespaces().Delete(context.Background(), s.Namespace, metav1.DeleteOptions{})
	})
	// Instances use this account, and a failing webhook for everything would block its creation.
	s.eventually("the namespace has its default account", func() (bool, error) {
		_, err := s.cluster.CoreV1().ServiceAccounts(s.Namespace).Get(s.Context(), "default", metav1.GetOptions{})
		return err == nil, nil
	})
}

func clients(t *testing.T, config *rest.Config) (versioned.Interface, kubernetes.Interface) {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	fleet, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return fleet, cluster
}

// within returns the same scene in a subtest, with its own webhooks.
func (s *scene) within(t *testing.T) *scene {
	inner := *s
	inner.T, inner.id = t, utilrand.String(6)
	return &inner
}

// name returns a name that no other scene uses.
func (s *scene) name(base string) string { return base + "-" + s.id }

// here selects the namespace of the scene, for webhooks and policies.
func (s *scene) here() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": s.Namespace}}
}

// probePrefix is the prefix of objects that are never stored: a call of a webhook for one
// proves that the server has the webhook.
const probePrefix = "probe-"

// rule matches writes of the fleet's resources.
func rule(resources []string, operations ...admissionregistrationv1.OperationType) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: resources},
	}}
}

// mutate registers mutating webhooks and waits until every server calls them: the last webhook of the
// configuration matches only probes.
func (s *scene) mutate(webhooks ...admissionregistrationv1.MutatingWebhook) {
	s.Helper()
	path := s.name("known")
	s.hooks.set(path, allow)
	configuration := &admissionregistrationv1.MutatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: s.name("gates-mutating")}}
	for _, w := range webhooks {
		w.AdmissionReviewVersions, w.SideEffects = []string{"v1"}, ptr.To(admissionregistrationv1.SideEffectClassNone)
		if w.NamespaceSelector == nil {
			w.NamespaceSelector = s.here()
		}
		w.MatchConditions = append(w.MatchConditions, noProbes)
		configuration.Webhooks = append(configuration.Webhooks, w)
	}
	configuration.Webhooks = append(configuration.Webhooks, admissionregistrationv1.MutatingWebhook{
		Name: "known.gates.example.com", ClientConfig: s.hooks.client(path), Rules: rule([]string{"instances"}, admissionregistrationv1.Create),
		NamespaceSelector: s.here(), ObjectSelector: s.probes(), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	})
	all := s.cluster.AdmissionregistrationV1().MutatingWebhookConfigurations()
	if _, err := all.Create(s.Context(), configuration, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = all.Delete(context.Background(), configuration.Name, metav1.DeleteOptions{}) })
	s.waitKnown(path)
}

// validate does the same with validating webhooks.
func (s *scene) validate(webhooks ...admissionregistrationv1.ValidatingWebhook) {
	s.Helper()
	path := s.name("known-validating") // a mutating one may be in effect already
	s.hooks.set(path, allow)
	configuration := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: s.name("gates-validating")}}
	for _, w := range webhooks {
		w.AdmissionReviewVersions, w.SideEffects = []string{"v1"}, ptr.To(admissionregistrationv1.SideEffectClassNone)
		if w.NamespaceSelector == nil {
			w.NamespaceSelector = s.here()
		}
		w.MatchConditions = append(w.MatchConditions, noProbes)
		configuration.Webhooks = append(configuration.Webhooks, w)
	}
	configuration.Webhooks = append(configuration.Webhooks, admissionregistrationv1.ValidatingWebhook{
		Name: "known.gates.example.com", ClientConfig: s.hooks.client(path), Rules: rule([]string{"instances"}, admissionregistrationv1.Create),
		NamespaceSelector: s.here(), ObjectSelector: s.probes(), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	})
	all := s.cluster.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := all.Create(s.Context(), configuration, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = all.Delete(context.Background(), configuration.Name, metav1.DeleteOptions{}) })
	s.waitKnown(path)
}

// noProbes excludes probes from a scene's webhooks.
var noProbes = admissionregistrationv1.MatchCondition{Name: "no-probes", Expression: "!request.?name.orValue('').startsWith('" + probePrefix + "')"}

func (s *scene) probes() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"gates-probe": s.id}}
}

// waitKnown sends dry runs to every server until it calls the webhook at the path.
func (s *scene) waitKnown(path string) {
	s.Helper()
	for i, server := range s.servers {
		name := fmt.Sprintf("%s%s-%d", probePrefix, s.id, i)
		s.eventually("the webhooks are known to every server", func() (bool, error) {
			probe := s.instance(name)
			probe.Labels = s.probes().MatchLabels
			_, err := server.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), probe, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if apierrors.IsInvalid(err) {
				return false, err
			}
			return s.hooks.probed(path, name), nil
		})
	}
}

// eventually waits until the condition holds; an error fails the test at once.
func (s *scene) eventually(what string, condition func() (bool, error)) {
	s.Helper()
	kit.Eventually(s, what, func(context.Context) bool {
		done, err := condition()
		if err != nil {
			s.Fatalf("waiting until %s: %v", what, err)
		}
		return done
	})
}

// instance returns a valid instance.
func (s *scene) instance(name string) *v1alpha1.Instance {
	return &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: name},
		Spec:       v1alpha1.InstanceSpec{Containers: []v1alpha1.Container{{Name: "web", Image: "registry.example/web:1"}}},
	}
}

// create stores an instance, which is deleted at the end.
func (s *scene) create(instance *v1alpha1.Instance) (*v1alpha1.Instance, error) {
	created, err := s.fleet.FleetV1alpha1().Instances(s.Namespace).Create(s.Context(), instance, metav1.CreateOptions{})
	if err == nil {
		s.Cleanup(func() {
			_ = s.fleet.FleetV1alpha1().Instances(s.Namespace).Delete(context.Background(), created.Name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
		})
	}
	return created, err
}

// attacked creates an instance of that name, and measures the cost of a hostile webhook or policy
// for that request. The row has the name of the test.
func (s *scene) attacked(instance *v1alpha1.Instance) error {
	s.Helper()
	var err error
	create := func() string {
		_, err = s.create(instance)
		return answerOf(err)
	}
	if s.Measured == nil {
		create()
		return err
	}
	_, sentence, _ := strings.Cut(s.Name(), "/")
	s.Measured(s.T, strings.ReplaceAll(sentence, "_", " "), "1 request", create)
	return err
}

// answerOf returns the code of a response.
func answerOf(err error) string {
	if status, ok := err.(apierrors.APIStatus); ok { // clients return it as it is
		return strconv.Itoa(int(status.Status().Code))
	}
	return fmt.Sprint(err)
}

func (s *scene) mustCreate(name string) *v1alpha1.Instance {
	s.Helper()
	created, err := s.create(s.instance(name))
	if err != nil {
		s.Fatal(err)
	}
	return created
}

// refused expects an error with the code and the words.
func (s *scene) refused(what string, err error, code int32, words ...string) {
	s.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok {
		s.Errorf("%s: not refused: %v", what, err)
		return
	}
	if status.Status().Code != code {
		s.Errorf("%s: refused with %d, not %d: %v", what, status.Status().Code, code, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			s.Errorf("%s: %q does not contain %q", what, err, word)
		}
	}
}
