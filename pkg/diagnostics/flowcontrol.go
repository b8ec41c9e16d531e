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

package diagnostics

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	utilflowcontrol "k8s.io/apiserver/pkg/util/flowcontrol"
	fq "k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	fcrequest "k8s.io/apiserver/pkg/util/flowcontrol/request"
)

// WithFlowControl records the classification, the seats and the wait of requests, and counts the seats of
// the running ones.
func WithFlowControl(control utilflowcontrol.Interface) utilflowcontrol.Interface {
	return flowControl{control, newSeatTable()}
}

type flowControl struct {
	utilflowcontrol.Interface
	table *seatTable
}

// Handle implements utilflowcontrol.Interface.
func (f flowControl) Handle(ctx context.Context, digest utilflowcontrol.RequestDigest,
	noteFn func(*flowcontrolv1.FlowSchema, *flowcontrolv1.PriorityLevelConfiguration, string),
	workEstimator func() fcrequest.WorkEstimate, queueNoteFn fq.QueueNoteFn, execFn func(),
) {
	record := From(ctx)
	if record == nil {
		f.Interface.Handle(ctx, digest, noteFn, workEstimator, queueNoteFn, execFn)
		return
	}
	if record.Reviewed() {
		record.enterAs(FlowControl, digest.User, time.Now())
		record.Add(f.classify(ctx, digest, noteFn))
		execFn()
		return
	}
	s := &seating{record: record, table: f.table, begun: time.Now(), stop: Stop{Gate: FlowControl}}
	if digest.User != nil {
		s.user = bounded(digest.User.GetName(), longestName)
	}
	record.enterAs(FlowControl, digest.User, s.begun)
	f.Interface.Handle(ctx, digest, func(schema *flowcontrolv1.FlowSchema, level *flowcontrolv1.PriorityLevelConfiguration, flow string) {
		s.stop.By, s.stop.PriorityLevel, s.level = schema.Name, level.Name, level
		noteFn(schema, level, flow)
	}, func() fcrequest.WorkEstimate {
		work := workEstimator()
		s.stop.Seats = uint16(min(work.MaxSeats(), math.MaxUint16)) // #nosec G115 -- bounded
		return work
	}, func(inQueue bool) {
		s.queue(inQueue)
		queueNoteFn(inQueue)
	}, func() {
		s.execute(execFn)
	})
	if !s.executed {
		s.refused(ctx)
	}
}

// RegisterWatch implements utilflowcontrol.Interface. The watch of a review is not opened.
func (f flowControl) RegisterWatch(r *http.Request) utilflowcontrol.ForgetWatchFunc {
	if From(r.Context()).Reviewed() {
		return nil
	}
	return f.Interface.RegisterWatch(r)
}

// seating is the way of a request through flow control.
type seating struct {
	record   *Record
	table    *seatTable
	begun    time.Time
	user     string
	level    *flowcontrolv1.PriorityLevelConfiguration
	stop     Stop
	executed bool
}

// queue notes that the request waits in a queue, or that it waits no longer.
func (s *seating) queue(waiting bool) {
	if waiting {
		s.stop.Queued = true
		s.table.wait(s.stop.PriorityLevel, 1)
		return
	}
	s.table.wait(s.stop.PriorityLevel, -1)
}

// execute counts the seats of the request while it runs. A request without a limit counts as one.
func (s *seating) execute(run func()) {
	s.executed = true
	s.stop.Latency = time.Since(s.begun)
	s.record.Add(s.stop)
	seats := max(1, int32(s.stop.Seats))
	defer s.table.take(s.stop.PriorityLevel, s.user, seats).give()
	run()
}

// refused records which requests have the seats. A level without a type is not one of the library's: the
// user has its share of all requests.
func (s *seating) refused(ctx context.Context) {
	s.stop.Verdict, s.stop.Latency = Refused, time.Since(s.begun)
	level := s.stop.PriorityLevel
	switch {
	case s.level == nil || s.level.Spec.Type == "":
		level = ""
		s.stop.Reason = "the user has its share of the running requests, and too many wait"
		if ctx.Err() != nil {
			s.stop.Reason = "the user has its share of the running requests, and none ended in time"
		}
	case s.stop.Queued:
		s.stop.Reason = "no seat became free in the time that a request may wait"
	case s.level.Spec.Limited != nil && s.level.Spec.Limited.LimitResponse.Type == flowcontrolv1.LimitResponseTypeReject:
		s.stop.Reason = "all seats of the priority level are in use, and it has no queue"
	default:
		s.stop.Reason = "all seats of the priority level are in use, and the queue of the flow is full"
	}
	s.stop.Details = &Details{Seats: s.table.state(level, s.user, time.Now())}
	s.record.Add(s.stop)
}

// seatsText returns the state of the seats for the message of a refusal, without the names of other users.
func seatsText(stop *Stop, user string) string {
	if stop.Details == nil || stop.Details.Seats == nil {
		return ""
	}
	seats, own := stop.Details.Seats, int32(0)
	for _, holder := range seats.Holders {
		if holder.User == user {
			own = holder.Seats
		}
	}
	text := fmt.Sprintf(", %d of %d seats in use are of this user", own, seats.InUse)
	if stop.PriorityLevel != stop.By {
		text = ", priority level " + stop.PriorityLevel + text
	}
	return text
}
