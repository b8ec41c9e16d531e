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

package storageversionmigrator

import (
	"context"
	"errors"
	"fmt"
	"strings"

	storagemigrationv1 "k8s.io/api/storagemigration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/rewrite"
)

// step is what comes next for a resource.
type step struct {
	// ended are migrations that have ended and are still Running.
	ended []*migration
	// start is the migration that becomes Running, and active the one that is. At most one of them is set.
	start, active *migration
}

// decide returns the next step for all migrations of a resource. One is Running at a time, the oldest first.
func decide(all []*migration) step {
	var next step
	for _, m := range all {
		isRunning, isOver := is(m, storagemigrationv1.MigrationRunning), is(m, storagemigrationv1.MigrationSucceeded) || is(m, storagemigrationv1.MigrationFailed)
		switch {
		case isRunning && isOver:
			next.ended = append(next.ended, m)
		case isRunning && (next.active == nil || older(m, next.active)):
			next.active = m
		case !isRunning && !isOver && (next.start == nil || older(m, next.start)):
			next.start = m
		}
	}
	if next.active != nil {
		next.start = nil
	}
	return next
}

func older(a, b *migration) bool {
	if order := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); order != 0 {
		return order < 0
	}
	return strings.Compare(a.Name, b.Name) < 0
}

func is(m *migration, condition storagemigrationv1.MigrationConditionType) bool {
	return meta.IsStatusConditionTrue(m.Status.Conditions, string(condition))
}

// migrate updates all objects whose version is not later than the one at which the migration began.
func (c *Controller) migrate(ctx context.Context, m *migration, target schema.GroupVersionResource) error {
	logger := klog.FromContext(ctx)
	logger.V(2).Info("Migrating", "migration", m.Name, "resource", target, "resourceVersion", m.Status.ResourceVersion)
	var objects int // as far as the last page knows
	r := &rewrite.Rewriter{
		Client: c.metadata, Limiter: c.limiter, Manager: Name,
		Due: func(object *metav1.PartialObjectMetadata) bool {
			order, err := resourceversion.CompareResourceVersion(object.ResourceVersion, m.Status.ResourceVersion)
			return err != nil || order <= 0
		},
		Page: func(total, _ rewrite.Tally, list *metav1.PartialObjectMetadataList) error {
			objects = total.Done() + len(total.Failed)
			if list.RemainingItemCount != nil {
				objects += int(*list.RemainingItemCount)
			}
			return first(total.Failed)
		},
	}
	total, err := r.Resource(ctx, target)
	left := objects - total.Done()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil:
		logger.V(2).Info("Migrated", "migration", m.Name, "resource", target, "rewritten", total.Rewritten, "unchanged", total.Current, "writtenByOthers", total.Changed+total.Skipped)
		return c.write(ctx, m, isRunning(0, objects, nil), succeeded())
	case len(total.Failed) == 0 || isTransient(err):
		return errors.Join(err, c.write(ctx, m, isRunning(left, objects, err)))
	}
	return c.write(ctx, m, isRunning(left, objects, nil), failed(fmt.Sprintf("%d/%d not yet migrated. migration encountered unhandled error: %s", left, objects, err)))
}

// first returns the error that decides about a migration: one that no retry cures, if there is one.
func first(errs []error) error {
	for _, err := range errs {
		if !isTransient(err) {
			return err
		}
	}
	if len(errs) > 0 {
		return errs[0]
	}
	return nil
}

// isTransient reports whether the update is to be repeated later. A webhook that cannot be called is an internal
// error.
func isTransient(err error) bool { return rewrite.Unanswered(err) || apierrors.IsInternalError(err) }

// with returns a copy of a migration with these conditions.
func with(m *migration, conditions ...metav1.Condition) *migration {
	changed := m.DeepCopy()
	for _, condition := range conditions {
		meta.SetStatusCondition(&changed.Status.Conditions, condition)
	}
	return changed
}

func running(status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{Type: string(storagemigrationv1.MigrationRunning), Status: status, Reason: reason, Message: message}
}

// isRunning returns the condition of a migration that runs. objects is 0 while their number is unknown.
func isRunning(left, objects int, transient error) metav1.Condition {
	message := "The migration is running"
	switch {
	case left > 0 && objects > 0:
		message += fmt.Sprintf(", %d/%d objects not yet migrated", left, objects)
	case objects > 0:
		message += fmt.Sprintf(", %d objects verified migrated", objects)
	}
	if transient != nil {
		message += "; transient error: " + transient.Error()
	}
	return running(metav1.ConditionTrue, "MigrationRunning", message)
}

func succeeded() metav1.Condition {
	return metav1.Condition{Type: string(storagemigrationv1.MigrationSucceeded), Status: metav1.ConditionTrue, Reason: "StorageVersionMigrationSucceeded", Message: "Migration completed"}
}

func failed(message string) metav1.Condition {
	return metav1.Condition{Type: string(storagemigrationv1.MigrationFailed), Status: metav1.ConditionTrue, Reason: "StorageVersionMigrationFailed", Message: message}
}
