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

package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	scheme.AddTypeDefaultingFunc(&corev1.ConfigMap{}, func(obj any) { SetDefaults_ConfigMap(obj.(*corev1.ConfigMap)) })
	scheme.AddTypeDefaultingFunc(&corev1.ConfigMapList{}, func(obj any) { each(obj.(*corev1.ConfigMapList).Items, SetDefaults_ConfigMap) })
	scheme.AddTypeDefaultingFunc(&corev1.LimitRange{}, func(obj any) { SetDefaults_LimitRange(obj.(*corev1.LimitRange)) })
	scheme.AddTypeDefaultingFunc(&corev1.LimitRangeList{}, func(obj any) { each(obj.(*corev1.LimitRangeList).Items, SetDefaults_LimitRange) })
	scheme.AddTypeDefaultingFunc(&corev1.Namespace{}, func(obj any) { SetDefaults_Namespace(obj.(*corev1.Namespace)) })
	scheme.AddTypeDefaultingFunc(&corev1.NamespaceList{}, func(obj any) { each(obj.(*corev1.NamespaceList).Items, SetDefaults_Namespace) })
	scheme.AddTypeDefaultingFunc(&corev1.Secret{}, func(obj any) { SetDefaults_Secret(obj.(*corev1.Secret)) })
	scheme.AddTypeDefaultingFunc(&corev1.SecretList{}, func(obj any) { each(obj.(*corev1.SecretList).Items, SetDefaults_Secret) })
	return nil
}

func each[T any](items []T, set func(*T)) {
	for i := range items {
		set(&items[i])
	}
}

// SetDefaults_ConfigMap sets data to an empty map, as a kube-apiserver does.
func SetDefaults_ConfigMap(obj *corev1.ConfigMap) {
	if obj.Data == nil {
		obj.Data = map[string]string{}
	}
}

// SetDefaults_LimitRange completes what containers get: an absent default is the maximum, and an
// absent default request is the default or else the minimum, as in a kube-apiserver.
func SetDefaults_LimitRange(obj *corev1.LimitRange) {
	for i := range obj.Spec.Limits {
		item := &obj.Spec.Limits[i]
		if item.Type != corev1.LimitTypeContainer {
			continue
		}
		item.Default = completed(item.Default, item.Max)
		item.DefaultRequest = completed(completed(item.DefaultRequest, item.Default), item.Min)
	}
}

// completed returns a list with what it lacks of another.
func completed(list, from corev1.ResourceList) corev1.ResourceList {
	if list == nil {
		list = corev1.ResourceList{}
	}
	for name, amount := range from {
		if _, found := list[name]; !found {
			list[name] = amount.DeepCopy()
		}
	}
	return list
}

// SetDefaults_Namespace labels a namespace with its name, so that label selectors can name
// namespaces. A generated name is set later, and the label with it.
func SetDefaults_Namespace(obj *corev1.Namespace) {
	if obj.Status.Phase == "" {
		obj.Status.Phase = corev1.NamespaceActive
	}
	if obj.Name == "" {
		return
	}
	if obj.Labels == nil {
		obj.Labels = map[string]string{}
	}
	obj.Labels[corev1.LabelMetadataName] = obj.Name
}

// SetDefaults_Secret sets the type of a secret and moves stringData to data. A default does this, not
// the strategy, because field ownership is computed before the strategy runs: stringData would stay
// owned.
func SetDefaults_Secret(obj *corev1.Secret) {
	if obj.Type == "" {
		obj.Type = corev1.SecretTypeOpaque
	}
	for key, value := range obj.StringData {
		if obj.Data == nil {
			obj.Data = map[string][]byte{}
		}
		obj.Data[key] = []byte(value)
	}
	obj.StringData = nil
}
