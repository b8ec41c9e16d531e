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

package requesttrace

import (
	"reflect"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
)

func TestUsersGetNoNamesOfOtherHoldersOfSeats(t *testing.T) {
	trace := &diagnostics.RequestTrace{User: diagnostics.TracedUser{Username: "bob"}, Stops: []diagnostics.TraceStop{{
		Seats: &diagnostics.TracedSeats{InUse: 9, Holders: []diagnostics.SeatHolder{{Username: "alice", Seats: 5}, {Username: "bob", Seats: 2}}},
	}}}
	hide(&user.DefaultInfo{Name: "bob"}, trace)
	want := []diagnostics.SeatHolder{{Username: "bob", Seats: 2}, {Seats: 7}}
	if got := trace.Stops[0].Seats.Holders; !reflect.DeepEqual(got, want) {
		t.Errorf("the holders are %+v", got)
	}
}
