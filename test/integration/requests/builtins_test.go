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
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"

	servertesting "github.com/gatehouse-dev/gatehouse/cmd/gatehouse/app/testing"
	"github.com/gatehouse-dev/gatehouse/pkg/server/options"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
	"github.com/gatehouse-dev/gatehouse/test/kit"
)

func TestWhatAServerHasFromItsFirstStartIsNotMadeAnew(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.BuiltinClient(t, server)
	uids := func(client *kubernetes.Clientset) map[string]types.UID {
		t.Helper()
		found := map[string]types.UID{}
		for _, name := range []string{"default", "kube-system"} {
			namespace, err := client.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			account, err := client.CoreV1().ServiceAccounts(name).Get(t.Context(), "default", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			found["namespace "+name], found["account in "+name] = namespace.UID, account.UID
		}
		return found
	}
	first := uids(client)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	again := servertesting.Start(t, func(o *options.Options) { o.DataDir = server.DataDir })
	for what, uid := range uids(harness.BuiltinClient(t, again)) {
		if uid != first[what] {
			t.Errorf("%s is another one after a restart", what)
		}
	}
}

func TestANamespaceGoesWhenItsFinalizersAreGone(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.BuiltinClient(t, server)
	namespaces := client.CoreV1().Namespaces()
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team", Finalizers: []string{"example.com/mine"}}}
	if _, err := namespaces.Create(t.Context(), team, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := namespaces.Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	closed, err := namespaces.Get(t.Context(), "team", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if closed.DeletionTimestamp == nil || closed.Status.Phase != corev1.NamespaceTerminating || !slices.Equal(closed.Spec.Finalizers, []corev1.FinalizerName{corev1.FinalizerKubernetes}) {
		t.Fatalf("after the first DELETE: %+v", closed)
	}
	// Admission observes the deletion in its informer, a moment later.
	kit.Eventually(t, "nothing new gets in", func(ctx context.Context) bool {
		_, err := client.CoreV1().ConfigMaps("team").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "late-"}}, metav1.CreateOptions{})
		return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
	})
	t.Run("a second DELETE changes nothing", func(t *testing.T) {
		if err := namespaces.Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if again, err := namespaces.Get(t.Context(), "team", metav1.GetOptions{}); err != nil || again.ResourceVersion != closed.ResourceVersion {
			t.Errorf("got %+v, %v", again, err)
		}
	})
	t.Run("another namespace of that name is not meant", func(t *testing.T) {
		other := types.UID("other")
		if err := namespaces.Delete(t.Context(), "team", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}); !apierrors.IsConflict(err) {
			t.Errorf("got %v, want a conflict", err)
		}
	})
	closed.Spec.Finalizers = nil
	emptied, err := namespaces.Finalize(t.Context(), closed, metav1.UpdateOptions{})
	if err != nil || len(emptied.Spec.Finalizers) > 0 {
		t.Fatalf("finalize: %+v, %v", emptied, err)
	}
	if _, err := namespaces.Get(t.Context(), "team", metav1.GetOptions{}); err != nil {
		t.Fatalf("it was removed although a foreign finalizer was left: %v", err)
	}
	emptied.Finalizers = nil
	if _, err := namespaces.Update(t.Context(), emptied, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := namespaces.Get(t.Context(), "team", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("it is still there: %v", err)
	}
	for _, name := range []string{"default", "kube-system"} {
		if err := namespaces.Delete(t.Context(), name, metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("deleting %s: %v, want Forbidden", name, err)
		}
	}
}

func TestTheTypeOfTheWireLeaksNowhere(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.BuiltinClient(t, server)
	config := applycorev1.ConfigMap("applied", "default").WithData(map[string]string{"a": "b"})
	if _, err := client.CoreV1().ConfigMaps("default").Apply(t.Context(), config, metav1.ApplyOptions{FieldManager: "test"}); err != nil {
		t.Fatal(err)
	}
	t.Run("apply records the owners of fields", func(t *testing.T) {
		got, err := client.CoreV1().ConfigMaps("default").Get(t.Context(), "applied", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.ManagedFields) != 1 || got.ManagedFields[0].APIVersion != "v1" || got.ManagedFields[0].FieldsV1.GetRawString() != `{"f:data":{"f:a":{}}}` {
			t.Errorf("managedFields are %+v", got.ManagedFields)
		}
	})
	raw := harness.NewRawClient(t, server.Config)
	t.Run("items of a list carry no kind, wherever they come from", func(t *testing.T) {
		for _, query := range []string{"", "?resourceVersion=0", "?limit=1"} {
			answer := raw.Do(t, http.MethodGet, "/api/v1/namespaces/default/configmaps"+query, "", "", "")
			var list struct{ Items []metav1.TypeMeta }
			// The published kube-root-ca.crt may be there, too.
			if err := json.Unmarshal(answer.Body, &list); err != nil || len(list.Items) == 0 || slices.ContainsFunc(list.Items, func(meta metav1.TypeMeta) bool { return meta != metav1.TypeMeta{} }) {
				t.Errorf("%s: %s", query, answer.Body)
			}
		}
	})
	t.Run("OpenAPI describes the bearer token and the answer 401 of every operation", func(t *testing.T) {
		for path, scheme := range map[string]string{"/openapi/v2": `"securityDefinitions":{"BearerToken":`, "/openapi/v3/api/v1": `"securitySchemes":{"BearerToken":`} {
			body := strings.ReplaceAll(string(raw.Do(t, http.MethodGet, path, "", "", "").Body), ": ", ":")
			if !strings.Contains(body, scheme) {
				t.Errorf("%s has no %s", path, scheme)
			}
			if operations, unauthorized := strings.Count(body, `"operationId":`), strings.Count(body, `"401":`); operations == 0 || unauthorized < operations {
				t.Errorf("%s describes %d operations and the answer 401 of %d", path, operations, unauthorized)
			}
		}
	})
	t.Run("OpenAPI names the kinds of the wire, and no others", func(t *testing.T) {
		for path, kind := range map[string]string{
			"/openapi/v3/api/v1": `"kind":"ConfigMap"`, "/openapi/v3/apis/events.k8s.io/v1": `"group":"events.k8s.io"`,
			"/openapi/v3/apis/coordination.k8s.io/v1": `"kind":"Lease"`, "/openapi/v2": `"io.k8s.api.core.v1.Secret"`,
		} {
			answer := raw.Do(t, http.MethodGet, path, "", "", "")
			body := strings.ReplaceAll(string(answer.Body), ": ", ":")
			if answer.Code != http.StatusOK || !strings.Contains(body, kind) || strings.Contains(body, "__internal") {
				t.Errorf("%s: %d, %d bytes; wanted %s in it and no __internal", path, answer.Code, len(body), kind)
			}
		}
	})
}

func TestStringDataOfASecretIsKeptAsData(t *testing.T) {
	server := servertesting.Start(t)
	secrets := harness.BuiltinClient(t, server).CoreV1().Secrets("default")
	created, err := secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}, StringData: map[string]string{"k": "created"}}, metav1.CreateOptions{FieldManager: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if fields := created.ManagedFields[0].FieldsV1.GetRawString(); !strings.Contains(fields, `"f:data"`) || strings.Contains(fields, "stringData") {
		t.Errorf("the creator owns %s", fields)
	}
	for name, write := range map[string]func() (*corev1.Secret, error){
		"merge patch": func() (*corev1.Secret, error) {
			return secrets.Patch(t.Context(), "a", types.MergePatchType, []byte(`{"stringData":{"k":"merge patch"}}`), metav1.PatchOptions{})
		},
		"strategic merge patch": func() (*corev1.Secret, error) {
			return secrets.Patch(t.Context(), "a", types.StrategicMergePatchType, []byte(`{"stringData":{"k":"strategic merge patch"}}`), metav1.PatchOptions{})
		},
		"JSON patch": func() (*corev1.Secret, error) {
			return secrets.Patch(t.Context(), "a", types.JSONPatchType, []byte(`[{"op":"add","path":"/stringData","value":{"k":"JSON patch"}}]`), metav1.PatchOptions{})
		},
		"apply": func() (*corev1.Secret, error) {
			return secrets.Apply(t.Context(), applycorev1.Secret("a", "default").WithStringData(map[string]string{"k": "apply"}), metav1.ApplyOptions{FieldManager: "other", Force: true})
		},
		"update": func() (*corev1.Secret, error) {
			return secrets.Update(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "a"}, StringData: map[string]string{"k": "update"}}, metav1.UpdateOptions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := write()
			if err != nil {
				t.Fatal(err)
			}
			if string(got.Data["k"]) != name || len(got.StringData) > 0 {
				t.Errorf("got %v and %v", got.Data, got.StringData)
			}
		})
	}
}

func TestAnEventIsTheSameInBothItsGroups(t *testing.T) {
	server := servertesting.Start(t)
	client := harness.BuiltinClient(t, server)
	events := client.EventsV1().Events("default")
	watched, err := events.Watch(t.Context(), metav1.ListOptions{FieldSelector: "regarding.name=web-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	created, err := events.Create(t.Context(), &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "e"},
		EventTime:  metav1.NewMicroTime(time.Unix(1_700_000_000, 0)),
		Regarding:  corev1.ObjectReference{Kind: "Instance", Namespace: "default", Name: "web-1"},
		Type:       "Normal", Reason: "Started", Action: "Start", Note: "It runs.", ReportingController: "example.com/agent", ReportingInstance: "edge-1",
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if event := <-watched.ResultChan(); event.Object.(*eventsv1.Event).UID != created.UID {
		t.Errorf("the watch sent %+v", event.Object)
	}
	list, err := client.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.name=web-1,reportingComponent=example.com/agent,source=example.com/agent,type=Normal"})
	if err != nil || len(list.Items) != 1 || list.Items[0].UID != created.UID || list.Items[0].Message != "It runs." {
		t.Errorf("in the core group: %+v, %v", list, err)
	}
	if _, err := events.Patch(t.Context(), "e", types.StrategicMergePatchType, []byte(`{"note":"It stopped."}`), metav1.PatchOptions{}); !apierrors.IsInvalid(err) {
		t.Errorf("events.k8s.io let the note change: %v", err)
	}
	if _, err := client.CoreV1().Events("default").Patch(t.Context(), "e", types.StrategicMergePatchType, []byte(`{"message":"It stopped."}`), metav1.PatchOptions{}); err != nil {
		t.Errorf("core/v1 lets the message change: %v", err)
	}
	if got, err := events.Get(t.Context(), "e", metav1.GetOptions{}); err != nil || got.Note != "It stopped." {
		t.Errorf("got %+v, %v", got, err)
	}
}
