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
	"fmt"
	"math"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// IsRollingUpdate reports whether an app replaces its instances step by step.
func IsRollingUpdate(app *v1alpha1.App) bool {
	return app.Spec.Strategy.Type == v1alpha1.RollingUpdateAppStrategy
}

// ResolveFenceposts returns maxSurge and maxUnavailable as numbers for an app of that size: it
// rounds percentages of the first up, and of the second down. If both are 0, no rollout could
// progress, so one instance may be unavailable.
func ResolveFenceposts(maxSurge, maxUnavailable *intstr.IntOrString, replicas int32) (surge, unavailable int32, err error) {
	up, err := intstr.GetScaledValueFromIntOrPercent(ptr.To(ptr.Deref(maxSurge, intstr.FromInt32(0))), int(replicas), true)
	if err != nil {
		return 0, 0, fmt.Errorf("maxSurge: %w", err)
	}
	down, err := intstr.GetScaledValueFromIntOrPercent(ptr.To(ptr.Deref(maxUnavailable, intstr.FromInt32(0))), int(replicas), false)
	if err != nil {
		return 0, 0, fmt.Errorf("maxUnavailable: %w", err)
	}
	if up == 0 && down == 0 {
		down = 1
	}
	return clamp(int64(up)), clamp(int64(down)), nil
}

// fenceposts returns those of an app; zeros for one that replaces all its instances at once.
// Validation refuses values that cannot be resolved.
func fenceposts(app *v1alpha1.App) (surge, unavailable int32) {
	if !IsRollingUpdate(app) {
		return 0, 0
	}
	rolling := ptr.Deref(app.Spec.Strategy.RollingUpdate, v1alpha1.RollingUpdateApp{})
	surge, unavailable, _ = ResolveFenceposts(rolling.MaxSurge, rolling.MaxUnavailable, wanted(app))
	return surge, unavailable
}

// MaxSurge returns how many instances more than wanted an app may have during a rollout.
func MaxSurge(app *v1alpha1.App) int32 {
	surge, _ := fenceposts(app)
	return surge
}

// mostReplicas returns how many instances an app may have during a rollout, including the surge.
func mostReplicas(app *v1alpha1.App) int32 {
	return clamp(int64(wanted(app)) + int64(MaxSurge(app)))
}

// clamp saturates a number to int32. Replicas are summed up in 64 bits: a sum that wraps around
// would end a rollout, or become the size of a release.
func clamp(number int64) int32 {
	return int32(max(min(number, math.MaxInt32), math.MinInt32))
}

// MaxUnavailable returns how many of an app's instances may be unavailable during a rollout: at most
// all.
func MaxUnavailable(app *v1alpha1.App) int32 {
	_, unavailable := fenceposts(app)
	return min(unavailable, wanted(app))
}

// MinAvailable returns how many of an app's instances must be available during a rollout.
func MinAvailable(app *v1alpha1.App) int32 {
	if !IsRollingUpdate(app) {
		return 0
	}
	return wanted(app) - MaxUnavailable(app)
}

// NewReplicas returns how many replicas the newest release may have now, given those of all.
func NewReplicas(app *v1alpha1.App, all []*v1alpha1.Release, newest *v1alpha1.Release) (int32, error) {
	switch app.Spec.Strategy.Type {
	case v1alpha1.RollingUpdateAppStrategy:
		spare := int64(mostReplicas(app)) - int64(ReplicaCount(all))
		if spare <= 0 {
			return size(newest), nil
		}
		return min(clamp(int64(size(newest))+spare), wanted(app)), nil
	case v1alpha1.RecreateAppStrategy:
		return wanted(app), nil
	}
	return 0, fmt.Errorf("spec.strategy.type: %q is neither RollingUpdate nor Recreate", app.Spec.Strategy.Type)
}
