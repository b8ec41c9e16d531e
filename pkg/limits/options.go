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

package limits

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
)

// A host's agent holds a handful of watches, a controller one for each kind that it reads, and one
// connection carries 1000: a user that needs more is an exception. A watch takes 26 kB to 100 kB,
// so one user can take 100 MB at most. Ten thousand hosts hold less than the bound of all users.
const (
	defaultMaxWatchesPerUser = 1000
	defaultMaxWatches        = 50_000
)

// WatchOptions are the bounds of watches.
type WatchOptions struct {
	// MaxPerUser and Max bound the number of open watches; 0 for no bound.
	MaxPerUser, Max int
	// MaxTimeout bounds the life of a watch, whatever timeoutSeconds the client requests.
	MaxTimeout time.Duration
	// RecheckInterval is the time between two checks of the credentials and rights of open watches.
	RecheckInterval time.Duration
}

// NewWatchOptions returns the defaults. MaxTimeout is the longest life of a watch without
// timeoutSeconds at the default of --min-request-timeout.
func NewWatchOptions() WatchOptions {
	return WatchOptions{
		MaxPerUser: defaultMaxWatchesPerUser, Max: defaultMaxWatches, MaxTimeout: time.Hour, RecheckInterval: time.Minute,
	}
}

// AddFlags adds the flags to a set.
func (o *WatchOptions) AddFlags(fs *pflag.FlagSet) {
	fs.DurationVar(&o.MaxTimeout, "max-watch-timeout", o.MaxTimeout, "Maximum duration of a watch, regardless of the timeoutSeconds of the request. Each watch ends up to a tenth earlier, so that clients do not all reconnect at once; they resume from the last resource version.")
	fs.DurationVar(&o.RecheckInterval, "watch-recheck-interval", o.RecheckInterval, "How often the server checks for each open watch that the credentials of its user are still accepted and that the user may still watch. A watch whose user may not is ended. Certificates and tokens that expire end their watches at once.")
	fs.IntVar(&o.MaxPerUser, PerUserFlag, o.MaxPerUser, "The maximum number of watches that one user may have open at a time. When it is reached, the server refuses further watches of the user with 429. The group system:masters and the server's own controllers are exempt. 0 for no limit.")
	fs.IntVar(&o.Max, AllFlag, o.Max, "The maximum number of watches that all users together may have open at a time. When it is reached, the server refuses further watches with 429. The group system:masters and the server's own controllers are exempt. 0 for no limit.")
}

// Validate returns an error for each invalid flag.
func (o *WatchOptions) Validate() []error {
	var errs []error
	if o.MaxTimeout < time.Second {
		errs = append(errs, fmt.Errorf("--max-watch-timeout=%s is too short: use one second at least, such as 1h", o.MaxTimeout))
	}
	if o.RecheckInterval < time.Second {
		errs = append(errs, fmt.Errorf("--watch-recheck-interval=%s is too short: use one second at least, such as 1m", o.RecheckInterval))
	}
	for _, flag := range []struct {
		name  string
		value int
	}{{PerUserFlag, o.MaxPerUser}, {AllFlag, o.Max}} {
		if flag.value < 0 {
			errs = append(errs, fmt.Errorf("--%s=%d must not be negative: use 0 for no limit", flag.name, flag.value))
		}
	}
	return errs
}
