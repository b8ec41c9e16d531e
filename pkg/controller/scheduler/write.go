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

package scheduler

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// verdictOf classifies the server's response to a binding. A refused binding was not written; after a
// failure on either side the outcome is unknown.
func verdictOf(err error) verdict {
	switch code := statusCode(err); {
	case err == nil:
		return bound
	case code == 409:
		return conflicted
	case code >= 400 && code < 500 && code != 408:
		return refused
	}
	return unknownOutcome
}

// statusCode returns the HTTP code of an error; 0 if the server did not respond.
func statusCode(err error) int32 {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	return 0
}

func isGone(err error) bool { return apierrors.IsNotFound(err) }

// messageRetry covers a few seconds of failures, and blocks only one binder.
var messageRetry = wait.Backoff{Steps: 5, Duration: 100 * time.Millisecond, Factor: 2, Jitter: 0.1}

// writeMessage writes the condition. After a conflict it reads the instance again, so that concurrent
// status updates are kept.
func (c *Controller) writeMessage(ctx context.Context, instance *v1alpha1.Instance, reason, message string) error {
	instances := c.client.FleetV1alpha1().Instances(instance.Namespace)
	again := func(err error) bool {
		return ctx.Err() == nil && (apierrors.IsConflict(err) || statusCode(err) == 0 || statusCode(err) >= 500)
	}
	current := instance
	err := retry.OnError(messageRetry, again, func() error {
		changed := withMessage(current, reason, message, c.clock.Now())
		if changed == nil {
			return nil
		}
		_, err := instances.UpdateStatus(ctx, changed, metav1.UpdateOptions{})
		if !apierrors.IsConflict(err) {
			return err
		}
		live, getErr := instances.Get(ctx, instance.Name, metav1.GetOptions{})
		if getErr != nil {
			return getErr
		}
		if live.UID != instance.UID {
			return nil
		}
		current = live
		return err
	})
	if isGone(err) {
		return nil
	}
	return err
}
