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

// score ranks the hosts that fit.
type score struct {
	// siblings is the number of instances of the same controller on the host.
	siblings int
	// load is the usage of the host with the instance, in thousandths: the sum over cpu, memory
	// and instance slots.
	load int64
}

func scoreOf(h *host, w *requirements, siblings int) score {
	return score{
		siblings: siblings,
		load: thousandths(h.used.milliCPU+w.milliCPU, h.allocatable.milliCPU) +
			thousandths(h.used.memory+w.memory, h.allocatable.memory) +
			thousandths(h.used.instances+w.instances, h.allocatable.instances),
	}
}

// thousandths returns the used share; 1000 if there is no capacity.
func thousandths(used, of int64) int64 {
	if of <= 0 || used >= of {
		return 1000
	}
	if used > most/1000 {
		return used / (of / 1000)
	}
	return used * 1000 / of
}

// better prefers the host with fewer siblings, because the failure of one host should affect as few
// of them as possible, and among equals the less loaded host.
func (s score) better(than score) bool {
	if s.siblings != than.siblings {
		return s.siblings < than.siblings
	}
	return s.load < than.load
}
