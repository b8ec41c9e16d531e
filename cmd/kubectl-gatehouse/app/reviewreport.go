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
	"cmp"
	"fmt"
	"io"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
)

// servedReviews explains the error of a server without reviews.
func servedReviews(err error) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the server does not serve reviews of requests: it is older than this plugin, or the kubeconfig is not that of a Gatehouse (%w)", err)
	}
	return err
}

func (c *reviewCommand) print(review *v1alpha1.RequestReview, name string) error {
	review.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "RequestReview"}
	switch c.output {
	case "json":
		return c.printJSON(review)
	case "yaml":
		content, err := yaml.Marshal(review)
		if err != nil {
			return err
		}
		_, err = c.Out.Write(content)
		return err
	}
	return reviewReport(c.Out, review, name)
}

// reviewReport prints a review in the form of the report of a trace. name is that of a new object.
func reviewReport(out io.Writer, review *v1alpha1.RequestReview, name string) error {
	status, at := &review.Status, review.Spec.Resource
	trace := &v1alpha1.RequestTrace{
		User: status.User, Verdict: status.Verdict, Code: status.Code, Reason: status.Reason, DecidedBy: status.DecidedBy, TimedOut: status.TimedOut, Stops: status.Stops,
		NearMisses: status.NearMisses, Cure: status.Cure,
		Request: v1alpha1.TracedRequest{
			Verb: review.Spec.Verb, APIGroup: at.Group, Resource: at.Resource, Subresource: at.Subresource, Namespace: at.Namespace, Name: cmp.Or(at.Name, name),
		},
	}
	outcome := "Would be " + strings.ToLower(string(status.Verdict))
	if status.Verdict == v1alpha1.VerdictFailed {
		outcome = "Would fail"
	}
	if status.TimedOut {
		outcome = "The review took too long"
	}
	line := fmt.Sprintf("%s: user %q %s", outcome, status.User.Username, requestText(&trace.Request))
	if status.Code != 0 {
		line += strings.TrimRight(fmt.Sprintf(": %d %s", status.Code, status.Reason), " ")
	}
	fmt.Fprintf(out, "%s\n\n", cell(line))
	if err := reportGates(out, trace); err != nil {
		return err
	}
	if status.EndedBefore != "" {
		fmt.Fprintf(out, "\nThe review ends before %s: %s.\n", cell(string(status.EndedBefore)), cell(status.EndedFor))
	}
	reportNearMisses(out, trace)
	return nil
}
