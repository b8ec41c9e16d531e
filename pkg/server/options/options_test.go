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

package options

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/spf13/pflag"

	"github.com/gatehouse-dev/gatehouse/pkg/admission"
	"github.com/gatehouse-dev/gatehouse/pkg/authentication"
)

// TestTheAcceptedFlagsAreTheseAndNoOthers detects flags that a new version of k8s.io/apiserver adds
// or removes. To accept a change, run the test with GATEHOUSE_UPDATE_FLAGS=1 and review the
// difference.
func TestTheAcceptedFlagsAreTheseAndNoOthers(t *testing.T) {
	const golden = "testdata/flags.txt"
	var names []string
	sets := acceptedFlags
	for _, set := range sets.FlagSets {
		set.VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	}
	slices.Sort(names)
	got := strings.Join(names, "\n") + "\n"
	if os.Getenv("GATEHOUSE_UPDATE_FLAGS") != "" {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	for _, name := range names {
		if !slices.Contains(strings.Fields(string(want)), name) {
			t.Errorf("new flag --%s", name)
		}
	}
	for _, name := range strings.Fields(string(want)) {
		if !slices.Contains(names, name) {
			t.Errorf("flag --%s is gone", name)
		}
	}
}

// A process can bind the flags once: the registry of feature gates is global. The tests
// below need options made before that, so they are made here.
var (
	unboundOptions = makeOptions(90)
	acceptedFlags  = NewOptions().Flags()
)

func makeOptions(count int) chan *Options {
	made := make(chan *Options, count)
	for range count {
		made <- NewOptions()
	}
	return made
}

func options(change ...func(*Options)) *Options {
	o := <-unboundOptions
	o.Mode = ModeStandalone
	o.DataDir = "/data"
	for _, f := range change {
		f(o)
	}
	return o
}

func TestAWrongValueNamesItsFlagAndTheCure(t *testing.T) {
	missing := "/nowhere/file"
	for _, tc := range []struct {
		name   string
		change func(*Options)
		says   []string // each error begins with one of these, in order; empty: no error
	}{
		{"the defaults with a mode are right", func(*Options) {}, nil},
		{"no mode", func(o *Options) { o.Mode = "" }, []string{"--mode is required: standalone"}},
		{"an unknown mode", func(o *Options) { o.Mode = "both" }, []string{"--mode=both is unknown: use standalone or aggregated"}},
		{"simulated hosts", func(o *Options) { o.SimulateHosts = 3 }, nil},
		{"fewer ended instances than none are kept", func(o *Options) { o.EndedInstances = -1 }, []string{"--terminated-instance-gc-threshold=-1 must not be negative"}},
		{"fewer simulated hosts than none", func(o *Options) { o.SimulateHosts = -1 }, []string{"--simulate-hosts=-1 is not a number from 0 to 1000: use a number in this range"}},
		{"keys of encryption that are missing", func(o *Options) { o.Etcd.EncryptionProviderConfigFilepath = "testdata/none.yaml" }, []string{"--encryption-provider-config: the file cannot be read"}},
		{"a reload of no keys of encryption", func(o *Options) { o.Etcd.EncryptionProviderConfigAutomaticReload = true }, []string{"--encryption-provider-config-automatic-reload has no effect without --encryption-provider-config"}},
		{"simulated hosts with certificates that are not trusted", func(o *Options) { o.SimulateHosts, o.ClientCAFile = 3, "testdata/flags.txt" }, []string{"--simulate-hosts cannot be used with --client-ca-file"}},
		{"no data directory", func(o *Options) { o.DataDir = "" }, []string{"--data-dir must not be empty: name a directory"}},
		{"a certificate without its key", func(o *Options) { o.Serving.ServerCert.CertKey.CertFile = missing }, []string{"--tls-cert-file needs --tls-private-key-file"}},
		{"a key without its certificate", func(o *Options) { o.Serving.ServerCert.CertKey.KeyFile = missing }, []string{"--tls-private-key-file needs --tls-cert-file"}},
		{"a client CA that does not exist", func(o *Options) { o.ClientCAFile = missing }, []string{"--client-ca-file: the file cannot be read"}},
		{"etcd's TLS files for an embedded etcd", func(o *Options) { o.Etcd.StorageConfig.Transport.CertFile = missing }, []string{"--etcd-certfile has no effect without --etcd-servers"}},
		{"an etcd that is no URL", func(o *Options) { o.Etcd.StorageConfig.Transport.ServerList = []string{"etcd:2379"} }, []string{`--etcd-servers: "etcd:2379" is not the URL of an etcd: write it as https://`}},
		{"half a client certificate for etcd", func(o *Options) {
			o.Etcd.StorageConfig.Transport.ServerList = []string{"https://127.0.0.1:2379"}
			o.Etcd.StorageConfig.Transport.KeyFile = "testdata/flags.txt"
		}, []string{"--etcd-certfile and --etcd-keyfile belong together"}},
		{"a quota of the embedded etcd that holds nothing", func(o *Options) { o.Etcd.QuotaBytes = 1 << 20 }, []string{"--etcd-quota-bytes=1048576 is too small: use 16777216"}},
		{"a quota of the embedded etcd for an external one", func(o *Options) {
			o.Etcd.StorageConfig.Transport.ServerList, o.Etcd.QuotaBytes = []string{"https://127.0.0.1:2379"}, 1<<30
		}, []string{"--etcd-quota-bytes is for the embedded etcd: leave it out"}},
		{"fewer watches than none", func(o *Options) { o.Watches.MaxPerUser, o.Watches.Max = -1, -2 }, []string{"--max-watches-per-user=-1 must not be negative: use 0", "--max-watches=-2 must not be negative"}},
		{"no requests in flight", func(o *Options) { o.ServerRun.MaxRequestsInFlight, o.ServerRun.MaxMutatingRequestsInFlight = 0, 0 }, []string{"--max-requests-inflight and --max-mutating-requests-inflight must add up to at least 1"}},
		{"an unknown format of the log", func(o *Options) { o.Logs.Format = "xml" }, []string{"--logging-format: unknown format \"xml\": use text or json"}},
		{"flow control switched off", func(o *Options) { o.Features.EnablePriorityAndFairness = false }, []string{"--enable-priority-and-fairness=false is not supported"}},
		{"a flag of the other mode", func(o *Options) { o.Cluster.Kubeconfig = missing }, []string{"--kubeconfig is for --mode=aggregated"}},
		{"an authorization configuration that does not exist", func(o *Options) { o.Authorization.ConfigFile = missing }, []string{"--authorization-config: the file cannot be read"}},
		{"an authentication configuration that does not exist", func(o *Options) { o.Callers.ConfigFile = missing }, []string{"--authentication-config: the file cannot be read"}},
		{"a token webhook that does not exist", func(o *Options) { o.Callers.WebhookFile = missing }, []string{"--authentication-token-webhook-config-file: the file cannot be read"}},
		{"a cache time without a token webhook", func(o *Options) { o.Cluster.TokenCacheTTL = time.Minute }, []string{"--authentication-token-webhook-cache-ttl has no effect without"}},
		{"a cache time of a token webhook", func(o *Options) {
			o.Callers.WebhookFile, o.Cluster.TokenCacheTTL = "testdata/flags.txt", time.Minute
		}, nil},
		{"a negative cache time of a token webhook", func(o *Options) {
			o.Callers.WebhookFile, o.Cluster.TokenCacheTTL = "testdata/flags.txt", -1
		}, []string{"--authentication-token-webhook-cache-ttl must not be negative"}},
		{"a token file that does not exist", func(o *Options) { o.Callers.TokenFile = missing }, []string{"--token-auth-file: the file cannot be read"}},
		{"keys that do not exist", func(o *Options) {
			o.Callers.Accounts.SigningKeyFile, o.Callers.Accounts.KeyFiles = missing, []string{missing}
		}, []string{"--service-account-signing-key-file: the file cannot be read", "--service-account-key-file: the file cannot be read"}},
		{"an empty issuer", func(o *Options) {
			o.Callers.Accounts.Issuers, o.Callers.Accounts.Audiences = []string{"https://a", ""}, []string{"api"}
		}, []string{"--service-account-issuer must not be empty"}},
		{"no issuer", func(o *Options) { o.Callers.Accounts.Issuers = nil }, []string{"--service-account-issuer must name an issuer"}},
		{"an issuer twice", func(o *Options) { o.Callers.Accounts.Issuers = []string{"https://a", "https://a"} }, []string{"--service-account-issuer=https://a is given twice"}},
		{"an issuer that is half a URL", func(o *Options) { o.Callers.Accounts.Issuers = []string{"a b:c"} }, []string{"--service-account-issuer=a b:c has a colon but is not a URL"}},
		{"an issuer that is a plain name", func(o *Options) { o.Callers.Accounts.Issuers = []string{"gatehouse"} }, nil},
		{"keys without TLS", func(o *Options) { o.Callers.Accounts.KeySetURL = "http://a/keys" }, []string{"--service-account-jwks-uri=http://a/keys is not an https URL"}},
		{"an empty audience", func(o *Options) { o.Callers.Accounts.Audiences = []string{""} }, []string{"--api-audiences must not hold an empty name"}},
		{"tokens that live less than an hour at most", func(o *Options) { o.Callers.Accounts.MaxExpiration = time.Minute }, []string{"--service-account-max-token-expiration=1m0s must lie between 1 hour and 2^32 seconds"}},
		{"tokens that live an hour at most", func(o *Options) { o.Callers.Accounts.MaxExpiration = time.Hour }, nil},
		{"a memory limit", func(o *Options) { o.Memory.Limit = "2Gi" }, nil},
		{"no memory limit", func(o *Options) { o.Memory.Limit = "0" }, nil},
		{"a memory limit that is no quantity", func(o *Options) { o.Memory.Limit = "much" }, []string{"--memory-limit=much is not a quantity"}},
		{"a memory limit that is negative", func(o *Options) { o.Memory.Limit = "-1Gi" }, []string{"--memory-limit=-1Gi is less than 128Mi"}},
		{"a memory limit in which nothing fits", func(o *Options) { o.Memory.Limit = "64Mi" }, []string{"--memory-limit=64Mi is less than 128Mi"}},
		{"a front proxy without a name", func(o *Options) { o.Callers.Proxy.CAFile = "testdata/flags.txt" }, []string{"--requestheader-allowed-names is empty, so any certificate"}},
		{"a front proxy of any name when accepted", func(o *Options) { o.Callers.Proxy.CAFile, o.Cluster.AnyProxyName = "testdata/flags.txt", true }, nil},
		{"a front proxy of a name", func(o *Options) {
			o.Callers.Proxy.CAFile, o.Callers.Proxy.AllowedNames = "testdata/flags.txt", []string{"front"}
		}, nil},
		{"a front proxy without headers", func(o *Options) {
			o.Callers.Proxy = authentication.ProxyOptions{CAFile: "testdata/flags.txt", AllowedNames: []string{"front"}, GroupHeaders: []string{""}}
		}, []string{"--requestheader-username-headers must name a header", "--requestheader-group-headers must not hold an empty name"}},
		{"names of a front proxy that has no authority", func(o *Options) {
			o.Callers.Proxy.AllowedNames, o.Cluster.AnyProxyName = []string{"front"}, true
		}, []string{"--requestheader-allowed-names has no effect without --requestheader-client-ca-file", "--requestheader-allow-any-name has no effect"}},
		{"aggregated with the standalone mode's callers", func(o *Options) {
			o.Mode, o.Etcd.Embed = ModeAggregated, true
			o.Callers = authentication.StandaloneOptions{
				TokenFile: missing, ConfigFile: missing, WebhookFile: missing,
				Accounts: authentication.AccountOptions{SigningKeyFile: missing, KeyFiles: []string{missing}, Issuers: []string{"a"}, KeySetURL: "b", Audiences: []string{"c"}, MaxExpiration: 1},
				Proxy:    authentication.ProxyOptions{CAFile: missing, AllowedNames: []string{"d"}},
			}
		}, []string{
			"--token-auth-file is for --mode=standalone", "--authentication-config is for", "--authentication-token-webhook-config-file is for", "--service-account-signing-key-file is for", "--service-account-key-file is for",
			"--service-account-issuer is for", "--service-account-jwks-uri is for", "--api-audiences is for", "--service-account-max-token-expiration is for",
			"--requestheader-client-ca-file is for", "--requestheader-allowed-names is for", "--requestheader-username-headers is for",
			"--requestheader-uid-headers is for", "--requestheader-group-headers is for", "--requestheader-extra-headers-prefix is for",
		}},
		{"aggregated without an etcd", func(o *Options) { o.Mode = ModeAggregated }, []string{"--etcd-servers is required with --mode=aggregated"}},
		{"aggregated with an embedded etcd if requested", func(o *Options) { o.Mode, o.Etcd.Embed = ModeAggregated, true }, nil},
		{"aggregated with two etcds", func(o *Options) {
			o.Mode, o.Etcd.Embed = ModeAggregated, true
			o.Etcd.StorageConfig.Transport.ServerList = []string{"https://127.0.0.1:2379"}
		}, []string{"--embedded-etcd and --etcd-servers exclude each other"}},
		{"aggregated with an etcd without TLS", func(o *Options) {
			o.Mode = ModeAggregated
			o.Etcd.StorageConfig.Transport.ServerList = []string{"http://127.0.0.1:2379"}
		}, []string{`--etcd-servers: "http://127.0.0.1:2379" has no TLS`}},
		{"aggregated with an etcd without TLS when allowed", func(o *Options) {
			o.Mode, o.Etcd.Plaintext = ModeAggregated, true
			o.Etcd.StorageConfig.Transport.ServerList = []string{"http://127.0.0.1:2379"}
		}, nil},
		{"aggregated with an authorization configuration", func(o *Options) {
			o.Mode, o.Etcd.Embed, o.Authorization.ConfigFile = ModeAggregated, true, "testdata/flags.txt"
		}, []string{"--authorization-config is for --mode=standalone"}},
		{"a negative cache time", func(o *Options) {
			o.Mode, o.Etcd.Embed = ModeAggregated, true
			o.Cluster.DenyCacheTTL = -1
		}, []string{"--authorization-webhook-cache-unauthorized-ttl must not be negative"}},
		{"an admission plugin that does not exist", func(o *Options) { o.Admission.Enable("PodSecurity") }, []string{`--enable-admission-plugins: there is no admission plugin "PodSecurity": use NamespaceLifecycle, `}},
		{"an admission plugin that does not exist, disabled", func(o *Options) { o.Admission.Disable("PodSecurity") }, []string{`--disable-admission-plugins: there is no admission plugin "PodSecurity": use `}},
		{"an admission plugin both on and off", func(o *Options) {
			o.Admission.Enable("AlwaysPullImages")
			o.Admission.Disable("AlwaysPullImages")
		}, []string{"--enable-admission-plugins and --disable-admission-plugins both name AlwaysPullImages: leave it out of one"}},
		{"no settings of admission plugins at the path", func(o *Options) { o.Admission.SetConfigFile(missing) }, []string{"--admission-control-config-file: the file cannot be read"}},
		{"settings of admission plugins that are none", func(o *Options) { o.Admission.SetConfigFile("testdata/flags.txt") }, []string{"--admission-control-config-file: testdata/flags.txt is not an AdmissionConfiguration of apiserver.config.k8s.io/v1"}},
		{"settings of an admission plugin that does not exist, and of one with a missing file", func(o *Options) { o.Admission.SetConfigFile("testdata/admission.yaml") }, []string{
			`--admission-control-config-file: plugins[0].name: there is no admission plugin "ImagePolicyWebhook"`, "--admission-control-config-file: the file cannot be read",
		}},
		{"two mistakes are both reported", func(o *Options) { o.Mode, o.DataDir = "", "" }, []string{"--mode is required", "--data-dir must not be empty"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			completed, err := options(tc.change).Complete()
			if err != nil {
				t.Fatal(err)
			}
			errs := completed.Validate()
			if len(errs) != len(tc.says) {
				t.Fatalf("got %v, want %v", errs, tc.says)
			}
			for i, err := range errs {
				if !strings.HasPrefix(err.Error(), tc.says[i]) {
					t.Errorf("got %q, want %q", err, tc.says[i])
				}
			}
		})
	}
}

func TestEnabledAdmissionPlugins(t *testing.T) {
	all := admission.Names()
	var off, others []string // off by default, and those of them that no row enables
	for _, plugin := range admission.Plugins() {
		if plugin.DefaultOff {
			off = append(off, plugin.Name)
		}
		if plugin.DefaultOff && plugin.Name != "AlwaysPullImages" {
			others = append(others, plugin.Name)
		}
	}
	without := func(names ...string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(name string) bool { return slices.Contains(names, name) })
	}
	for _, tc := range []struct {
		name            string
		enable, disable []string
		want            []string
	}{
		{"no flags", nil, nil, without(off...)},
		{"one more", []string{"AlwaysPullImages"}, nil, without(others...)},
		{"what runs anyway", []string{"ServiceAccount"}, nil, without(off...)},
		{"fewer", nil, []string{"ServiceAccount", "AlwaysPullImages"}, without(append(off, "ServiceAccount")...)},
		{"none", nil, all, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := options()
			o.Admission.Enable(tc.enable...)
			o.Admission.Disable(tc.disable...)
			if got := o.Admission.Enabled(); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestListen(t *testing.T) {
	for _, tc := range []struct {
		address string
		says    string // empty: it is valid
	}{
		{"127.0.0.1:0", ""},
		{"[::1]:6443", ""},
		{"6443", "it is not of the form ADDR:PORT"},
		{"localhost:6443", "its address is not an IP address"},
		{"127.0.0.1:http", "its port is not a number from 0 to 65535"},
		{"127.0.0.1:70000", "its port is not a number from 0 to 65535"},
	} {
		t.Run(tc.address, func(t *testing.T) {
			err := options().Serving.SetAddress(tc.address)
			if (err == nil) != (tc.says == "") || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("got %v, want %q", err, tc.says)
			}
		})
	}
}

func TestTheMemoryLimitIsTheFlagsOrTheControlGroups(t *testing.T) {
	group := fstest.MapFS{
		"proc/self/cgroup":           {Data: []byte("0::/a\n")},
		"sys/fs/cgroup/a/memory.max": {Data: []byte("1073741824\n")},
	}
	for _, test := range []struct {
		name, flag string
		root       fstest.MapFS
		want       int64
	}{
		{"no flag and no control group", "", fstest.MapFS{}, 0},
		{"no flag and a control group with a limit", "", group, 1 << 30},
		{"the flag takes precedence", "256Mi", group, 256 << 20},
		{"0 is no limit, whatever the limit of the control group", "0", group, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			options := <-unboundOptions
			options.Memory.Limit = test.flag
			completed, err := options.Complete()
			if err != nil {
				t.Fatal(err)
			}
			if got := completed.Memory.Bytes(test.root); got != test.want {
				t.Errorf("limit %d, not %d", got, test.want)
			}
		})
	}
}

// A change of the options, or of a copy of the completed options, must not reach a running server.
func TestCompletedOptionsAreACopy(t *testing.T) {
	o := options(func(o *Options) { o.DataDir = "relative" })
	completed, err := o.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if o.DataDir != "relative" || o.ServerRun.AdvertiseAddress != nil || len(o.Callers.Accounts.Audiences) != 0 {
		t.Errorf("Complete changed its receiver: %q, %v, %v", o.DataDir, o.ServerRun.AdvertiseAddress, o.Callers.Accounts.Audiences)
	}
	o.Mode, o.Serving.BindPort, o.Etcd.StorageConfig.Transport.ServerList = ModeAggregated, 1, []string{"https://127.0.0.1:2379"}
	o.Admission.Disable("NamespaceLifecycle", "NoSuchPlugin")
	changed := completed
	changed.HostRegistration = ApprovedRegistration
	if completed.Aggregated() || completed.ApproveHosts() || completed.Serving.BindPort == 1 || len(completed.Etcd.StorageConfig.Transport.ServerList) != 0 || !slices.Contains(completed.AdmissionPlugins(), "NamespaceLifecycle") {
		t.Errorf("the completed options changed: %+v", completed)
	}
	if errs := completed.Admission.Validate(); len(errs) > 0 {
		t.Errorf("the completed admission options changed: %v", errs)
	}
}
