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

package validation

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	certificatesv1 "k8s.io/api/certificates/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	corevalidation "github.com/gatehouse-dev/gatehouse/pkg/apis/core/validation"
)

// maxTrustBundleBytes bounds spec.trustBundle, as in Kubernetes.
const maxTrustBundleBytes = 1 << 20

// trustBundlePath and bundleSignerPath are the fields of a trust bundle.
var (
	trustBundlePath  = field.NewPath("spec", "trustBundle")
	bundleSignerPath = field.NewPath("spec", "signerName")
)

// ValidateClusterTrustBundle checks a new trust bundle.
func ValidateClusterTrustBundle(bundle *certificatesv1.ClusterTrustBundle) field.ErrorList {
	return append(validateBundleNames(bundle), validateTrustAnchors(bundle.Spec.TrustBundle)...)
}

// ValidateClusterTrustBundleUpdate checks a change of a trust bundle. The signer stays. Trust anchors that are not
// changed are not checked again: a later version of Go may parse fewer certificates.
func ValidateClusterTrustBundleUpdate(bundle, old *certificatesv1.ClusterTrustBundle) field.ErrorList {
	errs := validateBundleNames(bundle)
	if bundle.Spec.TrustBundle != old.Spec.TrustBundle {
		errs = append(errs, validateTrustAnchors(bundle.Spec.TrustBundle)...)
	}
	if bundle.Spec.SignerName != old.Spec.SignerName {
		errs = append(errs, field.Invalid(bundleSignerPath, bundle.Spec.SignerName, "cannot be changed: create another bundle"))
	}
	return errs
}

// validateBundleNames checks the metadata, and the signer if there is one.
func validateBundleNames(bundle *certificatesv1.ClusterTrustBundle) field.ErrorList {
	signer := bundle.Spec.SignerName
	errs := apivalidation.ValidateObjectMeta(&bundle.ObjectMeta, false, bundleName(signer), field.NewPath("metadata"))
	errs = append(errs, corevalidation.ValidateFinalizers(&bundle.ObjectMeta)...)
	if signer != "" {
		errs = append(errs, validateSignerForm(signer, bundleSignerPath)...)
	}
	return errs
}

// bundleName returns the check of the names of bundles of a signer: the name of a bundle begins with that of its
// signer, with a colon for the slash and another one after it. A bundle without a signer has no colon in its name.
func bundleName(signer string) apivalidation.ValidateNameFunc {
	return func(name string, prefix bool) []string {
		if signer == "" {
			if strings.Contains(name, ":") {
				return []string{"a bundle without spec.signerName has no colon in its name: remove it, or set spec.signerName"}
			}
			return apivalidation.NameIsDNSSubdomain(name, prefix)
		}
		begin := strings.ReplaceAll(signer, "/", ":") + ":"
		rest, found := strings.CutPrefix(name, begin)
		if !found {
			return []string{fmt.Sprintf("the name of a bundle of signer %s begins with %s", signer, begin)}
		}
		return apivalidation.NameIsDNSSubdomain(rest, prefix)
	}
}

// validateTrustAnchors checks that the text has at least one certificate of an authority in PEM, each once, and no
// other block. Text between the blocks is allowed.
func validateTrustAnchors(text string) field.ErrorList {
	if len(text) > maxTrustBundleBytes {
		return field.ErrorList{field.TooLong(trustBundlePath, "", maxTrustBundleBytes)}
	}
	var errs field.ErrorList
	invalid := func(format string, args ...any) {
		errs = append(errs, field.Invalid(trustBundlePath, fmt.Sprintf("<%d bytes>", len(text)), fmt.Sprintf(format, args...)))
	}
	seen := map[string]int{}
	for i, rest := 0, []byte(text); ; i++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if err := checkTrustAnchor(block); err != nil {
			invalid("PEM block %d %v", i, err)
			continue
		}
		if first, twice := seen[string(block.Bytes)]; twice {
			invalid("PEM block %d is the same certificate as block %d: remove it", i, first)
			continue
		}
		seen[string(block.Bytes)] = i
	}
	if len(errs) == 0 && len(seen) == 0 {
		invalid("must have at least one PEM block of the type CERTIFICATE")
	}
	return errs
}

// checkTrustAnchor returns an error if a block is not the certificate of an authority.
func checkTrustAnchor(block *pem.Block) error {
	if block.Type != "CERTIFICATE" {
		return fmt.Errorf("has the type %q: only CERTIFICATE is allowed", block.Type)
	}
	if len(block.Headers) > 0 {
		return errors.New("has headers: remove them")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	switch {
	case err != nil:
		return fmt.Errorf("has no certificate: %w", err)
	case !certificate.IsCA:
		return errors.New("is not the certificate of an authority: its basic constraints have no CA bit")
	case !certificate.BasicConstraintsValid:
		return errors.New("has invalid basic constraints")
	}
	return nil
}
