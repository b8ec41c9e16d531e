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

package requests

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

// wantError fails the test unless the error has the reason, names exactly the fields and contains the words.
func wantError(t *testing.T, err error, reason metav1.StatusReason, words string, fields ...string) {
	t.Helper()
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) || apierrors.ReasonForError(err) != reason {
		t.Errorf("answered with %v, not with reason %s", err, reason)
		return
	}
	if !strings.Contains(err.Error(), words) {
		t.Errorf("answered %q, which does not contain %q", err, words)
	}
	status := answer.Status()
	if got := (harness.RawAnswer{Status: &status}).Fields(); !slices.Equal(got, fields) {
		t.Errorf("named the fields %q, not %q", got, fields)
	}
}

func TestOfTwoHostsThatBindOneInstanceAtTheSameTimeExactlyOneWins(t *testing.T) {
	server := servertesting.Start(t)
	client, raw := harness.NewFleetClient(t, server.Config), harness.NewRawClient(t, server.Config)
	hosts := []string{"edge-1", "edge-2"}
	for _, host := range hosts {
		client.CreateHost(t, host)
	}
	type outcome struct {
		host   string
		answer harness.RawAnswer
		err    error
	}
	wins, undecided := map[string]int{}, 0
	for round := range 60 {
		name := fmt.Sprintf("round-%d", round)
		created := client.CreateInstance(t, name)

		start, outcomes := make(chan struct{}), make(chan outcome, len(hosts))
		for _, host := range hosts {
			go func() {
				<-start
				answer, err := raw.Try(t.Context(), http.MethodPost, harness.InstancesPath+"/"+name+"/binding", harness.JSONBody, "",
					`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","metadata":{"name":"`+name+`"},"target":{"kind":"Host","name":"`+host+`"}}`)
				outcomes <- outcome{host, answer, err}
			}()
		}
		close(start)

		winner := ""
		codes := map[int]int{}
		var refusal *metav1.Status
		for range hosts {
			o := <-outcomes
			if o.err != nil {
				t.Fatal(o.err)
			}
			codes[o.answer.Code]++
			if o.answer.Code == http.StatusCreated {
				winner = o.host
			} else {
				refusal = o.answer.Status
			}
		}
		if codes[http.StatusInternalServerError]+codes[http.StatusGatewayTimeout] > 0 {
			// etcd on a busy disk did not respond in time. The winner is unknown, so the round is not checked.
			undecided++
			continue
		}
		if codes[http.StatusCreated] != 1 || codes[http.StatusConflict] != 1 {
			t.Fatalf("round %d: answered with %v, not one 201 and one 409", round, codes)
		}
		if refusal == nil || refusal.Reason != metav1.StatusReasonConflict || !strings.Contains(refusal.Message, fmt.Sprintf("is already bound to host %q", winner)) {
			t.Fatalf("round %d: %s won, and the other got %+v", round, winner, refusal)
		}
		bound := client.GetInstance(t, name)
		if bound.Spec.HostName != winner || bound.Generation != created.Generation+1 {
			t.Fatalf("round %d: %s won, but the instance is on %q with generation %d", round, winner, bound.Spec.HostName, bound.Generation)
		}
		wins[winner]++
	}
	t.Logf("wins: %v", wins)
	if undecided > 10 {
		t.Errorf("%d of 60 rounds were undecided", undecided)
	}
}

func TestABindingSetsHostGenerationAndScheduledConditionAndAnswersWithAStatus(t *testing.T) {
	server := servertesting.Start(t)
	client, raw := harness.NewFleetClient(t, server.Config), harness.NewRawClient(t, server.Config)
	client.CreateHost(t, "edge-1")
	created := client.CreateInstance(t, "web", func(i *v1alpha1.Instance) { i.Annotations = map[string]string{"kept": "yes"} })

	answer := raw.Do(t, http.MethodPost, harness.InstancesPath+"/web/binding", harness.JSONBody, "",
		`{"apiVersion":"fleet.gatehouse.dev/v1alpha1","kind":"Binding","metadata":{"annotations":{"scheduler":"s"}},"target":{"name":"edge-1"}}`)
	if answer.Code != http.StatusCreated {
		t.Fatalf("answered with code %d: %s", answer.Code, answer.Body)
	}
	// A kube-apiserver gives this response to the binding of a pod.
	var got, want any
	answer.Into(t, &got)
	if err := json.Unmarshal([]byte(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Success","code":201}`), &want); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("answered %v, not %v", got, want)
	}

	bound := client.GetInstance(t, "web")
	if bound.Spec.HostName != "edge-1" {
		t.Errorf("spec.hostName is %q", bound.Spec.HostName)
	}
	if bound.Generation != created.Generation+1 {
		t.Errorf("generation is %d, not one more than %d", bound.Generation, created.Generation)
	}
	if bound.Annotations["kept"] != "yes" || bound.Annotations["scheduler"] != "s" {
		t.Errorf("annotations are %v: those of the instance and of the binding belong there", bound.Annotations)
	}
	scheduled := apimeta.FindStatusCondition(bound.Status.Conditions, v1alpha1.InstanceConditionScheduled)
	if scheduled == nil || scheduled.Status != metav1.ConditionTrue || scheduled.Reason != "Bound" || scheduled.ObservedGeneration != bound.Generation ||
		!strings.Contains(scheduled.Message, "edge-1") || scheduled.LastTransitionTime.IsZero() {
		t.Errorf("condition Scheduled is %+v", scheduled)
	}
	if bound.Status.Phase != v1alpha1.InstancePending {
		t.Errorf("phase is %q: binding is not running", bound.Status.Phase)
	}
	// A bound instance can be updated: nothing that binding stores is invalid.
	bound.Labels = map[string]string{"a": "b"}
	if _, err := client.FleetV1alpha1().Instances("default").Update(t.Context(), bound, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
}

func TestADryRunBindingChangesNothing(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	created := client.CreateInstance(t, "web")
	if _, err := client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{}, metav1.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if after := client.GetInstance(t, "web"); after.ResourceVersion != created.ResourceVersion || after.Spec.HostName != "" {
		t.Errorf("the dry run left host %q and resourceVersion %s, not none and %s", after.Spec.HostName, after.ResourceVersion, created.ResourceVersion)
	}
	_, err := client.Bind(t.Context(), "web", "nobody", metav1.ObjectMeta{}, metav1.DryRunAll)
	wantError(t, err, metav1.StatusReasonInvalid, "Not found", "target.name")
	client.MustBind(t, "web", "edge-1")
	_, err = client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{}, metav1.DryRunAll)
	wantError(t, err, metav1.StatusReasonConflict, "is already bound to host")
}

func TestABindingIsRefusedUnlessItsPreconditionsHold(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	created := client.CreateInstance(t, "web")
	changed := created.DeepCopy()
	changed.Labels = map[string]string{"a": "b"}
	changed, err := client.FleetV1alpha1().Instances("default").Update(t.Context(), changed, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	_, err = client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{UID: types.UID("other")})
	wantError(t, err, metav1.StatusReasonConflict, "UID in precondition: other")
	_, err = client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{UID: created.UID, ResourceVersion: created.ResourceVersion})
	wantError(t, err, metav1.StatusReasonConflict, "ResourceVersion in precondition: "+created.ResourceVersion)
	_, err = client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{UID: types.UID("other"), ResourceVersion: changed.ResourceVersion}, metav1.DryRunAll)
	wantError(t, err, metav1.StatusReasonConflict, "UID in precondition: other")
	if after := client.GetInstance(t, "web"); after.Spec.HostName != "" {
		t.Fatalf("the instance was bound to %q nevertheless", after.Spec.HostName)
	}
	if _, err := client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{Name: "web", Namespace: "default", UID: created.UID, ResourceVersion: changed.ResourceVersion}); err != nil {
		t.Errorf("right preconditions: %v", err)
	}
}

func TestATerminatingInstanceTakesNoHost(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "web", func(i *v1alpha1.Instance) { i.Finalizers = []string{"example.com/wait"} })
	if err := client.FleetV1alpha1().Instances("default").Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{})
	wantError(t, err, metav1.StatusReasonConflict, "is being deleted and cannot be bound")
	if after := client.GetInstance(t, "web"); after.Spec.HostName != "" {
		t.Errorf("the instance was bound to %q nevertheless", after.Spec.HostName)
	}
}

func TestABindingToAHostThatDoesNotExistIsRefusedUntilItDoes(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateInstance(t, "web")
	_, err := client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{})
	wantError(t, err, metav1.StatusReasonInvalid, `target.name: Not found: "edge-1"`, "target.name")
	client.CreateHost(t, "edge-1")
	client.MustBind(t, "web", "edge-1")
	_, err = client.Bind(t.Context(), "gone", "edge-1", metav1.ObjectMeta{})
	wantError(t, err, metav1.StatusReasonNotFound, `instances.fleet.gatehouse.dev "gone" not found`)
}

func TestABindingWhoseAnnotationsOverloadTheInstanceIsRefused(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	client.CreateInstance(t, "web", func(i *v1alpha1.Instance) {
		i.Annotations = map[string]string{"large": strings.Repeat("x", 200<<10)}
	})
	_, err := client.Bind(t.Context(), "web", "edge-1", metav1.ObjectMeta{Annotations: map[string]string{"more": strings.Repeat("y", 100<<10)}})
	wantError(t, err, metav1.StatusReasonInvalid, "may not be more than 262144", "metadata.annotations")
	client.MustBind(t, "web", "edge-1")
}

func TestNothingButABindingSetsTheHost(t *testing.T) {
	client := harness.NewFleetClient(t, servertesting.Start(t).Config)
	client.CreateHost(t, "edge-1")
	instances := client.FleetV1alpha1().Instances("default")

	_, err := instances.Create(t.Context(), &v1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: "wrong"},
		Spec:       v1alpha1.InstanceSpec{HostName: "edge-1", Containers: []v1alpha1.Container{{Name: "web", Image: "web:1"}}},
	}, metav1.CreateOptions{})
	wantError(t, err, metav1.StatusReasonInvalid, "create a Binding at its binding subresource instead", "spec.hostName")

	instance := client.CreateInstance(t, "web")
	instance.Spec.HostName = "edge-1"
	_, err = instances.Update(t.Context(), instance, metav1.UpdateOptions{})
	wantError(t, err, metav1.StatusReasonInvalid, "only by creating a Binding", "spec.hostName")
	updated, err := instances.UpdateStatus(t.Context(), instance, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if updated.Spec.HostName != "" {
		t.Errorf("a status update bound the instance to %q", updated.Spec.HostName)
	}
}
