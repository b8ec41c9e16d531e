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
	"sync"

	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// Mark is the furthest progress of an app since its spec last changed. Only what exceeds it is
// progress: instances that become ready, fail and are replaced would otherwise restart the deadline
// without end. The fields are those of the status.
type Mark struct {
	Generation                                        int64
	UpdatedReplicas, ReadyReplicas, AvailableReplicas int32
	// OldReplicas is the least number of instances of older versions.
	OldReplicas int32
}

// MarkOf returns the progress of an app by its status.
func MarkOf(app *v1alpha1.App, status *v1alpha1.AppStatus) Mark {
	return Mark{
		Generation: app.Generation, UpdatedReplicas: status.UpdatedReplicas, ReadyReplicas: status.ReadyReplicas,
		AvailableReplicas: status.AvailableReplicas, OldReplicas: status.Replicas - status.UpdatedReplicas,
	}
}

// beyond reports whether a status exceeds the mark.
func (m Mark) beyond(status *v1alpha1.AppStatus) bool {
	return status.UpdatedReplicas > m.UpdatedReplicas ||
		status.Replicas-status.UpdatedReplicas < m.OldReplicas ||
		status.ReadyReplicas > m.ReadyReplicas ||
		status.AvailableReplicas > m.AvailableReplicas
}

// merge returns the mark after the app had another status.
func (m Mark) merge(status *v1alpha1.AppStatus) Mark {
	m.UpdatedReplicas = max(m.UpdatedReplicas, status.UpdatedReplicas)
	m.ReadyReplicas = max(m.ReadyReplicas, status.ReadyReplicas)
	m.AvailableReplicas = max(m.AvailableReplicas, status.AvailableReplicas)
	m.OldReplicas = min(m.OldReplicas, status.Replicas-status.UpdatedReplicas)
	return m
}

// marks holds the marks of all apps in memory: after a restart an app may make one more step.
type marks struct {
	lock sync.Mutex
	of   map[types.UID]Mark
}

// get returns the mark of an app with its current spec; nil if there is none.
func (m *marks) get(app *v1alpha1.App) *Mark {
	m.lock.Lock()
	defer m.lock.Unlock()
	mark, known := m.of[app.UID]
	if !known || mark.Generation != app.Generation {
		return nil
	}
	return &mark
}

func (m *marks) set(app types.UID, mark Mark) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.of[app] = mark
}

func (m *marks) forget(app types.UID) {
	m.lock.Lock()
	defer m.lock.Unlock()
	delete(m.of, app)
}
