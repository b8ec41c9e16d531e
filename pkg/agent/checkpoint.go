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

package agent

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

const (
	// checkpointDelay is the time for which the agent waits for the instances of the server, before it
	// starts those of the checkpoint, which may be outdated.
	checkpointDelay = 5 * time.Second
	// checkpointPoll is the time between looks whether they have arrived.
	checkpointPoll = 100 * time.Millisecond
)

// readCheckpoint reads the instances that the host had accepted before the agent started.
func (c *controller) readCheckpoint(ctx context.Context) {
	if c.options.Checkpoint == nil {
		return
	}
	instances, err := c.options.Checkpoint.Load()
	if err != nil {
		klog.FromContext(ctx).Error(err, "Reading the checkpoint failed, its other instances run without the server")
	}
	for _, instance := range instances {
		c.saved[instance.UID] = savedVersion(instance)
	}
	c.recovered = instances
}

// startFromCheckpoint runs the checkpointed instances if the server does not send its own in time.
// Containers that still run are not touched before that.
func (c *controller) startFromCheckpoint(ctx context.Context) {
	if len(c.recovered) == 0 {
		return
	}
	for deadline := time.Now().Add(c.checkpointDelay); time.Now().Before(deadline); {
		if c.mirror.isListed() || sleep(ctx, checkpointPoll) != nil {
			return
		}
	}
	if c.mirror.preload(c.recovered) {
		klog.FromContext(ctx).Info("Server does not answer, running the instances of the checkpoint", "instances", len(c.recovered))
	}
}

// savedVersion changes when an instance must be saved again: with its specification, its deletion,
// and the end of its lifecycle.
func savedVersion(instance *v1alpha1.Instance) string {
	return fmt.Sprint(instance.Generation, instance.DeletionTimestamp, instance.Status.StartTime, instance.Status.Phase)
}

// save stores an instance before the agent acts on it. A failure does not keep the instance from
// running: the next synchronization tries again.
func (c *controller) save(ctx context.Context, instance *v1alpha1.Instance) {
	version := savedVersion(instance)
	if c.options.Checkpoint == nil || c.saved[instance.UID] == version {
		return
	}
	if err := c.options.Checkpoint.Save(instance); err != nil {
		klog.FromContext(ctx).Error(err, "Saving an instance failed, it does not start without the server", "instance", keyOf(instance))
		return
	}
	c.saved[instance.UID] = version
}

// unsave removes an instance from the checkpoint.
func (c *controller) unsave(ctx context.Context, uid types.UID) {
	if c.options.Checkpoint == nil {
		return
	}
	if err := c.options.Checkpoint.Remove(uid); err != nil {
		klog.FromContext(ctx).Error(err, "Removing an instance from the checkpoint failed, retrying", "uid", uid)
		return
	}
	delete(c.saved, uid)
}
