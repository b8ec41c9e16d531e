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

package signingrequest

import (
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/gatehouse-dev/gatehouse/pkg/apis/certificates"
	"github.com/gatehouse-dev/gatehouse/pkg/registry/base"
)

// Storage holds every endpoint of CertificateSigningRequests.
type Storage struct {
	Request  *base.Store
	Approval *base.StatusREST
	Status   *base.StatusREST
}

// NewStorage builds the storage of CertificateSigningRequests and of the endpoints below them.
func NewStorage(scheme *runtime.Scheme, opts base.StorageOptions) (*Storage, error) {
	main := strategy{base.NewBuiltinStrategy(scheme, false, base.UnconditionalUpdate)}
	store, err := base.NewStore(base.Resource{
		Resource:   certificates.Resource("certificatesigningrequests"),
		Singular:   certificates.Resource("certificatesigningrequest"),
		ShortNames: []string{"csr"},
		Versions:   []schema.GroupVersion{certificatesv1.SchemeGroupVersion},
		New:        func() runtime.Object { return &certificatesv1.CertificateSigningRequest{} },
		NewList:    func() runtime.Object { return &certificatesv1.CertificateSigningRequestList{} },
		Strategy:   main,
		SelectableFields: func(obj runtime.Object, set fields.Set) error {
			set[certificates.SignerNameField] = obj.(*certificatesv1.CertificateSigningRequest).Spec.SignerName
			return nil
		},
		Table: base.Table(
			base.NameColumn[*certificatesv1.CertificateSigningRequest](),
			base.AgeColumn[*certificatesv1.CertificateSigningRequest](),
			column("SignerName", "Signer that is requested to sign.", signerName),
			column("Requestor", "User that created the request.", func(r *certificatesv1.CertificateSigningRequest) string { return r.Spec.Username }),
			column("RequestedDuration", "Requested lifetime of the certificate.", requestedDuration),
			column("Condition", "Decision about the request, and whether a certificate is issued.", condition),
		),
	}, opts)
	if err != nil {
		return nil, err
	}
	return &Storage{
		Request:  store,
		Approval: store.NewStatusREST(approvalStrategy{main}),
		Status:   store.NewStatusREST(statusStrategy{main}),
	}, nil
}

func column(name, description string, value func(*certificatesv1.CertificateSigningRequest) string) base.Column[*certificatesv1.CertificateSigningRequest] {
	return base.Column[*certificatesv1.CertificateSigningRequest]{
		Name: name, Description: description,
		Value: func(r *certificatesv1.CertificateSigningRequest) any { return value(r) },
	}
}

const none = "<none>"

func signerName(request *certificatesv1.CertificateSigningRequest) string {
	if request.Spec.SignerName == "" {
		return none
	}
	return request.Spec.SignerName
}

func requestedDuration(request *certificatesv1.CertificateSigningRequest) string {
	if request.Spec.ExpirationSeconds == nil {
		return none
	}
	return duration.HumanDuration(time.Duration(*request.Spec.ExpirationSeconds) * time.Second)
}

// condition returns the same words as in Kubernetes, such as Approved,Issued.
func condition(request *certificatesv1.CertificateSigningRequest) string {
	has := map[certificatesv1.RequestConditionType]bool{}
	for _, c := range request.Status.Conditions {
		has[c.Type] = true
	}
	words := "Pending"
	switch {
	case has[certificatesv1.CertificateDenied]:
		words = "Denied"
	case has[certificatesv1.CertificateApproved]:
		words = "Approved"
	}
	if has[certificatesv1.CertificateFailed] {
		words += ",Failed"
	}
	if len(request.Status.Certificate) > 0 {
		words += ",Issued"
	}
	return words
}
