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

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/flowcontrol"
)

// flowControlInterval is how often the bootstrap objects of flow control are compared with the stored
// ones, as in a kube-apiserver. Two servers of different versions undo each other's writes no more often
// than this.
const flowControlInterval = time.Minute

// flowControlHook is the name of kube-apiserver's hook that maintains the objects, which is a check of
// /readyz.
const flowControlHook = "priority-and-fairness-config-producer"

// flowControlObjects returns the FlowSchemas and priority levels that the server maintains. They differ
// from other bootstrap objects by what the annotation apf.kubernetes.io/autoupdate-spec means: see
// reconcileFlowControl.
func flowControlObjects(controllers []string) []BootstrapObject {
	var objects []BootstrapObject
	for _, level := range priorityLevels() {
		flowcontrol.SetDefaults_PriorityLevelConfiguration(level)
		mandatory := slices.ContainsFunc(bootstrap.MandatoryPriorityLevelConfigurations, func(m *flowcontrolv1.PriorityLevelConfiguration) bool { return m.Name == level.Name })
		objects = append(objects, BootstrapObject{Resource: flowcontrolv1.Resource("prioritylevelconfigurations"), Object: level, Reconcile: func(existing runtime.Object) bool {
			stored, wanted := existing.(*flowcontrolv1.PriorityLevelConfiguration), level.DeepCopy()
			if stored.Spec.Type == flowcontrolv1.PriorityLevelEnablementExempt && stored.Spec.Exempt != nil {
				wanted.Spec.Exempt = stored.Spec.Exempt // an administrator may change it
			}
			return reconcileFlowControl(&stored.ObjectMeta, &stored.Spec, &wanted.Spec, mandatory)
		}})
	}
	for _, schema := range flowSchemas(controllers) {
		flowcontrol.SetDefaults_FlowSchema(schema)
		mandatory := slices.ContainsFunc(bootstrap.MandatoryFlowSchemas, func(m *flowcontrolv1.FlowSchema) bool { return m.Name == schema.Name })
		objects = append(objects, BootstrapObject{Resource: flowcontrolv1.Resource("flowschemas"), Object: schema, Reconcile: func(existing runtime.Object) bool {
			stored := existing.(*flowcontrolv1.FlowSchema)
			return reconcileFlowControl(&stored.ObjectMeta, &stored.Spec, schema.Spec.DeepCopy(), mandatory)
		}})
	}
	return objects
}

// reconcileFlowControl sets the spec to the wanted one and the annotation to whether the server may do that,
// and reports whether it changed one of them. It does not change the spec of a suggested object with the
// annotation "false", or without a valid annotation after a change of the spec.
func reconcileFlowControl[Spec any](object *metav1.ObjectMeta, spec, wanted *Spec, mandatory bool) bool {
	annotated, err := strconv.ParseBool(object.Annotations[flowcontrolv1.AutoUpdateAnnotationKey])
	update := mandatory || annotated
	if err != nil {
		update = mandatory || object.Generation == 1
	}
	changed := false
	if err != nil || annotated != update {
		metav1.SetMetaDataAnnotation(object, flowcontrolv1.AutoUpdateAnnotationKey, strconv.FormatBool(update))
		changed = true
	}
	if update && !apiequality.Semantic.DeepEqual(spec, wanted) {
		*spec, changed = *wanted, true
	}
	return changed
}

// flowControlMaintainer keeps the bootstrap objects of flow control in the storages. Every server does it.
type flowControlMaintainer struct {
	server *Server
	// caches are the informers' copies of the stored objects.
	caches map[schema.GroupResource]cache.SharedIndexInformer
	// objects are those of flowControlObjects.
	objects []BootstrapObject
	// deleted has an element after one of the objects has been deleted.
	deleted chan struct{}
}

// maintainFlowControl starts a flowControlMaintainer once the server runs, if the server stores the
// objects.
func (s *Server) maintainFlowControl() error {
	if s.informers == nil {
		return nil
	}
	group := s.informers.Factory.Flowcontrol().V1()
	m := &flowControlMaintainer{server: s, deleted: make(chan struct{}, 1), caches: map[schema.GroupResource]cache.SharedIndexInformer{
		flowcontrolv1.Resource("flowschemas"):                 group.FlowSchemas().Informer(),
		flowcontrolv1.Resource("prioritylevelconfigurations"): group.PriorityLevelConfigurations().Informer(),
	}}
	for _, object := range s.bootstrap {
		if object.Resource.Group == flowcontrol.GroupName {
			m.objects = append(m.objects, object)
		}
	}
	for _, informer := range m.caches {
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{DeleteFunc: m.noteDeletion}); err != nil {
			return fmt.Errorf("bootstrap objects of flow control: %w", err)
		}
	}
	return s.generic.AddPostStartHook(flowControlHook, func(hook genericapiserver.PostStartHookContext) error {
		go m.run(hook)
		return nil
	})
}

// noteDeletion makes run compare at once, whichever object was deleted.
func (m *flowControlMaintainer) noteDeletion(any) {
	select {
	case m.deleted <- struct{}{}:
	default:
	}
}

// run maintains the objects until the context ends.
func (m *flowControlMaintainer) run(ctx context.Context) {
	var synced []cache.InformerSynced
	for _, informer := range m.caches {
		synced = append(synced, informer.HasSynced)
	}
	if !cache.WaitForCacheSync(ctx.Done(), synced...) {
		return
	}
	ticker := time.NewTicker(flowControlInterval)
	defer ticker.Stop()
	m.loop(ctx, ticker.C)
}

// loop compares at the start, at every tick, and after deletions. Only a tick removes objects: two servers
// of different versions would otherwise create and remove them without a pause.
func (m *flowControlMaintainer) loop(ctx context.Context, ticks <-chan time.Time) {
	for remove := true; ; {
		err := m.ensure(ctx)
		if remove {
			err = errors.Join(err, m.removeOthers(ctx))
		}
		if err != nil && ctx.Err() == nil {
			klog.ErrorS(err, "Bootstrap objects of flow control were not written, retrying", "interval", flowControlInterval)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.deleted:
			remove = false
		case <-ticks:
			remove = true
		}
	}
}

// ensure creates and updates objects that the caches lack or have in another form.
func (m *flowControlMaintainer) ensure(ctx context.Context) error {
	var errs []error
	for _, object := range m.objects {
		accessor, err := meta.Accessor(object.Object)
		if err != nil {
			return err
		}
		stored, found, err := m.caches[object.Resource].GetStore().GetByKey(accessor.GetName())
		if err == nil && found && !object.Reconcile(stored.(runtime.Object).DeepCopyObject()) {
			continue
		}
		if err == nil {
			_, err = m.server.ensureRetried(ctx, object)
		}
		if err == nil {
			klog.InfoS("Wrote a bootstrap object of flow control", "resource", object.Resource, "name", accessor.GetName())
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeOthers deletes objects with the annotation "true" that are not bootstrap objects, because they
// were those of another version.
func (m *flowControlMaintainer) removeOthers(ctx context.Context) error {
	var errs []error
	for resource, informer := range m.caches {
		for _, stored := range informer.GetStore().List() {
			object, err := meta.Accessor(stored)
			if err != nil {
				return err
			}
			update, _ := strconv.ParseBool(object.GetAnnotations()[flowcontrolv1.AutoUpdateAnnotationKey])
			if update && !m.wants(resource, object.GetName()) {
				errs = append(errs, m.remove(ctx, resource, object))
			}
		}
	}
	return errors.Join(errs...)
}

func (m *flowControlMaintainer) wants(resource schema.GroupResource, name string) bool {
	return slices.ContainsFunc(m.objects, func(object BootstrapObject) bool {
		accessor, err := meta.Accessor(object.Object)
		return err == nil && object.Resource == resource && accessor.GetName() == name
	})
}

// remove deletes the object in the form in which it was read: an administrator may change the annotation
// in the meantime.
func (m *flowControlMaintainer) remove(ctx context.Context, resource schema.GroupResource, object metav1.Object) error {
	uid, version := object.GetUID(), object.GetResourceVersion()
	options := &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid, ResourceVersion: &version}}
	deleter, ok := m.server.storages[resource].(rest.GracefulDeleter)
	if !ok {
		return fmt.Errorf("%s: %T cannot delete", resource, m.server.storages[resource])
	}
	_, _, err := deleter.Delete(request.WithNamespace(ctx, metav1.NamespaceNone), object.GetName(), rest.ValidateAllObjectFunc, options)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("removing %s %s: %w", resource, object.GetName(), err)
	}
	klog.InfoS("Removed a bootstrap object of flow control of another version", "resource", resource, "name", object.GetName())
	return nil
}
