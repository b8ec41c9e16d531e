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

package watchsession

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

func table() rest.TableConvertor {
	type column = base.Column[*diagnostics.WatchSession]
	return base.Table(
		base.NameColumn[*diagnostics.WatchSession](),
		column{Name: "User", Description: "The user of the watch.", Value: func(s *diagnostics.WatchSession) any { return orNone(s.User.Username) }},
		column{Name: "Resource", Description: "The resource with its group.", Value: func(s *diagnostics.WatchSession) any { return resourceOf(&s.Request) }},
		column{Name: "Object", Description: "The namespace and the name that are watched.", Value: func(s *diagnostics.WatchSession) any {
			return orNone(strings.Trim(s.Request.Namespace+"/"+s.Request.Name, "/"))
		}},
		column{Name: "Served-From", Description: "Where the events come from.", Value: func(s *diagnostics.WatchSession) any { return string(s.ServedFrom) }},
		column{Name: "Events", Type: "integer", Description: "The number of events that were written.", Value: func(s *diagnostics.WatchSession) any { return s.Events }},
		column{Name: "Bytes", Type: "integer", Description: "The size of what was written.", Value: func(s *diagnostics.WatchSession) any { return s.Bytes }},
		column{Name: "Blocked", Description: "The time for which the client has not taken a write.", Value: func(s *diagnostics.WatchSession) any { return blockedOf(s) }},
		column{Name: "State", Description: "Open, or the reason for which the watch ended.", Value: func(s *diagnostics.WatchSession) any { return stateOf(s) }},
		base.AgeColumn[*diagnostics.WatchSession](),
		column{Name: "Selector", Wide: true, Description: "The label selector and the field selector.", Value: func(s *diagnostics.WatchSession) any { return orNone(selectorOf(&s.Request)) }},
		column{Name: "Duration", Wide: true, Description: "The time for which an ended watch was open.", Value: func(s *diagnostics.WatchSession) any { return durationOf(s) }},
		column{Name: "Client", Wide: true, Description: "The program that the client named.", Value: func(s *diagnostics.WatchSession) any { return s.User.UserAgent }},
	)
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return text
}

func resourceOf(r *diagnostics.WatchedRequest) string {
	if r.APIGroup == "" {
		return r.Resource
	}
	return r.Resource + "." + r.APIGroup
}

func blockedOf(s *diagnostics.WatchSession) string {
	if s.BlockedSince == nil {
		return "<none>"
	}
	return base.Ago(metav1.NewTime(s.BlockedSince.Time))
}

func stateOf(s *diagnostics.WatchSession) string {
	if s.End == nil {
		return string(s.State)
	}
	return string(s.End.Reason)
}

func selectorOf(r *diagnostics.WatchedRequest) string {
	return strings.Trim(r.LabelSelector+" "+r.FieldSelector, " ")
}

func durationOf(s *diagnostics.WatchSession) string {
	if s.End == nil {
		return "<none>"
	}
	return s.End.Duration.Duration.String()
}
