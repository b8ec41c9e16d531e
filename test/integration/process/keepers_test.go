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

package process

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	fleetv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned"
	typedv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/generated/clientset/versioned/typed/fleet/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/test/integration/harness"
)

const stepAnnotation = "example.com/step"

// promise is the state of one object that the server has acknowledged.
type promise struct {
	version uint64
	uid     types.UID
	digest  string
	// spec and status count the writes.
	spec, status int
	gone         bool
	// inDoubt is a write without a response: it may have been applied or not.
	inDoubt string
}

// promiseOf returns the state that an object records about itself.
func promiseOf(instance *fleetv1alpha1.Instance) (promise, error) {
	version, name, err := harness.VersionOf(instance)
	if err != nil {
		return promise{}, err
	}
	digest, err := harness.DigestOf(instance)
	if err != nil {
		return promise{}, err
	}
	spec, err := strconv.Atoi(instance.Annotations[stepAnnotation])
	if err != nil {
		return promise{}, fmt.Errorf("%s: %w", name, err)
	}
	status := 0
	if instance.Status.Message != "" {
		if status, err = strconv.Atoi(instance.Status.Message); err != nil {
			return promise{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return promise{version: version, uid: instance.UID, digest: digest, spec: spec, status: status}, nil
}

// keepers write to their own objects, many at a time, and record what the server has
// acknowledged, also while it is stopped or killed.
type keepers struct {
	client       atomic.Pointer[versioned.Clientset]
	acknowledged harness.Gauge
	// dying is set before the server is stopped: from then on writes may fail.
	dying atomic.Bool

	mu       sync.Mutex
	promises map[string]promise
	// last holds the last error of each writer.
	last []error
}

func newKeepers() *keepers { return &keepers{promises: map[string]promise{}} }

func (k *keepers) instances() typedv1alpha1.InstanceInterface {
	return k.client.Load().FleetV1alpha1().Instances("default")
}

func (k *keepers) get(name string) promise {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.promises[name]
}

func (k *keepers) set(name string, p promise) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.promises[name] = p
}

// run writes until the server stops responding. It returns the errors from before the server was
// stopped.
func (k *keepers) run(ctx context.Context, round, parallel int) error {
	failures := make([]error, parallel)
	k.last = make([]error, parallel)
	var group sync.WaitGroup
	for i := range parallel {
		group.Go(func() {
			var err error
			for n := 0; err == nil; n++ {
				err = k.lead(ctx, fmt.Sprintf("r%d-k%d-%d", round, i, n), n)
			}
			if k.last[i] = err; !k.dying.Load() {
				failures[i] = err
			}
		})
	}
	group.Wait()
	return errors.Join(failures...)
}

// lead creates the nth object, updates its spec and status twice, and deletes every third.
func (k *keepers) lead(ctx context.Context, name string, n int) error {
	instance := harness.SmallInstance(name)
	instance.Annotations = map[string]string{stepAnnotation: "1"}
	instance, err := k.write(name, "create", func() (*fleetv1alpha1.Instance, error) {
		return k.instances().Create(ctx, instance, metav1.CreateOptions{})
	})
	for step := 1; step <= 2 && err == nil; step++ {
		instance, err = k.write(name, "update", func() (*fleetv1alpha1.Instance, error) {
			instance.Annotations[stepAnnotation] = strconv.Itoa(step + 1)
			return k.instances().Update(ctx, instance, metav1.UpdateOptions{})
		})
		if err != nil {
			break
		}
		instance, err = k.write(name, "status", func() (*fleetv1alpha1.Instance, error) {
			instance.Status.Message = strconv.Itoa(step)
			return k.instances().UpdateStatus(ctx, instance, metav1.UpdateOptions{})
		})
	}
	if err != nil || n%3 != 0 {
		return err
	}
	_, err = k.write(name, "delete", func() (*fleetv1alpha1.Instance, error) {
		return nil, k.instances().Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](0)})
	})
	return err
}

// write makes one write and records its result. A response without an object means that the object no
// longer exists.
func (k *keepers) write(name, verb string, do func() (*fleetv1alpha1.Instance, error)) (*fleetv1alpha1.Instance, error) {
	before := k.get(name)
	before.inDoubt = verb
	k.set(name, before)
	answered, err := do()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, name, err)
	}
	after := before
	after.gone, after.inDoubt = true, ""
	if answered != nil {
		if after, err = promiseOf(answered); err != nil {
			return nil, err
		}
	}
	k.set(name, after)
	k.acknowledged.Add()
	return answered, nil
}

// verdict counts the results of writes that got no response.
type verdict struct{ objects, inDoubt, happened int }

// verify compares the stored objects with the promises and continues from there. Every broken promise
// is an error.
func (k *keepers) verify(ctx context.Context) (verdict, error) {
	list, err := k.instances().List(ctx, metav1.ListOptions{})
	if err != nil {
		return verdict{}, err
	}
	found := map[string]promise{}
	for i := range list.Items {
		if found[list.Items[i].Name], err = promiseOf(&list.Items[i]); err != nil {
			return verdict{}, err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	var broken []error
	var v verdict
	for _, name := range slices.Sorted(maps.Keys(k.promises)) {
		promised := k.promises[name]
		is, exists := found[name]
		if promised.inDoubt != "" {
			v.inDoubt++
			// The version is empty before the creation and after the deletion.
			if is.version != promised.version {
				v.happened++
			}
		}
		if err := promised.kept(is, exists); err != nil {
			broken = append(broken, fmt.Errorf("%s: %w", name, err))
		}
		delete(found, name)
		if exists {
			v.objects++
			k.promises[name] = is
		} else {
			k.promises[name] = promise{gone: true, uid: promised.uid}
		}
	}
	for name := range found {
		broken = append(broken, fmt.Errorf("%s was never written", name))
	}
	return v, errors.Join(broken...)
}

// kept describes how the stored object breaks the promise.
func (p promise) kept(is promise, exists bool) error {
	switch {
	case p.gone && !exists:
		return nil
	case p.gone:
		return errors.New("it was deleted and is there again")
	case !exists && (p.inDoubt == "delete" || p.inDoubt == "create"):
		return nil
	case !exists:
		return fmt.Errorf("it was acknowledged at %d and is lost", p.version)
	case p.inDoubt == "create":
		return nil
	case is.uid != p.uid:
		return errors.New("it is another object of the same name")
	case is.version < p.version || is.spec < p.spec || is.status < p.status:
		return fmt.Errorf("it was acknowledged at %d with writes %d/%d, and is at %d with %d/%d", p.version, p.spec, p.status, is.version, is.spec, is.status)
	case is.version == p.version && is.digest != p.digest:
		return fmt.Errorf("its content at %d is not what was acknowledged", p.version)
	case is.version > p.version && p.inDoubt == "":
		return fmt.Errorf("it was acknowledged at %d and is at %d, but no writer wrote", p.version, is.version)
	case is.spec+is.status > p.spec+p.status+1:
		return fmt.Errorf("one write was in doubt, but it went from %d/%d to %d/%d", p.spec, p.status, is.spec, is.status)
	}
	return nil
}

// highest is the highest resourceVersion that was acknowledged.
func (k *keepers) highest() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	var highest uint64
	for _, p := range k.promises {
		highest = max(highest, p.version)
	}
	return highest
}
