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

package validation

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet"
)

// bound is the maximal size of a field of a fleet kind.
type bound struct {
	// items is the most elements of a list or a map; zero for no such bound here.
	items int
	// bytes is the most bytes of a string, or of each string in a list; zero for no such bound here.
	bytes int
	// by names what else bounds the field: a tag of the version's type, or the hand-written rule.
	by string
}

// What bounds a field, if not validateBounds.
const (
	byTag  = "a +k8s: tag of the field or of its type in v1alpha1"
	byRule = "a hand-written rule of this package, or of the library for the type"
)

const (
	// maxString is the longest text of a container, as long as a body may be: how often a large
	// one is copied is what maxCopies bounds.
	maxString = 3 << 20
	// maxCopies is the most bytes that the texts and numbers of a template may be in all replicas
	// together, where the template is larger than smallTemplate. Each replica is a copy of it, in
	// the store and in the memory of all that watch instances.
	maxCopies     = 64 << 20
	smallTemplate = 128 << 10

	maxReason  = 1 << 10
	maxMessage = 32 << 10
	maxID      = 1 << 10
	maxPath    = 4 << 10 // PATH_MAX

	// Resources with a domain are devices, of which a host has a few kinds. The scheduler
	// compares each one of an instance with those of every host.
	maxContainerResources = 32
	maxHostResources      = 64

	maxSelector       = 64
	maxSelectorValues = 256

	// As base.MaxLabels and its neighbours are for objects.
	maxTemplateLabels     = 1000
	maxTemplateFinalizers = 100
)

// bounds has every string, list and map of the fleet's kinds by type and field. A test fails
// where a field is missing.
var bounds = map[string]bound{
	"HostSpec.Taints":        {by: byTag},
	"Taint.Key":              {by: byTag},
	"Taint.Value":            {by: byTag},
	"Taint.Effect":           {by: byTag},
	"HostStatus.Capacity":    {items: maxHostResources},
	"HostStatus.Allocatable": {items: maxHostResources},
	"HostStatus.Conditions":  {by: byTag},
	"HostStatus.Addresses":   {by: byTag},
	"HostAddress.Type":       {by: byTag},
	"HostAddress.Address":    {by: byTag},

	"HostInfo.OperatingSystem": {by: byTag},
	"HostInfo.Architecture":    {by: byTag},
	"HostInfo.KernelVersion":   {by: byTag},
	"HostInfo.AgentVersion":    {by: byTag},
	"HostInfo.RuntimeVersion":  {by: byTag},
	"HostInfo.MachineID":       {by: byTag},

	"HostLeaseSpec.HolderIdentity": {by: byTag},

	"Condition.Type":    {by: byRule},
	"Condition.Status":  {by: byRule},
	"Condition.Reason":  {by: byRule},
	"Condition.Message": {by: byRule},

	"InstanceSpec.Containers":         {by: byTag},
	"InstanceSpec.HostName":           {by: byTag},
	"InstanceSpec.HostSelector":       {items: maxSelector},
	"InstanceSpec.Tolerations":        {by: byTag},
	"InstanceSpec.RestartPolicy":      {by: byTag},
	"InstanceSpec.ServiceAccountName": {by: byTag},
	"InstanceSpec.Volumes":            {by: byTag},
	"InstanceSpec.ImagePullSecrets":   {by: byTag},
	"LocalObjectReference.Name":       {by: byTag},

	"Volume.Name":                   {by: byTag},
	"EmptyDirVolumeSource.Medium":   {by: byRule},
	"HostPathVolumeSource.Path":     {by: byTag},
	"ConfigMapVolumeSource.Name":    {by: byTag},
	"ConfigMapVolumeSource.Items":   {by: byTag},
	"SecretVolumeSource.SecretName": {by: byTag},
	"SecretVolumeSource.Items":      {by: byTag},
	"KeyToPath.Key":                 {by: byTag},
	"KeyToPath.Path":                {by: byTag},

	"Container.Name":            {by: byTag},
	"Container.Image":           {by: byTag},
	"Container.Command":         {items: 1024, bytes: maxString},
	"Container.Args":            {items: 1024, bytes: maxString},
	"Container.WorkingDir":      {bytes: maxPath},
	"Container.Env":             {by: byTag},
	"Container.Ports":           {by: byTag},
	"Container.ImagePullPolicy": {by: byTag},
	"Container.EnvFrom":         {by: byTag},
	"Container.VolumeMounts":    {by: byTag},
	"VolumeMount.Name":          {by: byTag},
	"VolumeMount.MountPath":     {by: byTag},
	"EnvFromSource.Prefix":      {by: byTag},
	"EnvSource.Name":            {by: byTag},
	"KeySelector.Name":          {by: byTag},
	"KeySelector.Key":           {by: byTag},
	"Capabilities.Add":          {by: byTag},
	"Capabilities.Drop":         {by: byTag},
	"ExecAction.Command":        {items: 1024, bytes: maxString},
	"HTTPGetAction.Path":        {by: byTag},
	"HTTPGetAction.Host":        {by: byTag},
	"HTTPGetAction.Scheme":      {by: byTag},
	"HTTPGetAction.HTTPHeaders": {by: byTag},
	"HTTPHeader.Name":           {by: byTag},
	"HTTPHeader.Value":          {by: byTag},
	"TCPSocketAction.Host":      {by: byTag},
	"EnvVar.Name":               {by: byTag},
	"EnvVar.Value":              {bytes: maxString},
	"ContainerPort.Name":        {by: byRule},
	"ContainerPort.Protocol":    {by: byRule},

	"ResourceRequirements.Limits":   {items: maxContainerResources},
	"ResourceRequirements.Requests": {items: maxContainerResources},

	"Toleration.Key":      {by: byTag},
	"Toleration.Operator": {by: byTag},
	"Toleration.Value":    {by: byTag},
	"Toleration.Effect":   {by: byTag},

	"InstanceStatus.Phase":             {by: byTag},
	"InstanceStatus.Conditions":        {by: byTag},
	"InstanceStatus.Reason":            {by: byTag},
	"InstanceStatus.Message":           {by: byTag},
	"InstanceStatus.HostIP":            {by: byRule},
	"InstanceStatus.InstanceIP":        {by: byRule},
	"InstanceStatus.ContainerStatuses": {by: byTag},
	"ContainerStatus.Name":             {by: byTag},
	"ContainerStatus.Image":            {bytes: maxID},
	"ContainerStatus.ImageID":          {bytes: maxID},
	"ContainerStatus.ContainerID":      {bytes: maxID},

	"ContainerStateWaiting.Reason":         {bytes: maxReason},
	"ContainerStateWaiting.Message":        {bytes: maxMessage},
	"ContainerStateTerminated.Reason":      {bytes: maxReason},
	"ContainerStateTerminated.Message":     {bytes: maxMessage},
	"ContainerStateTerminated.ContainerID": {bytes: maxID},

	"BindingTarget.Kind": {by: byRule},
	"BindingTarget.Name": {by: byRule},

	"AppStrategy.Type":   {by: byTag},
	"IntOrString.StrVal": {bytes: 16},

	"LabelSelector.MatchLabels":         {items: maxSelector},
	"LabelSelector.MatchExpressions":    {items: maxSelector},
	"LabelSelectorRequirement.Key":      {by: byRule},
	"LabelSelectorRequirement.Operator": {by: byRule},
	"LabelSelectorRequirement.Values":   {items: maxSelectorValues},

	"AppStatus.Conditions":     {by: byTag},
	"ReleaseStatus.Conditions": {by: byTag},
}

// isLeaf reports whether a type contains nothing to bound: it is parsed from a text of
// bounded length, or validated elsewhere (metadata, by registry/base).
func isLeaf(t reflect.Type) bool {
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.MicroTime](),
		reflect.TypeFor[metav1.TypeMeta](), reflect.TypeFor[metav1.ObjectMeta]():
		return true
	}
	return false
}

// excess is one field that holds more than it may.
type excess struct {
	path  *field.Path
	items bool
	has   int
	may   int
	// note takes the place of the message.
	note string
}

// validateBounds refuses what holds more than bounds and maxCopies allow. What an object held
// before, it may keep: old is a nil pointer on create.
func validateBounds[T any](object, old *T) field.ErrorList {
	found := findExcess(reflect.ValueOf(object).Elem(), nil, nil)
	if len(found) == 0 {
		return nil
	}
	before := map[string]int{}
	if old != nil {
		for _, e := range findExcess(reflect.ValueOf(old).Elem(), nil, nil) {
			before[e.path.String()] = e.has
		}
	}
	var errs field.ErrorList
	for _, e := range found {
		switch {
		case e.has <= before[e.path.String()]:
		case e.note != "":
			errs = append(errs, &field.Error{Type: field.ErrorTypeTooLong, Field: e.path.String(), BadValue: "<value omitted>", Detail: e.note})
		case e.items:
			errs = append(errs, field.TooMany(e.path, e.has, e.may))
		default:
			errs = append(errs, field.TooLong(e.path, "", e.may))
		}
	}
	return errs
}

// findExcess walks through everything below the value.
func findExcess(value reflect.Value, path *field.Path, found []excess) []excess {
	switch value.Kind() {
	case reflect.Pointer:
		if !value.IsNil() {
			return findExcess(value.Elem(), path, found)
		}
	case reflect.Slice:
		for i := range value.Len() {
			found = findExcess(value.Index(i), path.Index(i), found)
		}
	case reflect.Struct:
		if isLeaf(value.Type()) {
			return found
		}
		switch spec := value.Interface().(type) {
		case fleet.AppSpec:
			found = copiesExcess(&spec.Template, ptr.Deref(spec.Replicas, 1), path, found)
		case fleet.ReleaseSpec:
			// A rollout may have more instances for a moment than the replicas of its app.
			found = copiesExcess(&spec.Template, ptr.Deref(spec.Replicas, 1)/2, path, found)
		case fleet.InstanceTemplateSpec:
			found = templateExcess(&spec, path, found)
		}
		for i := range value.NumField() {
			found = fieldExcess(value.Type(), i, value.Field(i), path, found)
		}
	}
	return found
}

// fieldExcess checks one field of a struct, and the fields below it.
func fieldExcess(of reflect.Type, i int, value reflect.Value, path *field.Path, found []excess) []excess {
	name := of.Field(i).Name
	at := path.Child(strings.ToLower(name[:1]) + name[1:])
	if of == reflect.TypeFor[intstr.IntOrString]() {
		at = path // its value is the field's own
	}
	may := bounds[of.Name()+"."+name]
	switch value.Kind() {
	case reflect.String:
		if may.bytes > 0 && value.Len() > may.bytes {
			found = append(found, excess{path: at, has: value.Len(), may: may.bytes})
		}
		return found
	case reflect.Slice, reflect.Map:
		if may.items > 0 && value.Len() > may.items {
			return append(found, excess{path: at, items: true, has: value.Len(), may: may.items})
		}
	}
	if value.Kind() == reflect.Slice && value.Type().Elem().Kind() == reflect.String {
		for j := range value.Len() {
			if n := value.Index(j).Len(); may.bytes > 0 && n > may.bytes {
				found = append(found, excess{path: at.Index(j), has: n, may: may.bytes})
			}
		}
		return found
	}
	return findExcess(value, at, found)
}

// copiesExcess checks the size of a template times the replicas. More replicas of the same
// template are an excess as well.
func copiesExcess(template *fleet.InstanceTemplateSpec, replicas int32, path *field.Path, found []excess) []excess {
	size := sizeOf(reflect.ValueOf(template))
	all := size * max(int(replicas), 0)
	if size <= smallTemplate || all <= maxCopies {
		return found
	}
	note := fmt.Sprintf("%d KiB for each of %d replicas are more than %d MiB together: make the template smaller, or use at most %d replicas", size>>10, replicas, maxCopies>>20, maxCopies/size)
	return append(found, excess{path: path.Child("template"), has: all, may: maxCopies, note: note})
}

// templateExcess checks the metadata of a template.
func templateExcess(template *fleet.InstanceTemplateSpec, path *field.Path, found []excess) []excess {
	metadata := path.Child("metadata")
	for _, e := range []excess{
		{path: metadata.Child("labels"), items: true, has: len(template.Labels), may: maxTemplateLabels},
		{path: metadata.Child("annotations"), items: true, has: len(template.Annotations), may: maxTemplateLabels},
		{path: metadata.Child("finalizers"), items: true, has: len(template.Finalizers), may: maxTemplateFinalizers},
	} {
		if e.has > e.may {
			found = append(found, e)
		}
	}
	return found
}

// sizeOf adds up the bytes of all texts below a value, and 8 for each number or empty element.
func sizeOf(value reflect.Value) int {
	switch value.Kind() {
	case reflect.Pointer:
		if value.IsNil() {
			return 0
		}
		return sizeOf(value.Elem())
	case reflect.String:
		return value.Len()
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return value.Len()
		}
		size := 8 * value.Len()
		for i := range value.Len() {
			size += sizeOf(value.Index(i))
		}
		return size
	case reflect.Map:
		size := 8 * value.Len()
		for entries := value.MapRange(); entries.Next(); {
			size += sizeOf(entries.Key()) + sizeOf(entries.Value())
		}
		return size
	case reflect.Struct:
		if isLeaf(value.Type()) && value.Type() != reflect.TypeFor[metav1.ObjectMeta]() {
			return 8
		}
		size := 0
		for i := range value.NumField() {
			size += sizeOf(value.Field(i))
		}
		return size
	case reflect.Int32, reflect.Int64:
		if value.IsZero() {
			return 0
		}
		return 8
	}
	return 0
}

// boundsFirst puts what is too large before other errors, of which it may have thousands.
func boundsFirst[T any](object, old *T, errs field.ErrorList) field.ErrorList {
	return slices.Concat(validateBounds(object, old), errs)
}
