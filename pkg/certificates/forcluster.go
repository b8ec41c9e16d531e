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

package certificates

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	diagnosticsv1alpha1 "github.com/gatehouse-dev/gatehouse/pkg/apis/diagnostics/v1alpha1"
	"github.com/gatehouse-dev/gatehouse/pkg/apis/fleet/v1alpha1"
)

// ServiceNames are the names of the Service of artifacts/deploy in a cluster. kube-apiserver
// verifies the first, whatever address it connects to.
var ServiceNames = []string{
	"gatehouse.gatehouse-system.svc",
	"gatehouse.gatehouse-system.svc.cluster.local",
	"gatehouse.gatehouse-system",
}

// PrintForCluster creates the authority and the serving certificate for a cluster in a directory, or keeps
// them, and prints what the APIServices must trust, with the certificates in the files of alsoTrust. Notes
// name what was done.
func PrintForCluster(out, notes io.Writer, dir string, sans, alsoTrust []string, format string) error {
	also, err := ReadAuthorities(alsoTrust)
	if err != nil {
		return err
	}
	bundle, err := EnsureForCluster(dir, slices.Concat(ServiceNames, sans))
	if err != nil {
		return err
	}
	for _, warning := range bundle.Warnings {
		fmt.Fprintln(notes, "warning: "+warning)
	}
	done := "kept"
	if len(bundle.Issued) > 0 {
		done = "made " + strings.Join(bundle.Issued, " and ")
	}
	fmt.Fprintf(notes, "%s: %s; the serving certificate expires on %s, run this command again in its last four months to renew it\n",
		dir, done, bundle.Serving.Cert.NotAfter.Format(time.DateOnly))
	fmt.Fprintf(notes, "it is valid for %s\n", strings.Join(NamesOf(bundle.Serving.Cert), ", "))
	printed := CABundle{PEM: append(slices.Clone(bundle.CA.CertPEM), also...)}
	for _, version := range []schema.GroupVersion{v1alpha1.SchemeGroupVersion, diagnosticsv1alpha1.SchemeGroupVersion} {
		printed.APIServices = append(printed.APIServices, version.Version+"."+version.Group)
	}
	_, err = io.WriteString(out, printed.Format(format))
	return err
}
