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

package runaway

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/fake"
)

// object is a stored object.
type object interface {
	runtime.Object
	metav1.Object
}

// request is an admission request.
type request struct {
	resource, subresource string
	create                bool
	dryRun                bool
}

// server answers a client of controllers as the API server would, including admission, and
// counts its writes.
type server struct {
	t      *testing.T
	client *fake.Clientset

	lock sync.Mutex
	// admit changes or refuses a write. It runs with the lock held.
	admit   func(request, object) error
	written int
	// by counts the writes by kind, for failure messages.
	by      map[string]int
	version int
	named   int
	// largest is the largest number of replicas that a release has requested.
	largest int32
	// stop is called after far too many writes: time does not advance for controllers that never
	// wait.
	stop func()
	// requests also counts those without a change.
	requests int
	// deletions has the resource version of the deletion of an object, by its UID.
	deletions sync.Map
}

// asked counts a request, and refuses it after too many.
func (s *server) asked() error {
	if s.requests++; s.requests < tooManyRequests {
		return nil
	}
	if s.requests == tooManyRequests && s.stop != nil {
		s.stop()
	}
	return apierrors.NewInternalError(fmt.Errorf("more than %d requests", tooManyRequests))
}

// farTooMuch is a number of writes that exceeds every bound, and tooManyRequests one of requests.
const farTooMuch, tooManyRequests = 300, 3000

func newServer(t *testing.T, admit func(request, object) error) *server {
	s := &server{t: t, client: fake.NewSimpleClientset(), admit: admit, by: map[string]int{}}
	s.client.PrependReactor("create", "*", s.create)
	s.client.PrependReactor("update", "*", s.update)
	s.client.PrependReactor("patch", "*", s.patch)
	s.client.PrependReactor("delete", "*", s.delete)
	s.client.PrependWatchReactor("*", s.watch)
	return s
}

func (s *server) count(what string, obj object) {
	s.version++
	obj.SetResourceVersion(fmt.Sprint(s.version))
	if release, ok := obj.(*v1alpha1.Release); ok && release.Spec.Replicas != nil {
		s.largest = max(s.largest, *release.Spec.Replicas)
	}
	s.written++
	s.by[what]++
	if s.written == farTooMuch && s.stop != nil {
		s.stop()
	}
}

// taken returns the writes since the last call.
func (s *server) taken() (written int, by map[string]int, largest int32) {
	s.lock.Lock()
	defer s.lock.Unlock()
	written, by = s.written, s.by
	s.written, s.by = 0, map[string]int{}
	return written, by, s.largest
}

func (s *server) create(action clienttesting.Action) (bool, runtime.Object, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	if err := s.asked(); err != nil {
		return true, nil, err
	}
	a := action.(clienttesting.CreateActionImpl)
	obj := a.Object.DeepCopyObject().(object)
	r := request{resource: a.Resource.Resource, create: true, dryRun: len(a.CreateOptions.DryRun) > 0}
	s.named++
	if obj.GetName() == "" {
		obj.SetName(obj.GetGenerateName() + fmt.Sprint(s.named))
	}
	obj.SetUID(types.UID(fmt.Sprint("uid-", s.named)))
	obj.SetCreationTimestamp(metav1.Now())
	obj.SetGeneration(1)
	if i, ok := obj.(*v1alpha1.Instance); ok {
		i.Status = v1alpha1.InstanceStatus{Phase: v1alpha1.InstancePending}
	}
	if err := s.admit(r, obj); err != nil {
		return true, nil, err
	}
	if _, err := s.client.Tracker().Get(a.Resource, a.Namespace, obj.GetName()); err == nil {
		return true, nil, apierrors.NewAlreadyExists(a.Resource.GroupResource(), obj.GetName())
	}
	if r.dryRun {
		return true, obj, nil
	}
	s.count("create "+r.resource, obj)
	if err := s.client.Tracker().Create(a.Resource, obj, a.Namespace); err != nil {
		return true, nil, err
	}
	return true, obj.DeepCopyObject(), nil
}

func (s *server) update(action clienttesting.Action) (bool, runtime.Object, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	a := action.(clienttesting.UpdateActionImpl)
	return s.store(a, a.Object.(object).GetName(), func(object) (object, error) { return a.Object.DeepCopyObject().(object), nil })
}

func (s *server) patch(action clienttesting.Action) (bool, runtime.Object, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	a := action.(clienttesting.PatchActionImpl)
	return s.store(a, a.Name, func(stored object) (object, error) {
		// The controllers' patches contain whole lists of owners, and single annotations.
		patched := stored.DeepCopyObject().(object)
		if strings.Contains(string(a.Patch), `"ownerReferences"`) {
			patched.SetOwnerReferences(nil)
		}
		return patched, json.Unmarshal(a.Patch, patched)
	})
}

// store applies change to the stored object, and writes the part that belongs to the endpoint of the action.
func (s *server) store(a clienttesting.Action, name string, change func(object) (object, error)) (bool, runtime.Object, error) {
	if err := s.asked(); err != nil {
		return true, nil, err
	}
	found, err := s.client.Tracker().Get(a.GetResource(), a.GetNamespace(), name)
	if err != nil {
		return true, nil, err
	}
	stored := found.(object)
	obj, err := change(stored)
	if err != nil {
		return true, nil, err
	}
	if version := obj.GetResourceVersion(); version != "" && version != stored.GetResourceVersion() {
		return true, nil, apierrors.NewConflict(a.GetResource().GroupResource(), name, fmt.Errorf("changed"))
	}
	keepRest(obj, stored, a.GetSubresource() == "status")
	obj.SetResourceVersion(stored.GetResourceVersion())
	if err := s.admit(request{resource: a.GetResource().Resource, subresource: a.GetSubresource()}, obj); err != nil {
		return true, nil, err
	}
	if apiequality.Semantic.DeepEqual(obj, stored) {
		return true, stored, nil
	}
	s.count(strings.Join([]string{a.GetVerb(), a.GetResource().Resource, a.GetSubresource()}, " "), obj)
	if err := s.client.Tracker().Update(a.GetResource(), obj, a.GetNamespace()); err != nil {
		return true, nil, err
	}
	return true, obj.DeepCopyObject(), nil
}

// keepRest restores the part that an endpoint does not write: the status, or everything else.
func keepRest(obj, stored object, status bool) {
	now, before := reflect.ValueOf(obj).Elem(), reflect.ValueOf(stored.DeepCopyObject()).Elem()
	if status {
		now.FieldByName("Spec").Set(before.FieldByName("Spec"))
		now.FieldByName("ObjectMeta").Set(before.FieldByName("ObjectMeta"))
		return
	}
	now.FieldByName("Status").Set(before.FieldByName("Status"))
	if !apiequality.Semantic.DeepEqual(now.FieldByName("Spec").Interface(), before.FieldByName("Spec").Interface()) {
		obj.SetGeneration(stored.GetGeneration() + 1)
	}
}

func (s *server) delete(action clienttesting.Action) (bool, runtime.Object, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	a := action.(clienttesting.DeleteActionImpl)
	found, err := s.client.Tracker().Get(a.Resource, a.Namespace, a.Name)
	if err != nil {
		return true, nil, err
	}
	s.written++
	s.by["delete "+a.Resource.Resource]++
	s.version++
	s.deletions.Store(found.(object).GetUID(), fmt.Sprint(s.version))
	return true, nil, s.client.Tracker().Delete(a.Resource, a.Namespace, a.Name)
}

// watch sends a deleted object with the resource version of its deletion, as the API server does.
// The tracker sends it with the version of its last write, which would move an informer back behind
// versions that it had reached.
func (s *server) watch(action clienttesting.Action) (bool, watch.Interface, error) {
	a := action.(clienttesting.WatchActionImpl)
	tracked, err := s.client.Tracker().Watch(a.Resource, a.Namespace, a.ListOptions)
	if err != nil {
		return true, nil, err
	}
	shown := &shownWatch{Interface: tracked, events: make(chan watch.Event), stopped: make(chan struct{})}
	go func() {
		defer close(shown.events)
		for event := range tracked.ResultChan() {
			if obj, ok := event.Object.(object); ok && event.Type == watch.Deleted {
				if version, found := s.deletions.Load(obj.GetUID()); found {
					obj.SetResourceVersion(version.(string))
				}
			}
			select {
			case shown.events <- event:
			case <-shown.stopped:
				return
			}
		}
	}()
	return true, shown, nil
}

// shownWatch is a watch of the tracker with modified events.
type shownWatch struct {
	watch.Interface
	events  chan watch.Event
	stopped chan struct{}
	once    sync.Once
}

// ResultChan implements watch.Interface.
func (w *shownWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop implements watch.Interface.
func (w *shownWatch) Stop() {
	w.once.Do(func() { close(w.stopped) })
	w.Interface.Stop()
}

// report writes the status of an instance as an agent does. It is not counted.
func (s *server) report(i *v1alpha1.Instance, phase v1alpha1.InstancePhase, ready bool) {
	s.lock.Lock()
	defer s.lock.Unlock()
	resource := v1alpha1.SchemeGroupVersion.WithResource("instances")
	found, err := s.client.Tracker().Get(resource, i.Namespace, i.Name)
	if err != nil {
		return
	}
	changed := found.DeepCopyObject().(*v1alpha1.Instance)
	changed.Status.Phase = phase
	condition := metav1.Condition{Type: v1alpha1.InstanceConditionReady, Status: metav1.ConditionFalse, Reason: "Reported", LastTransitionTime: metav1.Now()}
	if ready {
		condition.Status = metav1.ConditionTrue
	}
	if phase == v1alpha1.InstanceFailed {
		changed.Status.Reason, changed.Status.Message = "Error", "it ends at once"
	}
	meta.SetStatusCondition(&changed.Status.Conditions, condition)
	s.version++
	changed.ResourceVersion = fmt.Sprint(s.version)
	if err := s.client.Tracker().Update(resource, changed, changed.Namespace); err != nil {
		s.t.Error(err)
	}
}

// setLabel sets a label in an object's own map.
func setLabel(obj metav1.Object, name, value string) {
	labels := maps.Clone(obj.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	labels[name] = value
	obj.SetLabels(labels)
}
