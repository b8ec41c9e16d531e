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

// Package backup runs the backups of a server as the user of a controller, and records events about those that fail.
// Backups are made by pkg/storage/backup, which controllers must not import. Read Controller.Run.
package backup

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/controller/internal/events"
)

// Name of the controller. Its user has this name after a prefix.
const Name = "backup-controller"

// Result is the result of one attempt to make a backup.
type Result struct {
	// Member is the ID of the etcd member that was to be saved, in hexadecimal digits; empty if none answered.
	Member string
	// Err is nil if the backup was made and verified.
	Err error
	// Damaged is true if the backup was made and has objects that cannot be decoded.
	Damaged bool
	// Message describes a backup that was made.
	Message string
}

// Job makes backups until the context ends, and reports each attempt.
type Job func(ctx context.Context, report func(Result)) error

// Controller runs a job.
type Controller struct {
	job      Job
	recorder *events.Recorder
	// failed is true while the last attempt has failed.
	failed bool
}

// New returns a controller that writes events with the configuration.
func New(config *rest.Config, job Job) (*Controller, error) {
	recorder, err := events.New(config, Name)
	return &Controller{job: job, recorder: recorder}, err
}

// Run runs the job until the context ends. It is called once.
func (c *Controller) Run(ctx context.Context) error {
	defer c.recorder.Start()()
	return c.job(ctx, c.report)
}

// report records an event about a failure, and about the first success after one.
func (c *Controller) report(r Result) {
	failed := c.failed
	c.failed = r.Err != nil
	member := &corev1.ObjectReference{APIVersion: diagnosticsv1alpha1.SchemeGroupVersion.String(), Kind: "StorageMember", Name: r.Member}
	if r.Member == "" {
		member = &corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: "kube-system"}
	}
	switch {
	case r.Damaged:
		c.recorder.Event(member, corev1.EventTypeWarning, "BackupDamaged", r.Err.Error())
	case r.Err != nil:
		c.recorder.Event(member, corev1.EventTypeWarning, "BackupFailed", r.Err.Error())
	case failed:
		c.recorder.Event(member, corev1.EventTypeNormal, "BackupMade", r.Message)
	}
}
