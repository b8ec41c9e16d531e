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

package resourcequota

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	upstream "k8s.io/apiserver/pkg/admission/plugin/resourcequota"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// keeper is a server that stores one quota and refuses the first writes of its status.
type keeper struct {
	mu     sync.Mutex
	quota  corev1.ResourceQuota
	refuse int
	with   *apierrors.StatusError
	writes int
	// missing is set if the quota is not stored.
	missing bool
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if k.missing {
		w.WriteHeader(http.StatusNotFound)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
		return
	}
	if r.Method == http.MethodPut {
		k.writes++
		if k.writes <= k.refuse {
			status := k.with.Status()
			status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
			w.WriteHeader(int(status.Code))
			_ = json.NewEncoder(w).Encode(status)
			return
		}
		_ = json.NewDecoder(r.Body).Decode(&k.quota)
		k.quota.ResourceVersion = "9"
	}
	_ = json.NewEncoder(w).Encode(k.quota)
}

func few(used string) corev1.ResourceQuota {
	return corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{Kind: "ResourceQuota", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "few", ResourceVersion: "2"},
		Status:     corev1.ResourceQuotaStatus{Hard: amounts(map[string]string{countInstances: "3"}), Used: amounts(map[string]string{countInstances: used})},
	}
}

func newPlugin(t *testing.T, k *keeper, known corev1.ResourceQuota) *Plugin {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL, QPS: -1})
	if err != nil {
		t.Fatal(err)
	}
	config, err := upstream.LoadConfiguration(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := New(config)
	p.SetDrainedNotification(t.Context().Done())
	if p.ValidateInitialization() == nil {
		t.Error("it is initialized without quotas")
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	p.SetExternalKubeClientSet(client)
	p.SetExternalKubeInformerFactory(factory)
	if err := factory.Core().V1().ResourceQuotas().Informer().GetIndexer().Add(&known); err != nil {
		t.Fatal(err)
	}
	p.SetReadyFunc(func() bool { return true })
	if err := p.ValidateInitialization(); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestChargesAreWrittenWithRetries(t *testing.T) {
	quotas := schema.GroupResource{Resource: "resourcequotas"}
	outrun := apierrors.NewConflict(quotas, "few", nil)
	for _, tc := range []struct {
		name      string
		namespace string
		stored    corev1.ResourceQuota
		refuse    int
		with      *apierrors.StatusError
		dryRun    bool
		is        func(error) bool // nil: it is allowed
		message   string
		writes    int
	}{
		{name: "at the first attempt", namespace: "team", stored: few("1"), writes: 1},
		{name: "not at all on a dry run", namespace: "team", stored: few("1"), dryRun: true},
		{name: "not at all where there is no quota", namespace: "other", stored: few("1")},
		{name: "again, while others write first", namespace: "team", stored: few("2"), refuse: 9, with: outrun, writes: 10},
		{name: "not when others have taken the last of it", namespace: "team", stored: few("3"), refuse: 1, with: outrun, writes: 1, is: apierrors.IsForbidden, message: "exceeded quota: few, requested: count/instances.fleet.gatehouse.dev=1, used: count/instances.fleet.gatehouse.dev=3"},
		{name: "in vain, where others always write first", namespace: "team", stored: few("1"), refuse: 1000, with: outrun, writes: 4 * attempts, is: apierrors.IsTooManyRequests, message: "try again"},
		{name: "in vain, where the server may not", namespace: "team", stored: few("1"), refuse: 1000, with: apierrors.NewForbidden(quotas, "few", nil), writes: 4, is: apierrors.IsServiceUnavailable, message: "admission plugin ResourceQuota cannot charge the resource quotas of namespace team: resourcequotas \"few\" is forbidden"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The stored quota is newer than the informer's.
			tc.stored.ResourceVersion = "3"
			k := &keeper{quota: tc.stored, refuse: tc.refuse, with: tc.with}
			known := few("1")
			p := newPlugin(t, k, known)
			attributes := admission.NewAttributesRecord(instance(fleet.InstancePending), nil, schema.GroupVersionKind{}, tc.namespace, "i",
				fleet.Resource("instances").WithVersion("v1alpha1"), "", admission.Create, &metav1.CreateOptions{}, tc.dryRun, nil)
			err := p.Validate(t.Context(), attributes, nil)
			if tc.is == nil && err != nil || tc.is != nil && (err == nil || !tc.is(err) || !strings.Contains(err.Error(), tc.message)) {
				t.Errorf("got %v", err)
			}
			if k.writes != tc.writes {
				t.Errorf("%d writes, want %d", k.writes, tc.writes)
			}
		})
	}
}

func TestAQuotaIsChargedAsSoonAsItsCreationIsAdmitted(t *testing.T) {
	create := func(object runtime.Object, resource schema.GroupVersionResource, dryRun bool) admission.Attributes {
		return admission.NewAttributesRecord(object, nil, schema.GroupVersionKind{}, "team", "", resource, "", admission.Create, &metav1.CreateOptions{}, dryRun, nil)
	}
	for _, tc := range []struct {
		name    string
		used    string
		dryRun  bool
		missing bool // the quota was not stored in the end
		deleted bool // the quota is deleted after it was charged
		refused string
		writes  int
	}{
		{name: "an instance is charged though the informer has no quota", used: "1", writes: 2},
		{name: "one too many is refused", used: "3", refused: "exceeded quota: few"},
		{name: "the creation was a dry run", dryRun: true},
		{name: "the creation failed after it had been admitted", missing: true},
		{name: "the quota is deleted before the informer has it", used: "1", deleted: true, writes: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			elsewhere := few("0")
			elsewhere.Namespace = "other"
			k := &keeper{missing: tc.missing}
			if tc.used != "" {
				k.quota = few(tc.used)
			}
			k.quota.UID = "1"
			p := newPlugin(t, k, elsewhere)
			quota := few("0")
			quota.Status, quota.UID = corev1.ResourceQuotaStatus{}, "1"
			if err := p.Validate(t.Context(), create(&quota, corev1.SchemeGroupVersion.WithResource("resourcequotas"), tc.dryRun), nil); err != nil {
				t.Fatal(err)
			}
			for round := range 2 {
				err := p.Validate(t.Context(), create(instance(fleet.InstancePending), fleet.Resource("instances").WithVersion("v1alpha1"), false), nil)
				if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
					t.Errorf("round %d: got %v", round, err)
				}
				k.missing = k.missing || tc.deleted
			}
			if k.writes != tc.writes {
				t.Errorf("%d writes, want %d", k.writes, tc.writes)
			}
		})
	}
}

func TestARequestWaitsForTheFirstCountOfANewQuota(t *testing.T) {
	counted := few("1")
	counted.ResourceVersion = "3"
	k := &keeper{quota: counted}
	known := few("1")
	known.Status.Used, known.CreationTimestamp = nil, metav1.Now()
	p := newPlugin(t, k, known)
	waits := make(chan struct{})
	var once sync.Once
	attributes := observed{admission.NewAttributesRecord(instance(fleet.InstancePending), nil, schema.GroupVersionKind{}, "team", "i",
		fleet.Resource("instances").WithVersion("v1alpha1"), "", admission.Create, &metav1.CreateOptions{}, false, nil), func() { once.Do(func() { close(waits) }) }}
	done := make(chan error, 1)
	go func() { done <- p.Validate(t.Context(), attributes, nil) }()
	<-waits
	p.accessor.newer.Add("team/few", &counted)
	if err := <-done; err != nil || k.writes != 1 {
		t.Errorf("got %v after %d writes", err, k.writes)
	}
	old := known
	old.CreationTimestamp = metav1.NewTime(time.Now().Add(-newFor))
	if err := newPlugin(t, k, old).Validate(t.Context(), attributes, nil); !apierrors.IsForbidden(err) {
		t.Errorf("an old quota without a count: %v", err)
	}
}

// observed are attributes whose object has been read when f is called.
type observed struct {
	admission.Attributes
	f func()
}

func (o observed) GetOperation() admission.Operation { o.f(); return o.Attributes.GetOperation() }

func TestAnnouncementsEnd(t *testing.T) {
	a := &announcements{}
	a.add("team", "few", "1")
	a.add("other", "few", "2")
	a.drop("team", "1")
	if len(a.in("team")) != 0 || len(a.in("other")) != 1 {
		t.Errorf("after one was dropped: %v", a.byNamespace)
	}
	a.byNamespace["other"][0].expires = a.byNamespace["other"][0].expires.Add(-announcedFor)
	a.add("third", "few", "3")
	if len(a.byNamespace) != 1 {
		t.Errorf("an expired one is kept: %v", a.byNamespace)
	}
}
