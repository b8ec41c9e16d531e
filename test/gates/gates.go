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

package gates

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
)

// patience is how long anything may take. Nothing here takes seconds on an idle machine,
// but for a webhook that is slow on purpose, and policies, which are read every second.
const patience = 2 * time.Minute

// Env is where the scenes take place.
type Env struct {
	// Admin may do everything. It leads through kube-apiserver where there is one.
	Admin *rest.Config
	// Servers lead to each server directly: whether all of them know a webhook.
	Servers []*rest.Config
	// Namespace begins the names of namespaces that the scenes make, each its own: what a
	// policy of one has left behind for a second must not meet another.
	Namespace string
	// Standalone says that there is no cluster, and so no services.
	Standalone bool
	// CatchAll are the API groups of a webhook that asks for everything: all of them where
	// nobody else is there, who would be locked out.
	CatchAll []string
	// AuditLogs are the files of the servers' audit logs.
	AuditLogs []string
	// Measured runs what a hostile webhook or policy makes a server do, and measures its cost:
	// test/attacks. Nil where the cost is not measured.
	Measured func(t *testing.T, name, size string, attack func() (answer string))
}

// scene is one of them.
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

// row is a scene with its sentence.
type row struct {
	sentence string
	play     func(*scene)
}

// Run plays every scene, one after the other.
func Run(t *testing.T, env Env) {
	t.Helper()
	run(t, env, append([]row{
		{"webhooks are asked about every kind of write, and about no read", everyWrite},
		{"a webhook puts a sidecar into instances", sidecar},
		{"a webhook that changes what an earlier one has seen makes it look again", again},
		{"a webhook refuses, and its words reach the caller", denied},
		{"a webhook that is down stops writes, or does not, as its failurePolicy says", down},
		{"a webhook that is slow stops writes after its timeout, or does not", slow},
		{"a dry run tells webhooks so, and stores nothing", dryRun},
		{"a webhook is asked only where its conditions hold", conditions},
		{"a webhook by service is found, or the refusal says what to do", service},
		{"a webhook for one version is asked about its equivalents, unless it wants exactly that one", equivalents},
		{"a webhook and a policy are asked about tokens of instances", tokens},
		{"a broken webhook for everything keeps nobody from removing it", lockout},
		{"a policy refuses images of registries that its parameters do not name", registries},
		{"a policy looks at scaling, binding and deletion", subresources},
		{"a policy that only warns lets pass", warns},
		{"a policy for one version looks at its equivalents, unless it wants exactly that one", equivalentsOfPolicies},
		{"what a policy and a webhook note is in the audit log", audited},
		{"a policy adds a label", addsLabel},
		{"a policy changes a scale, and a request for a token, which are not of the fleet's kinds", borrowed},
	}, hostile...))
}

// hostile are the scenes of webhooks and policies that attack the server or its callers.
var hostile = []row{
	{"a webhook that redirects is not followed", redirects},
	{"a webhook makes no other object of the one that it is asked about", renames},
	{"what a webhook says is cut, and its codes are those of a refusal", boasts},
	{"policies that take all the time that they can get are stopped", endlessPolicies},
}

// Hostile plays the scenes of hostile webhooks and policies alone.
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

// makeNamespace makes the scene's own.
func (s *scene) makeNamespace() {
	s.Helper()
	s.Namespace = s.name(s.Namespace)
	if _, err := s.cluster.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}, metav1.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = s.cluster.CoreV1().Namespaces().Delete(context.Background(), s.Namespace, metav1.DeleteOptions{})
	})
	// Instances act as it, and a webhook for everything that is down would keep it from being made.
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

// within is the same scene in a test of its own, with webhooks of its own.
func (s *scene) within(t *testing.T) *scene {
	inner := *s
	inner.T, inner.id = t, utilrand.String(6)
	return &inner
}

// name is one that no other scene uses.
func (s *scene) name(base string) string { return base + "-" + s.id }

// here limits webhooks and policies to the namespace of the scenes.
func (s *scene) here() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": s.Namespace}}
}

// probePrefix begins the names of objects that are never stored: whether a webhook is asked
// about them says that the server knows it.
const probePrefix = "probe-"

// rule matches writes of the fleet's resources.
func rule(resources []string, operations ...admissionregistrationv1.OperationType) []admissionregistrationv1.RuleWithOperations {
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: operations,
		Rule:       admissionregistrationv1.Rule{APIGroups: []string{v1alpha1.GroupName}, APIVersions: []string{"*"}, Resources: resources},
	}}
}

// mutate registers mutating webhooks and waits until every server asks them: the last of the
// configuration is one that is asked about probes only.
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
	path := s.name("known-validating") // a mutating one may be known already
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

// noProbes keeps a scene's webhooks from seeing what only asks whether they are known.
var noProbes = admissionregistrationv1.MatchCondition{Name: "no-probes", Expression: "!request.?name.orValue('').startsWith('" + probePrefix + "')"}

func (s *scene) probes() *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"gates-probe": s.id}}
}

// waitKnown asks every server in a dry run until it asks the webhook at the path.
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

func (s *scene) eventually(what string, condition func() (bool, error)) {
	s.Helper()
	if err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) { return condition() }); err != nil {
		s.Fatalf("never came true: %s: %v", what, err)
	}
}

// instance is one that the server takes.
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

// attacked creates an instance of that name, and measures what a hostile webhook or policy makes
// that request cost. The row has the sentence of the test.
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

// answerOf is the code of an answer.
func answerOf(err error) string {
	if status, ok := err.(apierrors.APIStatus); ok { //nolint:errorlint // clients return it as it is
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

// refused wants an error with a code that says the words.
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
			s.Errorf("%s: %q does not say %q", what, err, word)
		}
	}
}
