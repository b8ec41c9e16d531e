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

package main

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// The labels have a domain of this controller. No other client writes them, so the controller can
// overwrite their values.
const (
	osLabel           = "labeler.example.com/os"
	architectureLabel = "labeler.example.com/architecture"
)

// patch changes the labels that it names, removes those that are nil, and leaves all others
// unchanged, also if another client writes them at the same time. With the uid, the server refuses it for
// another host of the same name.
type patch struct {
	Metadata struct {
		UID    types.UID          `json:"uid"`
		Labels map[string]*string `json:"labels"`
	} `json:"metadata"`
}

// missing returns the patch that sets the labels of a host; nil if the host has them. It is the whole
// decision of the controller, without a client and a clock, so that a table can test it.
func missing(host *v1alpha1.Host) ([]byte, error) {
	var p patch
	p.Metadata.UID, p.Metadata.Labels = host.UID, map[string]*string{}
	for label, reported := range map[string]string{
		osLabel:           host.Status.Info.OperatingSystem,
		architectureLabel: host.Status.Info.Architecture,
	} {
		wanted := strings.ToLower(reported)
		has, labelled := host.Labels[label]
		switch {
		case wanted == "" || len(validation.IsValidLabelValue(wanted)) > 0:
			// The value is unknown, or is not a valid label value: the label is omitted.
			if labelled {
				p.Metadata.Labels[label] = nil
			}
		case has != wanted:
			p.Metadata.Labels[label] = &wanted
		}
	}
	if len(p.Metadata.Labels) == 0 {
		return nil, nil
	}
	return json.Marshal(p)
}
