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

package imports

// module is the prefix of the paths of our packages; the rules omit it.
const module = "github.com/gatehouse-dev/gatehouse/"

// room is a group of packages and the packages that they may import, besides each other.
type room struct {
	// packages matches whole paths; $1 in may stands for its group.
	packages string
	// may lists packages; an entry that ends in /... includes all packages below it.
	may []string
	// tests lists what the tests of these packages may import besides that, and besides forTests.
	tests []string
	// free rooms may import every package that is not restricted below.
	free bool
}

// Packages that every room may import besides the standard library: well-known names and
// small tools.
var everybody = []string{
	"pkg/apis/fleet/v1alpha1", // well-known names
	"pkg/apis/fleet/v1alpha1/helper",
	"pkg/apis/diagnostics/v1alpha1", // the names of request traces
	"k8s.io/api/...",
	"k8s.io/apimachinery/...",
	"k8s.io/klog/v2/...",
	"k8s.io/utils/...",
}

// rooms has the order of ARCHITECTURE.md; the first match counts. A change of an entry
// changes that page, too, with a reason.
var rooms = []room{
	// The versions are the public API: they import the hub, for conversion, and nothing else.
	{packages: "pkg/apis/([a-z]+)/v[0-9][a-z0-9]*", may: []string{"pkg/apis/$1"}},
	{packages: "pkg/apis/[a-z]+"},
	{packages: "pkg/apis/([a-z]+)/v[0-9][a-z0-9]*/helper", may: []string{"pkg/apis/$1/<version>"}},
	// An expression is invalid if the compiler of the admission chain refuses it, so validation
	// compiles with the same compiler; the same holds for the path of a warning.
	{packages: "pkg/apis/admissionregistration/validation", may: []string{
		"pkg/apis/admissionregistration", "k8s.io/apiserver/pkg/admission/plugin/cel", "k8s.io/apiserver/pkg/admission/plugin/policy/mutating/patch",
		"k8s.io/apiserver/pkg/admission/plugin/policy/validating", "k8s.io/apiserver/pkg/admission/plugin/webhook/matchconditions",
		"k8s.io/apiserver/pkg/cel/...", "k8s.io/apiserver/pkg/util/webhook", "k8s.io/client-go/util/jsonpath",
	}},
	// cluster-bootstrap has the form of bootstrap tokens, on which their authenticator, their
	// cleaner and the warnings of the strategy agree.
	{packages: "pkg/apis/core/validation", may: []string{"pkg/apis/core", "k8s.io/cluster-bootstrap/..."}},
	// Validation parses requests as the signers do. The finalizers of all of Kubernetes' kinds have the same names.
	{packages: "pkg/apis/certificates/validation", may: []string{"pkg/signers", "pkg/apis/core/validation"}},
	{packages: "pkg/apis/flowcontrol/validation", may: []string{"pkg/apis/core/validation", "k8s.io/apiserver/pkg/apis/flowcontrol/bootstrap", "k8s.io/apiserver/pkg/util/shufflesharding"}}, // the specs of mandatory objects
	{packages: "pkg/apis/storagemigration/validation", may: []string{"pkg/apis/core/validation"}},
	{packages: "pkg/apis/([a-z]+)/validation", may: []string{"pkg/apis/$1"}},
	{packages: "pkg/apis/([a-z]+)/install", may: []string{"pkg/apis/$1", "pkg/apis/$1/<version>"}},
	{packages: "pkg/apis/([a-z]+)/fuzzer", may: []string{"pkg/apis/$1", "sigs.k8s.io/randfill"}},

	{packages: "pkg/generated/openapi(/builtin)?", may: []string{"pkg/apis/<group>/<version>", "k8s.io/kube-openapi/..."}},
	{packages: "pkg/generated/.*", may: []string{
		"pkg/generated/...", "pkg/apis/<group>/<version>", "k8s.io/client-go/...", "sigs.k8s.io/structured-merge-diff/v6/...",
	}},

	// Names of quotas: used by admission, by the quota controller, and by the warnings
	// of the strategy, which must not import each other.
	{packages: "pkg/quota"},
	// The policy of signers: used by validation, by admission and by the signing controller, which must not
	// import each other.
	{packages: "pkg/signers"},

	// base is independent of groups, and is the only code that resources share. It names the other write of a
	// conflict in the record of the request.
	{packages: "pkg/registry/base", may: append([]string{"pkg/diagnostics", "k8s.io/client-go/tools/cache"}, registryLibraries...)},
	// Access reviews call an authorizer; nothing is stored.
	{packages: "pkg/registry/authorization", may: append([]string{
		"pkg/registry/base", "pkg/apis/authorization/validation", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/authorization/authorizer",
	}, registryLibraries...)},
	// A TokenReview calls the authenticator of stage 1. tokenrequest is shared by the token endpoints
	// of service accounts and instances.
	{packages: "pkg/registry/authentication(/[a-z]+)?", may: append([]string{
		"pkg/registry/base", "pkg/registry/authentication/...", "k8s.io/apiserver/pkg/authentication/authenticator",
	}, registryLibraries...)},
	// The author of a policy must be allowed to read its parameters.
	{packages: "pkg/registry/admissionregistration/params", may: []string{
		"k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/endpoints/request",
	}},
	// All resources share one validator, which compiles if needed.
	{packages: "pkg/registry/admissionregistration", may: append([]string{
		"pkg/registry/base", "pkg/registry/admissionregistration/<resource>", "pkg/apis/admissionregistration/validation",
	}, registryLibraries...)},
	{packages: "pkg/registry/admissionregistration/[a-z]+", may: append([]string{
		"pkg/registry/base", "pkg/registry/admissionregistration/params", "pkg/apis/admissionregistration", "pkg/apis/admissionregistration/validation",
	}, registryLibraries...)},
	// Streams go to hosts through tunnels, by the library's own proxy, and every method asks for the verb create.
	{packages: "pkg/registry/fleet(/streams)?", may: append([]string{
		"pkg/registry/base", "pkg/registry/authentication/tokenrequest", "pkg/registry/fleet/<resource>", "pkg/apis/fleet", "pkg/apis/fleet/<version>",
		"pkg/tunnel", "k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/util/proxy", "k8s.io/streaming/...",
	}, registryLibraries...)},
	{packages: "pkg/registry/([a-z]+)", may: append([]string{
		"pkg/registry/base", "pkg/registry/authentication/tokenrequest", "pkg/registry/$1/<resource>", "pkg/apis/$1", "pkg/apis/$1/<version>",
	}, registryLibraries...)},
	// escalation is shared by the four resources of RBAC, and base is independent of groups.
	{packages: "pkg/registry/rbac/[a-z]+", may: append([]string{
		"pkg/registry/base", "pkg/registry/rbac/escalation", "pkg/apis/rbac", "pkg/apis/rbac/validation",
	}, registryLibraries...)},
	// The strategy warns of names that are not counted.
	{packages: "pkg/registry/core/resourcequota", may: append([]string{
		"pkg/registry/base", "pkg/apis/core", "pkg/apis/core/validation", "pkg/quota",
	}, registryLibraries...)},
	// TokenREST issues tokens of service accounts.
	{packages: "pkg/registry/core/serviceaccount", may: append([]string{
		"pkg/registry/base", "pkg/registry/authentication/tokenrequest", "pkg/apis/core", "pkg/apis/core/validation",
	}, registryLibraries...)},
	// Reads and writes of hosts are checked on the object itself, which needs the caller's groups.
	{packages: "pkg/registry/fleet/instance", may: append([]string{
		"pkg/registry/base", "pkg/registry/authentication/tokenrequest", "pkg/apis/fleet", "pkg/apis/fleet/<version>", "pkg/apis/fleet/validation", "k8s.io/apiserver/pkg/authentication/user",
	}, registryLibraries...), tests: []string{"pkg/registry/fleet/host"}},
	// The storages of objects in memory decide which of them a user may read.
	{packages: "pkg/registry/diagnostics/uisession", may: append([]string{
		"pkg/apis/diagnostics", "pkg/apis/diagnostics/<version>", "k8s.io/apiserver/pkg/authentication/user",
	}, registryLibraries...)},
	// The storage decides whose requests a user may review, and what of them.
	{packages: "pkg/registry/diagnostics/requestreview", may: append([]string{
		"pkg/apis/diagnostics", "pkg/apis/diagnostics/<version>", "k8s.io/apiserver/pkg/audit", "k8s.io/apiserver/pkg/authentication/...", "k8s.io/apiserver/pkg/authorization/authorizer",
	}, registryLibraries...)},
	{packages: "pkg/registry/diagnostics/[a-z]+", may: append([]string{
		"pkg/registry/base", "pkg/registry/diagnostics/virtual", "pkg/apis/diagnostics", "pkg/apis/diagnostics/<version>", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/authorization/authorizer",
	}, registryLibraries...)},
	// The versions define the names of labels and annotations.
	{packages: "pkg/registry/([a-z]+)/[a-z]+", may: append([]string{
		"pkg/registry/base", "pkg/apis/$1", "pkg/apis/$1/<version>", "pkg/apis/$1/validation",
	}, registryLibraries...), tests: []string{"pkg/registry/$1/<resource>"}},

	// HostRestriction uses the authorizer of hosts, because both must agree on hosts and bindings.
	// The version defines the names of taints. Webhooks and policies are the library's, and
	// pkg/util/webhook resolves services for them.
	{packages: "pkg/admission/options", may: []string{
		"pkg/admission", "pkg/files", "k8s.io/apiserver/pkg/admission", "k8s.io/apiserver/pkg/apis/apiserver/...", "k8s.io/apiserver/pkg/server/options", "github.com/spf13/pflag",
	}},
	// It compiles policies as the library does, to observe what each of them decides.
	{packages: "pkg/admission/policies", may: []string{
		"k8s.io/apiserver/pkg/admission/...", "k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/cel/...", "k8s.io/client-go/...",
	}},
	// pkg/admission/apply.go builds the chain of a server from its sources: the server itself, or the cluster.
	{packages: "pkg/admission", may: []string{
		"pkg/admission/...", "pkg/authorization/host", "pkg/diagnostics", "pkg/quota", "pkg/transports", "pkg/apis/<group>", "pkg/apis/<group>/<version>", "pkg/generated/clientset/versioned", "pkg/generated/listers/...", "pkg/generated/informers/...",
		"k8s.io/apiserver/pkg/admission/...", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/quota/...",
		"k8s.io/apiserver/pkg/apis/audit", "k8s.io/apiserver/pkg/apis/cel", "k8s.io/apiserver/pkg/cel/environment",
		"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/util/feature", "k8s.io/apiserver/pkg/util/webhook", "k8s.io/client-go/...",
		"k8s.io/component-base/metrics/...",
	}},
	// RevocationRestriction guards the object that revocation reads.
	{packages: "pkg/admission/plugin/certificates", may: []string{
		"pkg/authentication/revocation", "pkg/signers", "pkg/apis/<group>",
		"k8s.io/apiserver/pkg/admission/...", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/authorization/authorizer",
	}},
	{packages: "pkg/admission(/.*)?", may: []string{
		"pkg/admission/...", "pkg/authorization/host", "pkg/diagnostics", "pkg/quota", "pkg/signers", "pkg/apis/<group>", "pkg/apis/<group>/<version>", "k8s.io/apiserver/pkg/util/webhook", "pkg/generated/clientset/versioned", "pkg/generated/listers/...", "pkg/generated/informers/...",
		"k8s.io/apiserver/pkg/admission/...", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/quota/...",
		"k8s.io/client-go/...",
	}},
	// Tokens are signed with the library that the OIDC authenticator of k8s.io/apiserver uses.
	{packages: "pkg/authentication/serviceaccount", may: []string{"k8s.io/apiserver/pkg/authentication/...", "k8s.io/apiserver/pkg/audit", "k8s.io/apiserver/pkg/warning", "k8s.io/client-go/util/keyutil", "gopkg.in/go-jose/go-jose.v2/..."}},
	// Revocation applies to the certificates of users that the authorizer of hosts treats as hosts.
	{packages: "pkg/authentication/revocation", may: []string{
		"pkg/authorization/host", "pkg/signers", "k8s.io/apiserver/pkg/authentication/authenticator", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/server/...",
		"k8s.io/client-go/kubernetes/typed/core/v1", "k8s.io/client-go/rest", "k8s.io/client-go/util/retry",
	}},
	{packages: "pkg/authentication/origin"}, // pkg/authentication writes the names, and pkg/apiserver reads them
	// Tokens of providers are verified by the library's authenticators. The issuer in a token is parsed as that
	// of a service account's is.
	{packages: "pkg/authentication/structured", may: []string{
		"pkg/authentication/serviceaccount", "pkg/files", "pkg/readiness", "pkg/transports", "k8s.io/apiserver/...", "k8s.io/client-go/...",
	}},
	// The standalone mode reads the files of its flags, and the signing key from the data directory.
	{packages: "pkg/authentication", may: []string{"pkg/authentication/...", "pkg/certificates", "pkg/diagnostics", "pkg/files", "pkg/transports", "github.com/spf13/pflag", "k8s.io/apiserver/...", "k8s.io/client-go/...", "k8s.io/cluster-bootstrap/..."}},
	// The bindings of instances to hosts are read from the server itself.
	{packages: "pkg/authorization/boundinstances", may: []string{"pkg/authorization/host", "pkg/apis/<group>/<version>", "pkg/generated/...", "k8s.io/apiserver/pkg/server", "k8s.io/client-go/..."}},
	// The standalone mode reads the file of its flag.
	{packages: "pkg/authorization", may: []string{"pkg/authorization/...", "pkg/diagnostics", "pkg/files", "github.com/spf13/pflag", "k8s.io/apiserver/...", "k8s.io/client-go/..."}},
	// component-helpers has upstream's check of whether rules cover other rules.
	{packages: "pkg/authorization(/.*)?", may: []string{"k8s.io/component-helpers/auth/rbac/validation", "pkg/authorization/...", "pkg/diagnostics", "pkg/transports", "k8s.io/apiserver/...", "k8s.io/client-go/..."}},

	// The rest of the server does not depend on where etcd runs; only embedded imports etcd's server.
	// Storages that call etcd in their process are built from the library's parts, with etcd's client.
	{packages: "pkg/storage", may: []string{
		"k8s.io/apiserver/pkg/endpoints/request", "k8s.io/apiserver/pkg/storage/...", "k8s.io/apiserver/pkg/server/options", "k8s.io/apiserver/pkg/registry/generic",
		"k8s.io/apiserver/pkg/features", "k8s.io/apiserver/pkg/util/feature", "k8s.io/client-go/tools/cache",
		"go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/client/v3/kubernetes",
		// The alarm of a full database: etcd's type.
		"go.etcd.io/etcd/api/v3/...", "k8s.io/apiserver/pkg/server/healthz",
		// The errors of an etcd that cannot be reached have codes of gRPC.
		"google.golang.org/grpc/codes", "google.golang.org/grpc/status",
		// Spans of the calls of an etcd in the process.
		"go.opentelemetry.io/otel/...",
		// The interval at which the keys of encryption at rest are read, and the health of their plugins.
		"k8s.io/apiserver/pkg/server/options/encryptionconfig/controller", "k8s.io/component-base/metrics/...",
	}, tests: []string{"pkg/storage/space"}},
	// The space of etcd is watched for the server, and made by commands: both are clients of etcd's members.
	{packages: "pkg/storage/space", may: []string{
		"pkg/storage", "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/api/v3/...", "go.uber.org/zap", "k8s.io/apiserver/pkg/server/healthz",
		"k8s.io/component-base/metrics", "github.com/spf13/pflag",
	}, tests: []string{"pkg/storage/embedded"}},
	// The poller makes the API objects of the members, and asks them by gRPC and for their metrics.
	{packages: "pkg/storage/members", may: []string{
		"pkg/storage", "pkg/apis/diagnostics", "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/api/v3/...", "go.uber.org/zap", "google.golang.org/grpc/...",
		"github.com/prometheus/client_model/go", "k8s.io/component-base/metrics",
	}, tests: []string{"pkg/storage/embedded"}},
	// Membership of the embedded etcds: a joiner gets the keys of the cluster over HTTPS, by the token of an invitation.
	{packages: "pkg/storage/cluster", may: []string{
		"pkg/certificates", "pkg/files", "pkg/storage", "pkg/storage/embedded", "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/api/v3/...",
		"k8s.io/apiserver/pkg/authentication/...", "k8s.io/apiserver/pkg/endpoints/request",
	}},
	{packages: "pkg/storage/options", may: []string{"pkg/files", "pkg/storage", "pkg/storage/cluster", "pkg/storage/embedded", "k8s.io/apiserver/pkg/server/options", "github.com/spf13/pflag"}},
	// Backups are clients of etcd. The decoder of stored objects is an input, so they import no kinds. zstd is what tools of
	// every system decompress; age encrypts the keys, and its tool decrypts them without this program.
	{packages: "pkg/storage/backup", may: []string{
		"pkg/files", "pkg/storage", "pkg/storage/backup/target", "pkg/storage/embedded/snapshot", "go.etcd.io/etcd/client/v3/...", "go.etcd.io/etcd/api/v3/...",
		"go.uber.org/zap", "github.com/coreos/go-semver/semver", "filippo.io/age", "github.com/klauspost/compress/zstd", "github.com/spf13/pflag", "k8s.io/component-base/metrics/...",
	}, tests: []string{"pkg/storage/embedded"}},
	{packages: "pkg/storage/backup/target", may: []string{"pkg/files"}},
	// The directory of a new etcd is that which the embedded one would make.
	{packages: "pkg/storage/embedded/snapshot", may: []string{"pkg/storage/embedded", "go.etcd.io/...", "go.uber.org/zap", "google.golang.org/protobuf/proto"}},
	{packages: "pkg/storage/embedded", may: []string{
		"pkg/files", "go.etcd.io/...", "go.uber.org/zap/...", "github.com/coreos/go-semver/semver", "golang.org/x/sys/unix",
		// A member with peers serves etcd's API itself.
		"google.golang.org/grpc/...",
		// etcd registers its metrics in Prometheus' default registry.
		"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/client_model/go", "k8s.io/component-base/metrics",
	}},

	// Controllers use only list and watch: no hub types, no registry, no k8s.io/apiserver.
	// Controllers do not import each other. They share the packages below internal/.
	// The signing controller applies the policy by which admission refuses requests.
	{packages: "pkg/controller/certificatesigner", may: append([]string{"pkg/signers"}, controllerLibraries...)},
	{packages: "pkg/controller/hostapprover", may: append([]string{"pkg/signers"}, controllerLibraries...)},
	// The quota controller counts what admission charges.
	{packages: "pkg/controller/quota", may: append([]string{"pkg/quota"}, controllerLibraries...)},
	{packages: "pkg/controller/tokencleaner", may: append([]string{"k8s.io/cluster-bootstrap/..."}, controllerLibraries...)},
	// Migrations update objects without a change, as the commands of pkg/encryption do.
	{packages: "pkg/controller/storageversionmigrator", may: append([]string{"pkg/rewrite"}, controllerLibraries...)},
	// The release controller bounds the bytes of its pending requests by a weighted semaphore.
	{packages: "pkg/controller/release", may: append([]string{"golang.org/x/sync/semaphore"}, controllerLibraries...)},
	// The manager constructs all controllers. serving is k8s.io/apiserver's code for the health of
	// any component.
	{packages: "pkg/controller/manager", may: append([]string{"pkg/controller/...", "pkg/signers", "github.com/spf13/pflag"}, controllerLibraries...)},
	{packages: "pkg/controller/serving", may: []string{
		"k8s.io/apiserver/pkg/server/healthz", "k8s.io/component-base/metrics/...", "k8s.io/client-go/...", "github.com/spf13/pflag",
	}},
	{packages: "pkg/controller/[a-z]+(/.*)?", may: controllerLibraries},
	// The agent of a host is a client, which must be able to run as a separate program: it links neither
	// k8s.io/apiserver nor etcd. It calls a runtime only through the interface.
	{packages: "pkg/agent", may: []string{"pkg/agent/prober", "pkg/agent/runtime", "pkg/apis/<group>/<version>", "pkg/generated/...", "k8s.io/client-go/..."}},
	{packages: "pkg/agent/runtime"},
	// It serves exec, attach and port forwarding itself, by the library that runtimes use.
	{packages: "pkg/agent/runtime/simulated", may: []string{"pkg/agent/runtime", "k8s.io/cri-streaming/..."}},
	{packages: "pkg/agent/runtime/cri", may: []string{"pkg/agent/runtime", "google.golang.org/grpc/...", "k8s.io/cri-api/...", "k8s.io/cri-client/..."}, tests: []string{"pkg/agent/runtime/simulated", "k8s.io/client-go/..."}},
	{packages: "pkg/agent/prober", may: []string{"pkg/agent/runtime", "google.golang.org/grpc/..."}},
	{packages: "pkg/agent/provision", may: []string{"pkg/agent/runtime", "pkg/files", "golang.org/x/sys/unix", "k8s.io/client-go/rest"}},
	{packages: "pkg/agent/streaming", may: []string{"pkg/agent/runtime"}, tests: []string{"pkg/agent/runtime/simulated", "pkg/tunnel", "k8s.io/client-go/..."}},
	{packages: "pkg/agent/join", may: []string{"pkg/failover", "pkg/files", "k8s.io/client-go/..."}, tests: []string{"pkg/certificates", "k8s.io/client-go/..."}},
	{packages: "pkg/agent/checkpoint", may: []string{"pkg/files"}},
	{packages: "pkg/agent/machine", may: []string{"pkg/files", "golang.org/x/sys/unix"}},
	{packages: "pkg/simulation", may: []string{"pkg/agent", "pkg/agent/runtime/simulated", "pkg/agent/streaming", "pkg/tunnel", "k8s.io/client-go/rest", "github.com/spf13/pflag"}},
	// Bodies are checked before they are decoded. YAML is parsed by the parser that the
	// decoder's parser derives from, because only that one exposes aliases.
	{packages: "pkg/apiserver/bodies", may: []string{"k8s.io/apiserver/pkg/endpoints/...", "go.yaml.in/yaml/v3", "sigs.k8s.io/yaml"}},
	{packages: "pkg/apiserver/memory", may: []string{"k8s.io/apiserver/pkg/endpoints/...", "k8s.io/component-base/metrics/...", "github.com/spf13/pflag"}},
	// Rollbacks express the fields that a write leaves unchanged in the format of managedFields.
	{packages: "pkg/apiserver", may: []string{
		"pkg/apiserver/bodies", "pkg/apiserver/memory", "pkg/diagnostics", "pkg/tunnel", "pkg/watches",
		"pkg/apis/<group>", "pkg/apis/<group>/install", "pkg/registry/base", "pkg/registry/<group>", "pkg/registry/<group>/<resource>",
		"pkg/admission/...", "pkg/authentication/origin", "pkg/generated/openapi/...", "pkg/storage",
		"k8s.io/apiserver/...", "k8s.io/client-go/...", "k8s.io/kube-openapi/pkg/...", "sigs.k8s.io/structured-merge-diff/v6/fieldpath",
		// /metrics merges several registries.
		"k8s.io/component-base/metrics/...", "github.com/prometheus/client_model/go",
	}},

	// What the gates say about a request: the stages add to it, and pkg/apiserver serves it.
	{packages: "pkg/diagnostics", may: []string{
		"pkg/apis/diagnostics", "github.com/google/uuid", "github.com/spf13/pflag", "k8s.io/apiserver/pkg/apis/audit", "k8s.io/apiserver/pkg/authentication/...",
		"k8s.io/apiserver/pkg/authorization/...", "k8s.io/apiserver/pkg/endpoints/...", "k8s.io/apiserver/pkg/util/flowcontrol/...",
	}},
	// The trust in local files is decided in this package, which imports nothing else.
	{packages: "pkg/files"},
	{packages: "pkg/files/filestest"},
	// Limits of what clients may use of the process.
	{packages: "pkg/limits", may: []string{
		"k8s.io/apiserver/pkg/authentication/...", "k8s.io/apiserver/pkg/endpoints/...", "k8s.io/apiserver/pkg/server", "k8s.io/component-base/metrics/...",
		"github.com/spf13/pflag", "golang.org/x/sys/unix",
	}},
	// The open watches, and those that are blocked.
	{packages: "pkg/watches", may: []string{"pkg/apis/diagnostics", "k8s.io/apiserver/pkg/endpoints/...", "k8s.io/component-base/metrics"}},
	// Spans of requests, by the library's provider.
	{packages: "pkg/tracing", may: []string{
		"pkg/files", "github.com/spf13/pflag", "go.opentelemetry.io/otel", "k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/server/options", "k8s.io/client-go/transport",
		"k8s.io/component-base/tracing",
	}},
	// Notes in /readyz?verbose, of authentication and of the delegation.
	{packages: "pkg/readiness", may: []string{"k8s.io/apiserver/pkg/authorization/authorizer", "k8s.io/apiserver/pkg/endpoints/request"}},
	// Bounds for the clients of webhooks and identity providers.
	{packages: "pkg/transports"},
	// Leaf packages of the process: its log writers, its version, the heap of its start, its service manager.
	{packages: "pkg/logging", may: []string{"k8s.io/component-base/featuregate", "k8s.io/component-base/logs/...", "google.golang.org/grpc/grpclog"}},
	{packages: "pkg/version", may: []string{"k8s.io/component-base/version"}},
	{packages: "pkg/systemd"},
	{packages: "pkg/startheap", may: []string{"golang.org/x/sys/unix"}},
	// Files with keys: the certificate authority, its certificates, and kubeconfigs.
	{packages: "pkg/certificates", may: []string{
		"k8s.io/component-base/metrics/...", "pkg/files", "k8s.io/apiserver/pkg/authentication/user", "k8s.io/apiserver/pkg/server/dynamiccertificates", "k8s.io/client-go/tools/clientcmd/...", "k8s.io/client-go/util/cert",
	}},
	// The connections that agents of hosts open to the server: both ends.
	{packages: "pkg/tunnel", may: []string{"pkg/apis/fleet/v1alpha1", "golang.org/x/net/http2", "k8s.io/client-go/rest", "k8s.io/client-go/transport"}},
	// The connections between the servers of one API: they find each other in etcd, and reach hosts through each other's tunnels.
	{packages: "pkg/peers", may: []string{
		"pkg/apis/fleet/v1alpha1", "pkg/certificates", "pkg/tunnel", "github.com/google/uuid", "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/api/v3/...",
		"k8s.io/apiserver/pkg/server/dynamiccertificates", "k8s.io/component-base/metrics",
	}, tests: []string{"pkg/storage/embedded"}},
	// The servers that a kubeconfig lists, below client-go.
	{packages: "pkg/failover", may: []string{"k8s.io/client-go/rest", "k8s.io/client-go/tools/clientcmd/..."}},
	{packages: "pkg/credentials", may: []string{"pkg/authentication/revocation", "pkg/certificates", "pkg/failover", "pkg/files", "pkg/generated/clientset/versioned", "github.com/spf13/pflag", "k8s.io/client-go/...", "k8s.io/cluster-bootstrap/..."}},
	// Links in the user's browser.
	{packages: "pkg/browser"},
	// The page: the plugin links it, so it is a client of the API like others, and links no k8s.io/apiserver.
	{packages: "pkg/ui", may: []string{"k8s.io/client-go/rest"}},
	// The page on a port of the server authenticates its sessions.
	{packages: "pkg/ui/onserver", may: []string{
		"pkg/ui", "pkg/authentication/origin", "pkg/diagnostics", "github.com/spf13/pflag", "golang.org/x/net/netutil",
		"k8s.io/apiserver/pkg/authentication/...", "k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/server/dynamiccertificates", "k8s.io/client-go/rest",
	}},
	{packages: "pkg/login", may: []string{"pkg/browser", "pkg/files", "pkg/transports", "github.com/coreos/go-oidc", "github.com/spf13/pflag", "golang.org/x/oauth2", "k8s.io/client-go/..."}, tests: []string{"test/browser"}},
	// Updates of all objects of a resource without a change, used by commands and by a controller.
	{packages: "pkg/rewrite", may: []string{"k8s.io/client-go/..."}},
	// The commands that manage the keys of encryption at rest: a client of servers and of an embedded etcd.
	{packages: "pkg/encryption", may: []string{
		"pkg/apis/diagnostics", "pkg/credentials", "pkg/failover", "pkg/files", "pkg/rewrite", "pkg/storage", "go.etcd.io/etcd/client/v3", "go.etcd.io/etcd/api/v3/...", "go.uber.org/zap", "github.com/spf13/pflag", "sigs.k8s.io/yaml",
		"k8s.io/apiserver/pkg/apis/apiserver/v1", "k8s.io/client-go/...",
	}},
	{packages: "pkg/serving", may: []string{
		"pkg/certificates", "pkg/files", "pkg/limits", "github.com/google/uuid", "github.com/spf13/pflag",
		"k8s.io/apiserver/pkg/server", "k8s.io/apiserver/pkg/server/dynamiccertificates", "k8s.io/apiserver/pkg/server/healthz", "k8s.io/apiserver/pkg/server/options",
	}},
	// The delegation to a cluster; only pkg/server imports it.
	{packages: "pkg/delegation", may: []string{
		"pkg/admission", "pkg/admission/plugin/resourcequota", "pkg/authentication", "pkg/authentication/revocation", "pkg/authorization", "pkg/authorization/host",
		"pkg/files", "pkg/readiness", "github.com/spf13/pflag", "k8s.io/apiserver/...", "k8s.io/client-go/...",
	}, tests: []string{"pkg/certificates"}},
	// Only server imports the packages of all stages, and only cmd imports it.
	{packages: "pkg/server(/options)?", may: []string{"pkg/..."}, free: true},

	{packages: "cmd/.*", may: []string{"cmd/...", "pkg/..."}, free: true},
	// The program of the first image prints the size of its terminal.
	{packages: "artifacts/examples/hello", may: []string{"golang.org/x/term"}},
	// The example controller uses only packages that are available to other modules.
	{packages: "artifacts/examples/.*", may: []string{"pkg/apis/<group>/<version>", "pkg/generated/...", "k8s.io/client-go/..."}},
	// The kit is for the tests of every package, so it imports none of the product's.
	{packages: "test/kit(/[a-z]+)?", may: []string{
		"k8s.io/client-go/rest", "gopkg.in/go-jose/go-jose.v2/...", "github.com/prometheus/client_model/go", "github.com/prometheus/common/expfmt", "github.com/prometheus/common/model",
		"go.opentelemetry.io/proto/otlp/...", "google.golang.org/grpc",
	}},
	// Helpers of tests and tools of the tree are not part of the product.
	{packages: "test/.*", may: []string{"cmd/...", "pkg/...", "test/..."}, free: true},
	{packages: "hack/.*", may: []string{"pkg/..."}, free: true},
}

// forTests lists what tests of every package may import besides the list of its room, the package itself and the
// packages below it. Other modules are free for tests.
var forTests = []string{
	"test/kit/...",      // waiting, seeds, metrics
	"test/registrytest", // the contract of storages
	// The schemes of the product, with their fuzzers.
	"pkg/apis/...", "pkg/apiserver",
	"pkg/generated/...", // typed clients and their fakes
	"pkg/files/filestest",
}
