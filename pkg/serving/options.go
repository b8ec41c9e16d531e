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

package serving

import (
	"fmt"
	"net"

	"github.com/spf13/pflag"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	netutils "k8s.io/utils/net"

	"github.com/gatehouse-dev/gatehouse/pkg/files"
)

// DefaultPort is the port on which the server listens by default.
const DefaultPort = 6443

// Options are the flags of serving.
type Options struct {
	*genericoptions.SecureServingOptions
	// SANs are further names and addresses by which clients reach the server.
	SANs []string
}

// NewOptions returns the defaults: loopback only, and TLS 1.3, which every client of this API has.
func NewOptions() Options {
	o := genericoptions.NewSecureServingOptions()
	o.BindAddress = netutils.ParseIPSloppy("127.0.0.1")
	o.BindPort = DefaultPort
	// The server's certificates are in the data directory.
	o.ServerCert.CertDirectory = ""
	o.MinTLSVersion = "VersionTLS13"
	// As in k8s.io/apiserver's RecommendedOptions: the default of 100 would stall a client with
	// many watches on one connection.
	o.HTTP2MaxStreamsPerConnection = 1000
	return Options{SecureServingOptions: o}
}

// AddFlags adds the flags to a set.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	o.SecureServingOptions.AddFlags(fs)
	fs.StringSliceVar(&o.SANs, "tls-san", o.SANs, "Additional host names and IP addresses for the self-issued serving certificate, comma separated. Not used with --tls-cert-file.")
	// The server's own certificates are in the data directory, so the flag has no effect.
	_ = fs.MarkHidden("cert-dir")
}

// Validate returns an error for each invalid flag.
func (o *Options) Validate() []error {
	errs := o.SecureServingOptions.Validate()
	certFile, keyFile := o.ServerCert.CertKey.CertFile, o.ServerCert.CertKey.KeyFile
	switch {
	case certFile == "" && keyFile == "":
	case certFile == "":
		errs = append(errs, fmt.Errorf("--tls-private-key-file needs --tls-cert-file beside it"))
	case keyFile == "":
		errs = append(errs, fmt.Errorf("--tls-cert-file needs --tls-private-key-file beside it"))
	default:
		errs = append(errs, files.ValidateFlag("tls-cert-file", certFile)...)
		errs = append(errs, files.ValidateFlag("tls-private-key-file", keyFile)...)
	}
	return errs
}

// OwnCertificate reports whether the server makes its serving certificate itself.
func (o *Options) OwnCertificate() bool {
	return o.ServerCert.CertKey.CertFile == "" && o.ServerCert.CertKey.KeyFile == ""
}

// SetAddress sets the address from ADDR:PORT; port 0 selects a free one.
func (o *Options) SetAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return addressError(address, "it is not of the form ADDR:PORT")
	}
	ip := netutils.ParseIPSloppy(host)
	if ip == nil {
		return addressError(address, "its address is not an IP address")
	}
	number, err := netutils.ParsePort(port, true)
	if err != nil {
		return addressError(address, "its port is not a number from 0 to 65535")
	}
	o.BindAddress, o.BindPort = ip, number
	return nil
}

func addressError(value, why string) error {
	return fmt.Errorf("--listen=%q: %s; write it as 127.0.0.1:6443, or 127.0.0.1:0 for a free port", value, why)
}
