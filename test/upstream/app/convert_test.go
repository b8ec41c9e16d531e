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

package app

import (
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/controller/deployment/util"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// theirNames maps our annotations and labels to those of Kubernetes.
var theirNames = map[string]string{
	v1alpha1.RevisionAnnotation:        util.RevisionAnnotation,
	v1alpha1.RevisionHistoryAnnotation: util.RevisionHistoryAnnotation,
	v1alpha1.DesiredReplicasAnnotation: util.DesiredReplicasAnnotation,
	v1alpha1.MaxReplicasAnnotation:     util.MaxReplicasAnnotation,
	v1alpha1.TemplateHashLabel:         appsv1.DefaultDeploymentUniqueLabelKey,
}

func theirs(ours map[string]string) map[string]string {
	if ours == nil {
		return nil
	}
	translated := map[string]string{}
	for name, value := range ours {
		if their, found := theirNames[name]; found {
			name = their
		}
		translated[name] = value
	}
	return translated
}

func ours(theirs map[string]string) map[string]string {
	translated := maps.Clone(theirs)
	for our, their := range theirNames {
		if value, found := translated[their]; found {
			delete(translated, their)
			translated[our] = value
		}
	}
	return translated
}

// kinds translates reasons of conditions; types of strategies stay unchanged.
var (
	ourKinds   = strings.NewReplacer("ReplicaSet", "Release", "Deployment", "App")
	theirKinds = strings.NewReplacer("AppPaused", "DeploymentPaused", "AppResumed", "DeploymentResumed", "Release", "ReplicaSet")
)

func podTemplate(template *v1alpha1.InstanceTemplateSpec) corev1.PodTemplateSpec {
	pods := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: theirs(template.Labels), Annotations: template.Annotations}}
	for _, container := range template.Spec.Containers {
		pods.Spec.Containers = append(pods.Spec.Containers, corev1.Container{Name: container.Name, Image: container.Image})
	}
	return pods
}

func deploymentFor(app *v1alpha1.App) *appsv1.Deployment {
	d := &appsv1.Deployment{
		ObjectMeta: *app.ObjectMeta.DeepCopy(),
		Spec: appsv1.DeploymentSpec{
			Replicas: app.Spec.Replicas, Selector: app.Spec.Selector, Template: podTemplate(&app.Spec.Template),
			Strategy:        appsv1.DeploymentStrategy{Type: appsv1.DeploymentStrategyType(app.Spec.Strategy.Type)},
			MinReadySeconds: app.Spec.MinReadySeconds, RevisionHistoryLimit: app.Spec.RevisionHistoryLimit,
			ProgressDeadlineSeconds: app.Spec.ProgressDeadlineSeconds, Paused: app.Spec.Paused,
		},
		Status: deploymentStatus(&app.Status),
	}
	d.Annotations = theirs(app.Annotations)
	if rolling := app.Spec.Strategy.RollingUpdate; rolling != nil {
		d.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: rolling.MaxSurge, MaxUnavailable: rolling.MaxUnavailable}
	}
	return d.DeepCopy()
}

// deploymentStatus sets the time of the condition Progressing, which our status has in a separate field.
func deploymentStatus(status *v1alpha1.AppStatus) appsv1.DeploymentStatus {
	translated := appsv1.DeploymentStatus{
		ObservedGeneration: status.ObservedGeneration, Replicas: status.Replicas, UpdatedReplicas: status.UpdatedReplicas,
		ReadyReplicas: status.ReadyReplicas, AvailableReplicas: status.AvailableReplicas, UnavailableReplicas: status.UnavailableReplicas,
		CollisionCount: status.CollisionCount,
	}
	for _, condition := range status.Conditions {
		updated := condition.LastTransitionTime
		if condition.Type == v1alpha1.AppConditionProgressing && status.LastProgressTime != nil {
			updated = *status.LastProgressTime
		}
		translated.Conditions = append(translated.Conditions, appsv1.DeploymentCondition{
			Type: appsv1.DeploymentConditionType(condition.Type), Status: corev1.ConditionStatus(condition.Status),
			Reason: theirKinds.Replace(condition.Reason), LastUpdateTime: updated, LastTransitionTime: condition.LastTransitionTime,
		})
	}
	return translated
}

func replicaSet(release *v1alpha1.Release) *appsv1.ReplicaSet {
	if release == nil {
		return nil
	}
	rs := &appsv1.ReplicaSet{
		ObjectMeta: *release.ObjectMeta.DeepCopy(),
		Spec: appsv1.ReplicaSetSpec{
			Replicas: release.Spec.Replicas, MinReadySeconds: release.Spec.MinReadySeconds,
			Selector: release.Spec.Selector, Template: podTemplate(&release.Spec.Template),
		},
		Status: appsv1.ReplicaSetStatus{
			ObservedGeneration: release.Status.ObservedGeneration, Replicas: release.Status.Replicas,
			ReadyReplicas: release.Status.ReadyReplicas, AvailableReplicas: release.Status.AvailableReplicas,
		},
	}
	rs.Annotations, rs.Labels = theirs(release.Annotations), theirs(release.Labels)
	for i := range rs.OwnerReferences {
		rs.OwnerReferences[i].APIVersion, rs.OwnerReferences[i].Kind = "apps/v1", "Deployment"
	}
	for _, condition := range release.Status.Conditions {
		rs.Status.Conditions = append(rs.Status.Conditions, appsv1.ReplicaSetCondition{
			Type: appsv1.ReplicaSetConditionType(condition.Type), Status: corev1.ConditionStatus(condition.Status),
			Reason: condition.Reason, LastTransitionTime: condition.LastTransitionTime,
		})
	}
	return rs.DeepCopy()
}

func replicaSets(releases []*v1alpha1.Release) []*appsv1.ReplicaSet {
	var sets []*appsv1.ReplicaSet
	for _, release := range releases {
		sets = append(sets, replicaSet(release))
	}
	return sets
}
