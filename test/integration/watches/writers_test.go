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

package watches

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const tierLabel = "example.com/tier"

// lastName returns the name of the last instance that is bound to each of two hosts.
func lastName(host int) string { return fmt.Sprintf("last-%d", host) }

// written is an acknowledged change, with the fields that filters read.
type written struct {
	harness.Change
	host, tier string
}

// writers make a number of different writes to instances, many at a time, and record the
// response to each in a ledger. Every object belongs to one writer.
type writers struct {
	client versioned.Interface
	total  int
	// padding makes objects large.
	padding string
	done    harness.Gauge

	mu      sync.Mutex
	tickets int
	ledger  map[uint64]written
}

// isLast reports whether a change is the last that the writers make.
func isLast(c harness.Change) bool { return c.Name == lastName(1) && c.Kind == watch.Modified }

// errNoTicket is returned when all writes have been made or begun.
var errNoTicket = errors.New("all writes are made")

// run makes all writes; the last four create an instance for each of two hosts and bind it.
func (w *writers) run(ctx context.Context, parallel int) error {
	w.ledger = map[uint64]written{}
	w.tickets = w.total - 4
	failures := make([]error, parallel)
	var group sync.WaitGroup
	for i := range parallel {
		group.Go(func() {
			for n := 0; failures[i] == nil; n++ {
				failures[i] = w.live(ctx, fmt.Sprintf("w%02d-%03d", i, n), n)
			}
			if errors.Is(failures[i], errNoTicket) {
				failures[i] = nil
			}
		})
	}
	group.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	w.tickets = 4
	for host := range 2 {
		if _, err := w.create(ctx, lastName(host)); err != nil {
			return err
		}
		if _, err := w.bind(ctx, lastName(host), host); err != nil {
			return err
		}
	}
	return nil
}

// live runs an instance through its lifecycle.
func (w *writers) live(ctx context.Context, name string, n int) error {
	instance, err := w.create(ctx, name)
	if err != nil {
		return err
	}
	if instance, err = w.update(ctx, instance, "b"); err != nil {
		return err
	}
	if instance, err = w.report(ctx, instance, fleetv1alpha1.InstancePending); err != nil {
		return err
	}
	if n%2 == 0 {
		if instance, err = w.bind(ctx, name, n/2%2); err != nil {
			return err
		}
	}
	if instance, err = w.report(ctx, instance, fleetv1alpha1.InstanceRunning); err != nil {
		return err
	}
	if _, err = w.update(ctx, instance, "a"); err != nil || n%4 == 3 {
		return err // some stay
	}
	return w.delete(ctx, name)
}

// ticket allows one write.
func (w *writers) ticket() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tickets == 0 {
		return errNoTicket
	}
	w.tickets--
	return nil
}

// acknowledged records a response in the ledger.
func (w *writers) acknowledged(kind watch.EventType, instance *fleetv1alpha1.Instance) error {
	version, name, err := harness.VersionOf(instance)
	if err != nil {
		return fmt.Errorf("%s %s: %w", kind, instance.Name, err)
	}
	digest, err := harness.DigestOf(instance)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if other, ok := w.ledger[version]; ok {
		return fmt.Errorf("%s and %s were acknowledged with the same resourceVersion %d", other.Name, name, version)
	}
	w.ledger[version] = written{harness.Change{Version: version, Kind: kind, Name: name, Digest: digest}, instance.Spec.HostName, instance.Labels[tierLabel]}
	w.done.Add()
	return nil
}

func (w *writers) create(ctx context.Context, name string) (*fleetv1alpha1.Instance, error) {
	if err := w.ticket(); err != nil {
		return nil, err
	}
	instance, err := w.client.FleetV1alpha1().Instances("default").Create(ctx, &fleetv1alpha1.Instance{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{tierLabel: "a"}},
		Spec: fleetv1alpha1.InstanceSpec{Containers: []fleetv1alpha1.Container{{
			Name: "main", Image: "registry.example/app:1", Env: []fleetv1alpha1.EnvVar{{Name: "PADDING", Value: w.padding}},
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", name, err)
	}
	return instance, w.acknowledged(watch.Added, instance)
}

func (w *writers) update(ctx context.Context, instance *fleetv1alpha1.Instance, tier string) (*fleetv1alpha1.Instance, error) {
	if err := w.ticket(); err != nil {
		return nil, err
	}
	instance.Labels[tierLabel] = tier
	instance.Spec.Containers[0].Image += "0"
	updated, err := w.client.FleetV1alpha1().Instances("default").Update(ctx, instance, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("updating %s: %w", instance.Name, err)
	}
	return updated, w.acknowledged(watch.Modified, updated)
}

func (w *writers) report(ctx context.Context, instance *fleetv1alpha1.Instance, phase fleetv1alpha1.InstancePhase) (*fleetv1alpha1.Instance, error) {
	if err := w.ticket(); err != nil {
		return nil, err
	}
	instance.Status.Phase = phase
	instance.Status.Message += "reported. "
	updated, err := w.client.FleetV1alpha1().Instances("default").UpdateStatus(ctx, instance, metav1.UpdateOptions{})
	if err != nil {
		return nil, fmt.Errorf("reporting %s: %w", instance.Name, err)
	}
	return updated, w.acknowledged(watch.Modified, updated)
}

// bind reads the object to get its version, which the response to a binding lacks.
func (w *writers) bind(ctx context.Context, name string, host int) (*fleetv1alpha1.Instance, error) {
	if err := w.ticket(); err != nil {
		return nil, err
	}
	instances := w.client.FleetV1alpha1().Instances("default")
	binding := &fleetv1alpha1.Binding{Target: fleetv1alpha1.BindingTarget{Kind: "Host", Name: fmt.Sprintf("edge-%d", host)}}
	if _, err := instances.Bind(ctx, name, binding, metav1.CreateOptions{}); err != nil {
		return nil, fmt.Errorf("binding %s: %w", name, err)
	}
	bound, err := instances.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return bound, w.acknowledged(watch.Modified, bound)
}

// delete uses a raw request for the deleted object, which the generated client discards.
func (w *writers) delete(ctx context.Context, name string) error {
	if err := w.ticket(); err != nil {
		return err
	}
	deleted := &fleetv1alpha1.Instance{}
	err := w.client.FleetV1alpha1().RESTClient().Delete().UseProtobufAsDefault().Namespace("default").Resource("instances").Name(name).
		Body(&metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)}).Do(ctx).Into(deleted)
	if err != nil {
		return fmt.Errorf("deleting %s: %w", name, err)
	}
	return w.acknowledged(watch.Deleted, deleted)
}

// acknowledgements returns the ledger in the order of etcd's revisions.
func (w *writers) acknowledgements() []written {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ordered []written
	for _, version := range slices.Sorted(maps.Keys(w.ledger)) {
		ordered = append(ordered, w.ledger[version])
	}
	return ordered
}

// explain returns what happened according to the ledger. Only one sort of change has no response:
// a deletion first marks the object as terminating and then removes it, and only
// the second is acknowledged. Any other difference between the ledger and the history
// is an error.
func (w *writers) explain(happened []harness.Change) ([]written, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var explained []written
	latest := map[string]written{}
	marked := map[string]bool{}
	known := 0
	for _, c := range happened {
		entry, ok := w.ledger[c.Version]
		switch {
		case ok && !entry.Same(c):
			return nil, fmt.Errorf("acknowledged was %v, but etcd did %v", entry, c)
		case ok && marked[c.Name] && c.Kind != watch.Deleted:
			return nil, fmt.Errorf("%v follows a change of the same object that no writer made", c)
		case ok:
			known++
		case c.Kind != watch.Modified || marked[c.Name]:
			return nil, fmt.Errorf("%v was not acknowledged", c)
		default:
			entry = written{c, latest[c.Name].host, latest[c.Name].tier}
		}
		marked[c.Name] = !ok
		latest[c.Name] = entry
		explained = append(explained, entry)
	}
	if known != len(w.ledger) {
		return nil, fmt.Errorf("etcd has %d of %d acknowledged writes", known, len(w.ledger))
	}
	for name := range marked {
		if marked[name] {
			return nil, fmt.Errorf("the last change of %s was not acknowledged", name)
		}
	}
	return explained, nil
}

// unfiltered returns what a watcher without a selector must receive after a version.
func unfiltered(sequence []written, after uint64) []harness.Change {
	var changes []harness.Change
	for _, w := range sequence {
		if w.Version > after {
			changes = append(changes, w.Change)
		}
	}
	return changes
}

// filtered returns what a watcher must receive if its selector matches the changes for which matches is true.
func filtered(sequence []written, matches func(written) bool) []harness.Change {
	var changes []harness.Change
	matched := map[string]bool{}
	for _, w := range sequence {
		before, now := matched[w.Name], matches(w)
		matched[w.Name] = now && w.Kind != watch.Deleted
		seen := w.Change
		switch {
		case w.Kind == watch.Deleted && before:
		case w.Kind != watch.Deleted && before && now:
			seen.Kind = watch.Modified
		case w.Kind != watch.Deleted && now:
			seen.Kind = watch.Added
		case w.Kind != watch.Deleted && before:
			// The object leaves the selection, and the event carries its previous state.
			seen.Kind, seen.Digest = watch.Deleted, ""
		default:
			continue
		}
		changes = append(changes, seen)
	}
	return changes
}
